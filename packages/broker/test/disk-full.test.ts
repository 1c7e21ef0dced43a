import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom, SimulatedClock } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';
import { DiskReserve, MemoryStore, startBroker } from '../src/index.js';
import type { Broker } from '../src/index.js';
import { RawClient } from './support/raw-client.js';
import { SmallDiskStore } from './support/small-disk.js';

const persistent = { deliveryMode: 2 };
const capabilities = { 'connection.blocked': true };

/** A broker on a small disk, and a client that confirms, on the durable queue `q`. */
async function world() {
  const store = new SmallDiskStore();
  const clock = new SimulatedClock();
  const broker = await startBroker({ store, clock, users: [{ name: 'guest', password: 'guest' }] });
  const client = await new RawClient(broker).open({ capabilities });
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  client.send(1, { name: 'confirm.select' });
  await client.method('confirm.select-ok');
  const publish = (body: string, key = 'q'): void =>
    client.publish(1, key, { properties: persistent, body: Buffer.from(body) });
  return { store, clock, broker, client, publish };
}

function stored(store: SmallDiskStore): string[] {
  return Array.from(store.messages(), ({ value }) => value.toString().slice(-3));
}

function ready(broker: Broker, name = 'q'): number {
  return broker.vhosts.get('/')?.queues.get(name)?.readyCount ?? -1;
}

test('a publish that finds no room is nacked and withdrawn; the broker lives, says why, and takes the next when there is room', async () => {
  const { store, clock, broker, client, publish } = await world();
  publish('one');
  assert.equal((await client.method('basic.ack')).deliveryTag, 1);
  store.isFull = true;
  publish('two');
  publish('six');
  assert.equal((await client.method('connection.blocked')).reason, 'low on disk');
  assert.deepEqual({ ...(await client.method('basic.nack')) }.deliveryTag, 3);
  assert.equal(ready(broker), 1);
  publish('ten');
  store.isFull = false;
  await clock.advance(60_000);
  await client.method('connection.unblocked');
  assert.equal((await client.method('basic.ack')).deliveryTag, 4, 'what came while there was no room has waited');
  publish('new');
  assert.equal((await client.method('basic.ack')).deliveryTag, 5);
  client.destroy();
  await broker.stop();
  assert.deepEqual(stored(store), ['one', 'ten', 'new']);
});

test('what a full disk refused and memory keeps stays behind what lies on disk only', async (t) => {
  const store = new SmallDiskStore();
  const users = [{ name: 'guest', password: 'guest' }];
  const broker = await startBroker({ store, users, limits: { residentMessageBytesMax: 1_000 } });
  t.after(() => broker.stop());
  const client = await new RawClient(broker).open();
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  const publish = (body: string): void =>
    client.publish(1, 'q', { properties: persistent, body: Buffer.alloc(1_000, body) });
  for (const body of ['1', '2', '3']) publish(body);
  client.send(1, { name: 'queue.declare', queue: 'r', durable: true });
  while ((await client.method('queue.declare-ok')).queue !== 'r');
  assert.equal(broker.vhosts.get('/')?.queues.get('q')?.residentBytes, 0, 'all of it lies on disk');
  store.isFull = true;
  publish('4');
  while (broker.blockedReason === undefined) await new Promise((resolve) => setImmediate(resolve));
  const order: string[] = [];
  for (let left = 4; left > 0; left--) {
    client.send(1, { name: 'basic.get', queue: 'q', noAck: false });
    await client.method('basic.get-ok');
    for (let frame = await client.frame(); frame !== undefined; frame = await client.frame()) {
      if (frame.type !== 'body') continue;
      order.push(String.fromCharCode(frame.payload[0] ?? 0));
      break;
    }
  }
  assert.deepEqual(order, ['1', '2', '3', '4']);
  client.destroy();
  store.isFull = false;
});

test('a body that two queues share is refused with its messages, and the next one is not', async () => {
  const { store, clock, broker, client } = await world();
  client.send(1, { name: 'queue.declare', queue: 'r', durable: true });
  await client.method('queue.declare-ok');
  const large = (text: string): void =>
    client.publish(1, 'q', { properties: { ...persistent, headers: { CC: ['r'] } }, body: Buffer.alloc(8_192, text) });
  store.isFull = true;
  large('a');
  await client.method('basic.nack');
  assert.deepEqual([ready(broker), ready(broker, 'r'), stored(store)], [0, 0, []]);
  store.isFull = false;
  await clock.advance(60_000);
  await client.method('connection.unblocked');
  large('b');
  assert.equal((await client.method('basic.ack')).deliveryTag, 2);
  client.destroy();
  await broker.stop();
  const again = await startBroker({ store: new MemoryStore(store.disk) });
  assert.deepEqual([ready(again), ready(again, 'r')], [1, 1]);
  assert.equal(Array.from(store.messages()).length, 3);
  await again.stop();
});

test('acknowledgements and dead letters wait for room and are not forgotten', async () => {
  const { store, clock, broker, client, publish } = await world();
  const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
  client.send(1, { name: 'queue.declare', queue: 'dead', durable: true });
  client.send(1, { name: 'queue.declare', queue: 'r', durable: true, arguments: args });
  await client.method('queue.declare-ok');
  await client.method('queue.declare-ok');
  for (const body of ['one', 'two', 'six']) publish(body, 'r');
  assert.equal((await client.method('basic.ack')).deliveryTag, 3);
  for (let count = 0; count < 3; count++) client.send(1, { name: 'basic.get', queue: 'r' });
  for (let count = 0; count < 3; count++) await client.method('basic.get-ok');
  store.isFull = true;
  client.send(1, { name: 'basic.ack', deliveryTag: 1 });
  client.send(1, { name: 'basic.reject', deliveryTag: 2, requeue: false });
  await client.method('connection.blocked');
  client.send(1, { name: 'queue.declare', queue: 'late', durable: true });
  await clock.advance(5_000);
  assert.deepEqual(stored(store), ['one', 'two', 'six'], 'nothing of it happened yet');
  store.isFull = false;
  await clock.advance(5_000);
  await client.method('queue.declare-ok');
  client.destroy();
  await broker.stop();
  const again = await startBroker({ store: new MemoryStore(store.disk) });
  assert.deepEqual([ready(again, 'r'), ready(again, 'dead'), ready(again, 'late')], [1, 1, 0]);
  await again.stop();
});

test('without confirms a message that found no room stays in memory, and the next publish waits', async () => {
  const { store, clock, broker, client } = await world();
  await client.channel(2);
  store.isFull = true;
  client.publish(2, 'q', { properties: persistent, body: Buffer.from('one') });
  await client.method('connection.blocked');
  assert.equal(ready(broker), 1);
  client.publish(2, 'q', { properties: persistent, body: Buffer.from('two') });
  client.send(2, { name: 'queue.declare', queue: 'q', passive: true });
  store.isFull = false;
  await clock.advance(60_000);
  assert.equal((await client.method('queue.declare-ok')).messageCount, 2);
  client.destroy();
  await broker.stop();
  assert.deepEqual(stored(store), ['two']);
});

test('a transaction waits for room as a whole', async () => {
  const { store, clock, broker, client } = await world();
  await client.channel(2);
  client.send(2, { name: 'tx.select' });
  await client.method('tx.select-ok');
  client.publish(2, 'q', { properties: persistent, body: Buffer.from('one') });
  store.isFull = true;
  client.send(2, { name: 'tx.commit' });
  await client.method('connection.blocked');
  store.isFull = false;
  await clock.advance(5_000);
  await client.method('tx.commit-ok');
  assert.deepEqual(stored(store), ['one']);
  client.destroy();
  await broker.stop();
});

test('the reserve takes room, gives it back once, and takes it again', (t) => {
  const folder = temporaryFolder('reserve');
  t.after(() => folder.remove());
  const reserve = new DiskReserve(folder.path, { bytes: 200_000, random: seededRandom(1) });
  assert.equal(reserve.release(), false);
  reserve.take();
  reserve.take();
  assert.deepEqual([reserve.release(), reserve.release()], [true, false]);
});
