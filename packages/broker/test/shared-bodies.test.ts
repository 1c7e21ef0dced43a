import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { emptyDisk, MemoryStore, startBroker, StoreDamage } from '../src/index.js';
import type { Broker, BrokerLimits, MemoryDisk } from '../src/index.js';
import { RawClient } from './support/raw-client.js';

const bodyBytes = 100_000;
const queues = ['one', 'two', 'three'];

interface World {
  readonly broker: Broker;
  readonly client: RawClient;
}

async function world(t: TestContext, disk: MemoryDisk, limits: Partial<BrokerLimits> = {}): Promise<World> {
  const users = [{ name: 'guest', password: 'guest' }];
  const broker = await startBroker({ store: new MemoryStore(disk), users, limits });
  t.after(() => broker.stop());
  const client = await new RawClient(broker).open();
  await client.channel();
  return { broker, client };
}

async function declare(client: RawClient, queue: string, args: Readonly<Record<string, string>> = {}): Promise<number> {
  client.send(1, { name: 'queue.declare', queue, durable: true, arguments: args });
  return (await client.method('queue.declare-ok')).messageCount;
}

/** Declares the queues behind a fanout and publishes persistent messages to it, each confirmed. */
async function spread(client: RawClient, count: number, bytes: number = bodyBytes): Promise<void> {
  for (const queue of queues) {
    await declare(client, queue);
    client.send(1, { name: 'queue.bind', queue, exchange: 'amq.fanout', routingKey: '' });
    await client.method('queue.bind-ok');
  }
  client.send(1, { name: 'confirm.select' });
  await client.method('confirm.select-ok');
  for (let number = 0; number < count; number++) {
    const body = Buffer.alloc(bytes, String(number));
    client.publish(1, '', { properties: { deliveryMode: 2, headers: { number } }, body }, 'amq.fanout');
    await client.method('basic.ack');
  }
}

/** Takes the next message, answers its body. */
async function take(client: RawClient, queue: string): Promise<Buffer> {
  client.send(1, { name: 'basic.get', queue });
  const { deliveryTag } = await client.method('basic.get-ok');
  const body = await client.content();
  client.send(1, { name: 'basic.ack', deliveryTag });
  return body;
}

/** What lies on disk once everything that was sent is done. */
async function settled({ broker, client }: World, { messages }: MemoryDisk): Promise<{ count: number; bytes: number }> {
  client.send(1, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 0 });
  await client.method('basic.qos-ok');
  await broker.durable();
  let bytes = 0;
  for (const { value } of messages.values()) bytes += value.length;
  return { count: messages.size, bytes };
}

test('a large body lies on disk once, for as long as one of the queues has its message', async (t) => {
  const disk = emptyDisk();
  const one = await world(t, disk);
  const { client } = one;
  await spread(client, 2);
  const before = await settled(one, disk);
  assert.ok(before.count === 2 * 4 && before.bytes < 2.5 * bodyBytes, `${before.count} values, ${before.bytes} bytes`);
  for (const queue of queues) {
    assert.deepEqual(await take(client, queue), Buffer.alloc(bodyBytes, '0'));
    const { bytes } = await settled(one, disk);
    assert.equal(bytes > 2 * bodyBytes, queue !== 'three', `${bytes} bytes after queue ${queue}`);
  }
  client.send(1, { name: 'queue.purge', queue: 'one' });
  await client.method('queue.purge-ok');
  client.send(1, { name: 'queue.delete', queue: 'two' });
  await client.method('queue.delete-ok');
  assert.ok((await settled(one, disk)).bytes > bodyBytes);
  await take(client, 'three');
  assert.equal((await settled(one, disk)).count, 0);
});

for (const [bytes, values] of [
  [4_095, 3],
  [4_096, 4],
] as const) {
  test(`${bytes} bytes to three queues are ${values} values on disk`, async (t) => {
    const disk = emptyDisk();
    const one = await world(t, disk);
    await spread(one.client, 1, bytes);
    assert.equal((await settled(one, disk)).count, values);
  });
}

test('a body is not shared where only one queue keeps it', async (t) => {
  const disk = emptyDisk();
  const one = await world(t, disk);
  await declare(one.client, 'kept');
  one.client.send(1, { name: 'queue.declare', queue: 'gone', exclusive: true });
  await one.client.method('queue.declare-ok');
  for (const queue of ['kept', 'gone']) {
    one.client.send(1, { name: 'queue.bind', queue, exchange: 'amq.fanout', routingKey: '' });
    await one.client.method('queue.bind-ok');
  }
  one.client.publish(1, '', { properties: { deliveryMode: 2 }, body: Buffer.alloc(bodyBytes) }, 'amq.fanout');
  assert.equal((await settled(one, disk)).count, 1);
});

for (const end of ['stopped', 'killed'] as const) {
  test(`shared bodies are there after the broker was ${end}, and go with their last message`, async (t) => {
    const disk = emptyDisk();
    const first = await world(t, disk);
    await spread(first.client, 3);
    await take(first.client, 'one');
    await settled(first, disk);
    const found = { entities: new Map(disk.entities), messages: new Map(disk.messages) };
    await first.broker.stop();
    const there = end === 'stopped' ? disk : found;
    const second = await world(t, there);
    const { client } = second;
    for (const number of ['1', '2']) assert.deepEqual(await take(client, 'one'), Buffer.alloc(bodyBytes, number));
    for (const queue of ['two', 'three']) {
      for (const number of ['0', '1', '2'])
        assert.deepEqual(await take(client, queue), Buffer.alloc(bodyBytes, number));
    }
    assert.equal((await settled(second, there)).count, 0);
  });
}

test('beyond the memory budget shared bodies are read back from disk', async (t) => {
  const disk = emptyDisk();
  const one = await world(t, disk, { residentMessageBytesMax: bodyBytes });
  await spread(one.client, 5);
  for (const queue of queues) {
    for (const number of ['0', '1', '2', '3', '4']) {
      assert.deepEqual(await take(one.client, queue), Buffer.alloc(bodyBytes, number));
    }
  }
  assert.equal((await settled(one, disk)).count, 0);
});

test('a purge of what lies on disk only lets go of its bodies', async (t) => {
  const disk = emptyDisk();
  const first = await world(t, disk);
  await spread(first.client, 2);
  await first.broker.stop();
  const second = await world(t, disk);
  for (const queue of queues) {
    second.client.send(1, { name: 'queue.purge', queue });
    assert.equal((await second.client.method('queue.purge-ok')).messageCount, 2);
  }
  assert.equal((await settled(second, disk)).count, 0);
});

test('dead letters for several queues share their body, too', async (t) => {
  const disk = emptyDisk();
  const one = await world(t, disk);
  const { client } = one;
  await spread(client, 0);
  await declare(client, 'source', { 'x-dead-letter-exchange': 'amq.fanout' });
  client.publish(1, 'source', { properties: { deliveryMode: 2 }, body: Buffer.alloc(bodyBytes, 'd') });
  await client.method('basic.ack');
  client.send(1, { name: 'basic.get', queue: 'source' });
  const { deliveryTag } = await client.method('basic.get-ok');
  await client.content();
  client.send(1, { name: 'basic.reject', deliveryTag, requeue: false });
  const { count, bytes } = await settled(one, disk);
  assert.ok(count === 4 && bytes < 1.5 * bodyBytes, `${count} values, ${bytes} bytes`);
  for (const queue of queues) assert.deepEqual(await take(client, queue), Buffer.alloc(bodyBytes, 'd'));
  assert.equal((await settled(one, disk)).count, 0);
});

test('a body that nobody has is taken away at the start, one that is missing is damage', async (t) => {
  const disk = emptyDisk();
  const first = await world(t, disk);
  await spread(first.client, 1);
  await first.broker.stop();
  const places = [...disk.messages].map(([key, { place }]) => ({ key, place }));
  const bodyKey = places.find(({ place }) => place.queue === 0)?.key ?? '';
  const orphaned = { entities: new Map(disk.entities), messages: new Map(disk.messages) };
  for (const { key } of places) if (key !== bodyKey) orphaned.messages.delete(key);
  assert.equal((await settled(await world(t, orphaned), orphaned)).count, 0);
  disk.messages.delete(bodyKey);
  await assert.rejects(startBroker({ store: new MemoryStore(disk) }), StoreDamage);
});
