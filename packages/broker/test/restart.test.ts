import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { decodeProperties } from '@torcello/amqp091';
import { emptyDisk, MemoryStore, startBroker } from '../src/index.js';
import type { Broker, MemoryDisk } from '../src/index.js';
import { RawClient } from './support/raw-client.js';

async function world(
  t: TestContext,
  disk: MemoryDisk,
): Promise<{ readonly broker: Broker; readonly client: RawClient }> {
  const broker = await startBroker({ store: new MemoryStore(disk), users: [{ name: 'guest', password: 'guest' }] });
  t.after(() => broker.stop());
  const client = await new RawClient(broker).open();
  await client.channel();
  return { broker, client };
}

/** Answers how many messages wait. */
async function declare(client: RawClient, queue: string, args: Readonly<Record<string, string>> = {}): Promise<number> {
  client.send(1, { name: 'queue.declare', queue, durable: true, arguments: args });
  return (await client.method('queue.declare-ok')).messageCount;
}

async function get(
  client: RawClient,
  queue: string,
): Promise<{ readonly redelivered: boolean; readonly deliveryTag: number }> {
  client.send(1, { name: 'basic.get', queue });
  return await client.method('basic.get-ok');
}

/** A broker with four messages, of which two are handed out. */
async function withTwoOut(
  t: TestContext,
  disk: MemoryDisk,
): Promise<{ readonly broker: Broker; readonly client: RawClient }> {
  const { broker, client } = await world(t, disk);
  await declare(client, 'q');
  for (const body of ['1', '2', '3', '4'])
    client.publish(1, 'q', { properties: { deliveryMode: 2 }, body: Buffer.from(body) });
  for (let out = 0; out < 2; out++) await get(client, 'q');
  return { broker, client };
}

async function marks(client: RawClient, count: number): Promise<boolean[]> {
  const seen: boolean[] = [];
  for (let got = 0; got < count; got++) seen.push((await get(client, 'q')).redelivered);
  return seen;
}

test('after an orderly stop only what was handed out counts as redelivered', async (t) => {
  const disk = emptyDisk();
  const first = await withTwoOut(t, disk);
  await first.broker.stop();
  const second = await world(t, disk);
  assert.deepEqual(await marks(second.client, 3), [true, true, false]);
  await second.broker.stop();
  const third = await world(t, disk);
  assert.deepEqual(await marks(third.client, 4), [true, true, true, false]);
});

test('after a crash everything counts as redelivered, also where the broker was stopped in order before', async (t) => {
  const disk = emptyDisk();
  await (await withTwoOut(t, disk)).broker.stop();
  const second = await world(t, disk);
  await second.broker.durable();
  const crashed = { entities: new Map(disk.entities), messages: new Map(disk.messages) };
  await second.broker.stop();
  const third = await world(t, crashed);
  assert.deepEqual(await marks(third.client, 4), [true, true, true, true]);
});

test('the copies that nobody sees are there after a restart, for the dead letter', async (t) => {
  const disk = emptyDisk();
  const first = await world(t, disk);
  await declare(first.client, 'copy');
  await declare(first.client, 'q', { 'x-dead-letter-exchange': 'amq.direct' });
  first.client.send(1, { name: 'queue.bind', queue: 'copy', exchange: 'amq.direct', routingKey: 'hidden' });
  await first.client.method('queue.bind-ok');
  const properties = { deliveryMode: 2, headers: { BCC: ['hidden'] } };
  first.client.publish(1, 'q', { properties, body: Buffer.from('a body') });
  await declare(first.client, 'q', { 'x-dead-letter-exchange': 'amq.direct' });
  await first.broker.stop();
  const second = await world(t, disk);
  const { deliveryTag } = await get(second.client, 'q');
  second.client.send(1, { name: 'basic.reject', deliveryTag, requeue: false });
  assert.equal(await declare(second.client, 'copy'), 1);
});

test('a dead letter with a key of its queue keeps CC, and goes to no copies, also when it dies again after a restart', async (t) => {
  const disk = emptyDisk();
  const first = await world(t, disk);
  await declare(first.client, 'q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'middle' });
  await declare(first.client, 'middle', { 'x-dead-letter-exchange': 'amq.direct' });
  for (const [queue, routingKey] of [
    ['copy', 'copied'],
    ['end', 'middle'],
  ] as const) {
    await declare(first.client, queue);
    first.client.send(1, { name: 'queue.bind', queue, exchange: 'amq.direct', routingKey });
    await first.client.method('queue.bind-ok');
  }
  const properties = { deliveryMode: 2, headers: { CC: ['copied'] } };
  first.client.publish(1, 'q', { properties, body: Buffer.from('a body') });
  await reject(first.client, 'q');
  assert.equal(await declare(first.client, 'copy'), 0);
  await first.broker.stop();
  const { client } = await world(t, disk);
  await reject(client, 'middle');
  assert.deepEqual([await declare(client, 'copy'), await declare(client, 'end')], [0, 1]);
  await get(client, 'end');
  const header = await client.frame();
  assert.ok(header?.type === 'header', 'a header follows');
  const { headers = {} } = decodeProperties(header.propertyBytes);
  assert.deepEqual(headers['CC'], ['copied']);
  const [newest, oldest] = headers['x-death'] as readonly { readonly 'routing-keys': readonly string[] }[];
  assert.deepEqual([newest?.['routing-keys'], oldest?.['routing-keys']], [['middle'], ['q', 'copied']]);
});

async function reject(client: RawClient, queue: string): Promise<void> {
  const { deliveryTag } = await get(client, queue);
  client.send(1, { name: 'basic.reject', deliveryTag, requeue: false });
}
