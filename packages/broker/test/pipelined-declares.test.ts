import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Frame } from '@torcello/amqp091';
import { startBroker } from '../src/index.js';
import { RawClient } from './support/raw-client.js';
import { SlowStore } from './support/slow-store.js';

async function world(t: TestContext): Promise<{ store: SlowStore; client: RawClient }> {
  const store = new SlowStore();
  store.isSlow = false;
  const broker = await startBroker({ store, users: [{ name: 'guest', password: 'guest' }] });
  t.after(() => {
    store.quicken();
    return broker.stop();
  });
  const client = await new RawClient(broker).open();
  await client.channel();
  store.isSlow = true;
  store.batches.length = 0;
  return { store, client };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What a client is told, in few words. */
function said(frame: Frame | undefined): string {
  if (frame?.type !== 'method') return String(frame?.type);
  const { method } = frame;
  return method.name === 'queue.declare-ok' ? `ok ${method.queue}` : method.name;
}

async function saidNext(client: RawClient, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let number = 0; number < count; number++) all.push(said(await client.frame()));
  return all;
}

test('declarations that come together share a sync, and are answered in order and not before it', async (t) => {
  const { store, client } = await world(t);
  const names = Array.from({ length: 100 }, (_, number) => `q${number}`);
  for (const queue of names) client.send(1, { name: 'queue.declare', queue, durable: true });
  client.send(1, { name: 'queue.bind', queue: 'q0', exchange: 'amq.topic', routingKey: 'x' });
  client.send(1, { name: 'queue.declare', queue: 'q1', passive: true });
  client.send(1, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 1 });
  let first: Frame | undefined;
  void client.frame().then((frame) => (first = frame));
  await turns(20);
  assert.equal(first, undefined, 'nothing is said before the sync');
  let syncs = 0;
  for (; first === undefined || syncs < store.batches.length; syncs++) {
    store.end();
    await turns(5);
  }
  assert.ok(syncs <= 3, `${syncs} syncs`);
  assert.equal(store.batches.flat().length, 101);
  const rest = names.slice(1).map((name) => `ok ${name}`);
  assert.deepEqual(
    [said(first), ...(await saidNext(client, 102))],
    ['ok q0', ...rest, 'queue.bind-ok', 'ok q1', 'basic.qos-ok'],
  );
});

test('a refusal among them comes in its turn, and a close behind it is answered', async (t) => {
  const { store, client } = await world(t);
  client.send(1, { name: 'queue.declare', queue: 'a', durable: true });
  client.send(1, { name: 'queue.declare', queue: 'a', durable: true, arguments: { 'x-max-length': 1 } });
  client.send(1, { name: 'queue.declare', queue: 'never', durable: true });
  client.send(1, { name: 'channel.close', replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 });
  await turns(10);
  store.quicken();
  assert.deepEqual(await saidNext(client, 3), ['ok a', 'channel.close', 'channel.close-ok']);
  assert.equal(store.batches.flat().length, 1, 'what came behind the refusal did not happen');
});

test('an error of the whole connection comes in its turn too', async (t) => {
  const { store, client } = await world(t);
  client.send(1, { name: 'queue.declare', queue: 'a', durable: true });
  client.send(1, { name: 'queue.declare', queue: 's', durable: true, arguments: { 'x-queue-type': 'stream' } });
  await turns(10);
  store.quicken();
  assert.deepEqual(await saidNext(client, 2), ['ok a', 'connection.close']);
});
