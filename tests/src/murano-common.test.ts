import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { isMessagingError, type ErrorCode } from '@torcello/messaging';
import { MqClient, type MqClientOptions } from '@torcello/messaging/murano-common';
import { freePort } from '@torcello/test-support';
import amqp from 'amqplib';
import { CuttableNetwork } from './support/cuttable-network.js';

/*
 * The wrapper of Murano's programs, over a broker of ours: its calls, and each of its silent failures as an error. An old
 * program beside it is amqplib, saying what the wrapper said.
 */

const users = [{ name: 'guest', password: 'guest' }];
const broker = await startBroker({ store: new MemoryStore(), users });
after(() => broker.stop());
const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });

const is = (code: ErrorCode) => (error: unknown) => isMessagingError(error, code);
let queues = 0;
const freshQueue = (): string => `murano-${(queues += 1)}`;

function clientOf(changes: Partial<MqClientOptions> = {}): MqClient {
  return new MqClient({
    login: 'guest',
    password: 'guest',
    host: '127.0.0.1',
    port,
    virtualHost: '/',
    drivers: [amqp091Driver()],
    ...changes,
  });
}

async function connected(changes: Partial<MqClientOptions> = {}): Promise<MqClient> {
  const client = clientOf(changes);
  await client.connect();
  return client;
}

test('connect, declare, send, open, get_message, ack', async () => {
  await using client = await connected();
  const queue = freshQueue();
  await client.declare(queue, { exchange: 'tasks', ttlMs: 86_400_000 });
  await client.send({ id: '1', body: { action: 'deploy', text: 'ž☃', big: 2n ** 60n } }, { key: queue });
  await client.send({ id: '2', body: [1, null] }, { key: queue, exchange: 'tasks' });
  await using subscription = await client.open(queue);
  const first = await subscription.getMessage();
  assert.deepEqual([first?.id, first?.body], ['1', { action: 'deploy', text: 'ž☃', big: 2n ** 60n }]);
  assert.equal(first?.ack(), true);
  const second = await subscription.getMessage();
  assert.deepEqual([second?.id, second?.body, second?.ack()], ['2', [1, null], true]);
});

test('waiting for a message is bounded, the oldest comes first, and nothing is acknowledged by itself', async () => {
  await using client = await connected();
  const queue = freshQueue();
  await client.declare(queue);
  {
    await using subscription = await client.open(queue, { prefetchCount: 3 });
    assert.equal(await subscription.getMessage({ timeoutMs: 20 }), undefined);
    for (const id of ['1', '2', '3']) await client.send({ id, body: {} }, { key: queue });
    assert.equal((await subscription.getMessage())?.id, '1');
    assert.equal((await subscription.getMessage())?.id, '2');
  }
  await using again = await client.open(queue, { prefetchCount: 3 });
  const third = await again.getMessage();
  assert.equal(third?.id, '3', 'what was handed out belongs to who has it, what was not goes back');
});

test('no connection in time is TIMEOUT; the wrapper stayed unconnected and said nothing', async () => {
  await using client = clientOf({ port: await freePort() });
  await assert.rejects(client.connect({ timeoutMs: 300 }), is('TIMEOUT'));
  await assert.rejects(client.send({ body: 1 }, { key: 'q' }), is('CLOSED'));
});

test('a wrong password is LOGIN_REFUSED', async () => {
  await using client = clientOf({ password: 'wrong' });
  await assert.rejects(client.connect(), is('LOGIN_REFUSED'));
});

test('a message to a queue that is not there is UNROUTABLE; the wrapper let it vanish', async () => {
  await using client = await connected();
  await assert.rejects(client.send({ body: 1 }, { key: freshQueue() }), is('UNROUTABLE'));
});

test('a send that nobody confirms in time is TIMEOUT and says what may have become of it; the wrapper called it success', async () => {
  const network = new CuttableNetwork();
  await using client = await connected({ transport: { network } });
  const queue = freshQueue();
  await client.declare(queue);
  await network.cut();
  await assert.rejects(client.send({ body: 1 }, { key: queue, timeoutMs: 1 }), (error) => {
    assert.ok(isMessagingError(error, 'TIMEOUT'));
    assert.equal(typeof error.details['mayArrive'], 'boolean');
    return true;
  });
});

test('messages are on the disk; the wrapper’s were not', async () => {
  await using client = await connected();
  const queue = freshQueue();
  await client.declare(queue);
  await client.send({ id: 'x', body: 1 }, { key: queue });
  const raw = await oldProgram(async (channel) => channel.get(queue, { noAck: true }));
  assert.ok(raw !== false);
  assert.deepEqual([raw.properties.deliveryMode, raw.properties.messageId], [2, 'x']);
  assert.deepEqual(raw.properties.headers, { message_id: 'x' }, 'both versions of the wrapper find the id');
});

test('a body that is no JSON is UNDECODABLE where it is read, and can be rejected; the wrapper gave None', async () => {
  await using client = await connected();
  const queue = freshQueue();
  await client.declare(queue);
  await oldProgram(async (channel) => channel.sendToQueue(queue, Buffer.from('{"half')));
  await using subscription = await client.open(queue);
  const message = await subscription.getMessage();
  assert.throws(() => message?.body, is('UNDECODABLE'));
  assert.equal(Buffer.from(message?.raw ?? []).toString(), '{"half');
  assert.equal(message?.reject(), true);
});

test('an old program shares the queue: the same declaration, ids as property or as header', async () => {
  await using client = await connected();
  const queue = freshQueue();
  await client.declare(queue, { ttlMs: 60_000 });
  await oldProgram(async (channel) => {
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-expires': 60_000 } });
    channel.sendToQueue(queue, Buffer.from('{"from": "puka"}'), { messageId: 'a' });
    channel.sendToQueue(queue, Buffer.from('{"from": "kombu"}'), { headers: { message_id: 'b' } });
    await channel.waitForConfirms();
  });
  await using subscription = await client.open(queue, { prefetchCount: 2 });
  for (const [id, from] of [
    ['a', 'puka'],
    ['b', 'kombu'],
  ]) {
    const message = await subscription.getMessage();
    assert.deepEqual([message?.id, message?.body], [id, { from }]);
    message?.ack();
  }
});

test('after a cut reading goes on, and acknowledging the stale copy answers false', async () => {
  const network = new CuttableNetwork();
  await using client = await connected({ transport: { network } });
  const queue = freshQueue();
  await client.declare(queue);
  await client.send({ id: '1', body: 1 }, { key: queue });
  await using subscription = await client.open(queue);
  const stale = await subscription.getMessage();
  await network.cut();
  const again = await subscription.getMessage();
  assert.equal(stale?.ack(), false);
  assert.deepEqual([again?.id, again?.redelivered, again?.ack()], ['1', true, true]);
});

test('whoever waits hears that the queue is gone or the client was closed', async () => {
  const client = await connected();
  await assert.rejects(client.open(freshQueue()), is('NOT_FOUND'));
  const queue = freshQueue();
  await client.declare(queue);
  const subscription = await client.open(queue);
  const waiting = assert.rejects(subscription.getMessage(), is('CLOSED'));
  await client.close();
  await waiting;
  await client.close();
});

async function oldProgram<T>(work: (channel: amqp.ConfirmChannel) => Promise<T>): Promise<T> {
  const connection = await amqp.connect({ hostname: '127.0.0.1', port, username: 'guest', password: 'guest' });
  const channel = await connection.createConfirmChannel();
  try {
    const result = await work(channel);
    await channel.waitForConfirms();
    return result;
  } finally {
    await connection.close();
  }
}
