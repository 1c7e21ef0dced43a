import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyDisk, MemoryStore, startBroker } from '../src/index.js';
import type { Broker, MemoryDisk } from '../src/index.js';
import type { Queue } from '../src/queue/queue.js';
import { RawClient } from './support/raw-client.js';

const count = 1_000;
const bodyBytes = 1_000;
const residentMessageBytesMax = 100_000;

async function world(disk: MemoryDisk = emptyDisk()) {
  const broker = await startBroker({
    store: new MemoryStore(disk),
    users: [{ name: 'guest', password: 'guest' }],
    limits: { residentMessageBytesMax },
  });
  const client = await new RawClient(broker).open();
  await client.channel();
  client.send(1, { name: 'confirm.select' });
  await client.method('confirm.select-ok');
  return { disk, broker, client };
}

function queueOf(broker: Broker): Queue {
  const queue = broker.vhosts.get('/')?.queues.get('q');
  assert.ok(queue !== undefined);
  return queue;
}

async function declare(client: RawClient, args: Readonly<Record<string, string | number>> = {}): Promise<void> {
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true, arguments: args });
  await client.method('queue.declare-ok');
}

/** Publishes numbered messages and waits for their confirms. */
async function fill(client: RawClient, from: number, to: number, properties: object = {}): Promise<void> {
  for (let number = from; number < to; number++) {
    const body = Buffer.alloc(bodyBytes, `${number} `);
    client.publish(1, 'q', { properties: { deliveryMode: 2, ...properties }, body });
    if (number % 50 !== 49) continue;
    while ((await client.method('basic.ack')).deliveryTag < number + 1);
  }
}

async function numbersOf(client: RawClient): Promise<number[]> {
  client.send(1, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 0 });
  await client.method('basic.qos-ok');
  client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 'c', noAck: true });
  const numbers: number[] = [];
  let left = Infinity;
  while (numbers.length < left) {
    const frame = await client.frame();
    if (frame === undefined) break;
    if (frame.type === 'body') numbers.push(Number.parseInt(Buffer.from(frame.payload).toString(), 10));
    if (frame.type === 'method' && frame.method.name === 'basic.consume-ok') left = count;
  }
  return numbers;
}

const all = Array.from({ length: count }, (_, number) => number);

test('a backlog ten times the budget stays under it, and comes out whole and in order', async () => {
  const { broker, client } = await world();
  await declare(client);
  await fill(client, 0, count);
  assert.ok(queueOf(broker).residentBytes <= 2 * residentMessageBytesMax, `${queueOf(broker).residentBytes} bytes`);
  assert.equal(queueOf(broker).readyCount, count);
  assert.deepEqual(await numbersOf(client), all);
  assert.equal(queueOf(broker).residentBytes, 0);
  client.destroy();
  await broker.stop();
});

test('what was handed out and comes back stands before what is on disk only', async () => {
  const { broker, client } = await world();
  await declare(client);
  await fill(client, 0, count);
  for (let got = 0; got < 100; got++) client.send(1, { name: 'basic.get', queue: 'q' });
  for (let got = 0; got < 100; got++) await client.method('basic.get-ok');
  client.send(1, { name: 'basic.nack', deliveryTag: 0, multiple: true, requeue: true });
  assert.deepEqual(await numbersOf(client), all);
  client.destroy();
  await broker.stop();
});

test('a restart leaves the backlog on disk, and a purge forgets it there', async () => {
  const { disk, broker, client } = await world();
  await declare(client);
  await fill(client, 0, count);
  client.destroy();
  await broker.stop();
  const { broker: again, client: reader } = await world(disk);
  assert.equal(queueOf(again).readyCount, count);
  assert.equal(queueOf(again).residentBytes, 0);
  for (let got = 0; got < 3; got++) reader.send(1, { name: 'basic.get', queue: 'q', noAck: true });
  for (let got = 0; got < 3; got++) await reader.method('basic.get-ok');
  reader.send(1, { name: 'queue.purge', queue: 'q' });
  assert.equal((await reader.method('queue.purge-ok')).messageCount, count - 3);
  assert.equal(disk.messages.size, 0);
  assert.equal(queueOf(again).residentBytes, 0);
  reader.destroy();
  await again.stop();
});

test('priorities and length limits hold for what is on disk only', async () => {
  const { broker, client } = await world();
  await declare(client, { 'x-max-priority': 5, 'x-max-length': count - 100 });
  await fill(client, 0, count - 100, { priority: 4 });
  await fill(client, count - 100, count, { priority: 1 });
  const queue = queueOf(broker);
  assert.equal(queue.readyCount, count - 100);
  assert.ok(queue.residentBytes <= 2 * residentMessageBytesMax);
  const first = queue.take();
  assert.equal(first?.priority, 4);
  assert.equal(Number.parseInt(Buffer.from(first.message.body).toString(), 10), 100, 'the head was dropped 100 times');
  assert.equal(queue.readyCount, count - 101);
  client.destroy();
  await broker.stop();
});

test('expiry looks at the head of what is on disk only, also after a restart', async () => {
  const { disk, broker, client } = await world();
  await declare(client, { 'x-message-ttl': 3_600_000 });
  await fill(client, 0, 200);
  client.destroy();
  await broker.stop();
  const { broker: again, client: reader } = await world(disk);
  assert.equal(queueOf(again).readyCount, 200);
  const entry = queueOf(again).take();
  assert.ok(entry?.expiresAtMs !== undefined, 'the time to live came back with it');
  reader.destroy();
  await again.stop();
});
