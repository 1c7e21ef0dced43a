import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { FrameWriter } from '@torcello/amqp091';
import { systemClock } from '@torcello/platform';
import type { Timer } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { Heartbeat } from '../src/heartbeat.js';
import { MemoryStore, startBroker } from '../src/index.js';
import type { Broker, BrokerOptions } from '../src/index.js';
import { RawClient } from './support/raw-client.js';
import { SlowStore } from './support/slow-store.js';

async function brokerWith(
  t: TestContext,
  options: Partial<BrokerOptions> = {},
): Promise<{ broker: Broker; clock: SimulatedClock }> {
  const clock = new SimulatedClock();
  const users = [{ name: 'guest', password: 'guest' }];
  const broker = await startBroker({ store: new MemoryStore(), users, clock, ...options });
  t.after(() => broker.stop());
  return { broker, clock };
}

/** Closes a client that has heartbeats or channels, so that the broker can stop without waiting for its clock. */
async function leave(client: RawClient): Promise<void> {
  client.send(0, { name: 'connection.close', replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 });
  await client.method('connection.close-ok');
}

test('a client that does not log in is dropped when its time is over', async (t) => {
  const { broker, clock } = await brokerWith(t, { limits: { loginMsMax: 5000 } });
  const client = new RawClient(broker);
  client.protocolHeader();
  await client.method('connection.start');
  await clock.advance(4999);
  assert.equal(broker.connectionCount, 1);
  await clock.advance(1);
  await client.closed;
  assert.equal(broker.connectionCount, 0);
});

test('a client of another protocol gets the protocol header that is spoken here', async (t) => {
  const { broker } = await brokerWith(t);
  const client = new RawClient(broker);
  client.raw(Buffer.from('GET / HT'));
  const frame = await client.frame();
  assert.ok(frame?.type === 'protocolHeader' && frame.isSupported);
  await client.closed;
});

test('a silent client is dropped after two intervals; one that sends heartbeats is not', async (t) => {
  const { broker, clock } = await brokerWith(t);
  const client = await new RawClient(broker).open({ heartbeat: 10 });
  for (let beat = 0; beat < 5; beat++) {
    await clock.advance(15_000);
    client.heartbeat();
    await clock.advance(0);
  }
  assert.equal(broker.connectionCount, 1);
  await clock.advance(19_999);
  assert.equal(broker.connectionCount, 1);
  await clock.advance(5_001);
  assert.equal(broker.connectionCount, 0);
});

test('a quiet broker sends heartbeats', async (t) => {
  const { broker, clock } = await brokerWith(t);
  const client = await new RawClient(broker).open({ heartbeat: 10 });
  await clock.advance(5_000);
  assert.equal((await client.frame())?.type, 'heartbeat');
  await leave(client);
});

test('a heartbeat shorter than the least one is not judged by its own length', async (t) => {
  const { broker, clock } = await brokerWith(t, { limits: { heartbeatMsMin: 5000 } });
  await new RawClient(broker).open({ heartbeat: 1 });
  await clock.advance(9_999);
  assert.equal(broker.connectionCount, 1);
  await clock.advance(1_000);
  assert.equal(broker.connectionCount, 0);
});

test('without heartbeats silence is fine', async (t) => {
  const { broker, clock } = await brokerWith(t);
  const client = await new RawClient(broker).open({ heartbeat: 0 });
  await clock.advance(3_600_000);
  assert.equal(broker.connectionCount, 1);
  await leave(client);
});

test('a refused login is explained to a client that can hear it, and ends the stream of one that cannot', async (t) => {
  const { broker } = await brokerWith(t);
  for (const canHear of [true, false]) {
    const client = new RawClient(broker);
    client.protocolHeader();
    await client.method('connection.start');
    client.login('nobody', { authentication_failure_close: canHear });
    if (!canHear) await assert.rejects(client.method('connection.close'), /the stream ended/);
    else assert.equal((await client.method('connection.close')).replyCode, 403);
    await client.closed;
  }
});

const wrongFrames: readonly [what: string, bytes: string, replyCode: number][] = [
  ['a frame of an unknown type', '09000100000000ce', 501],
  ['a frame without its end mark', '0100010000000400140000aa', 501],
  ['a body without a method', '03000100000001ffce', 505],
  ['a header without a method', '0200010000000e003c000000000000000000000000ce', 505],
  ['a method that nobody defined', '01000100000004003c0063ce', 503],
  ['a method with too few arguments', '01000100000004003c0014ce', 502],
  ['a frame on a channel that is not open', '010005000000050055000a00ce', 504],
];

for (const [what, bytes, replyCode] of wrongFrames) {
  test(`${what} ends the connection with ${replyCode}`, async (t) => {
    const { broker } = await brokerWith(t);
    const client = await new RawClient(broker).open();
    await client.channel();
    client.raw(Buffer.from(bytes, 'hex'));
    assert.equal((await client.method('connection.close')).replyCode, replyCode);
    client.destroy();
    await client.closed;
  });
}

test('commands behind a declaration that waits for the disk are answered in their order', async (t) => {
  const { broker } = await brokerWith(t);
  const client = await new RawClient(broker).open();
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 't', noAck: true });
  client.send(1, { name: 'queue.purge', queue: 'q' });
  client.publish(1, 'q', { properties: {}, body: Buffer.from('x') });
  const names: string[] = [];
  while (names.length < 4) {
    const frame = await client.frame();
    if (frame?.type === 'method') names.push(frame.method.name);
  }
  assert.deepEqual(names, ['queue.declare-ok', 'basic.consume-ok', 'queue.purge-ok', 'basic.deliver']);
  await leave(client);
});

test('after a channel error the other channels go on, and the number can be used again', async (t) => {
  const { broker } = await brokerWith(t);
  const client = await new RawClient(broker).open();
  await client.channel(1);
  await client.channel(2);
  client.send(1, { name: 'queue.declare', queue: 'nowhere', passive: true });
  const close = await client.method('channel.close');
  assert.deepEqual([close.replyCode, close.classId, close.methodId], [404, 50, 10]);
  client.send(1, { name: 'queue.declare', queue: 'ignored', durable: true });
  client.send(2, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  client.send(1, { name: 'channel.close-ok' });
  await client.channel(1);
  assert.deepEqual([...(broker.vhosts.get('/')?.queues.keys() ?? [])], ['q']);
  await leave(client);
});

test('deliveries go in frames of the agreed size', async (t) => {
  const { broker } = await brokerWith(t);
  const client = await new RawClient(broker).open({ frameMax: 4096 });
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 't', noAck: true });
  await client.method('basic.consume-ok');
  const other = await new RawClient(broker).open();
  await other.channel();
  other.publish(1, 'q', { properties: {}, body: Buffer.alloc(10_000) });
  await client.method('basic.deliver');
  const sizes: number[] = [];
  for (let frame = await client.frame(); sizes.length < 3; frame = await client.frame()) {
    if (frame?.type === 'body') sizes.push(frame.payload.length);
    if (sizes.length === 3) break;
  }
  assert.deepEqual(sizes, [4088, 4088, 1824]);
  await leave(client);
  await leave(other);
});

test('low disk space is told, publishes wait, everything else goes on, and it ends', async (t) => {
  let free = 1000;
  const { broker } = await brokerWith(t, { limits: { diskFreeBytesMin: 500 }, diskFreeBytes: () => free });
  const client = await new RawClient(broker).open({ capabilities: { 'connection.blocked': true } });
  const [reader, simple] = [await new RawClient(broker).open(), await new RawClient(broker).open()];
  for (const each of [client, reader, simple]) await each.channel();
  client.send(1, { name: 'confirm.select' });
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  const publish = (by: RawClient, body: string): void =>
    by.publish(1, 'q', { properties: { deliveryMode: 2 }, body: Buffer.from(body) });
  const ready = (): number | undefined => broker.vhosts.get('/')?.queues.get('q')?.readyCount;
  publish(client, '1');
  await client.method('basic.ack');
  free = 499;
  await broker.checkResources();
  assert.equal((await client.method('connection.blocked')).reason, 'low on disk');
  for (const by of [client, simple]) {
    publish(by, '2');
    if (by === simple) by.send(1, { name: 'queue.declare', queue: 'q', passive: true });
  }
  reader.send(1, { name: 'basic.get', queue: 'q' });
  const { deliveryTag } = await reader.method('basic.get-ok');
  reader.send(1, { name: 'basic.ack', deliveryTag });
  reader.send(1, { name: 'queue.declare', queue: 'late', durable: true });
  await reader.method('queue.declare-ok');
  assert.equal(ready(), 0);
  assert.deepEqual(states(broker), ['blocked', 'blocked', 'running']);
  free = 500;
  await broker.checkResources();
  await client.method('connection.unblocked');
  assert.equal((await client.method('basic.ack')).deliveryTag, 2);
  await simple.method('queue.declare-ok');
  assert.equal(ready(), 2);
  for (const each of [client, reader, simple]) await leave(each);
});

test('a client whose publish waits for room is told when the broker stops', async () => {
  let free = 1000;
  const limits = { diskFreeBytesMin: 500 };
  const broker = await startBroker({
    store: new MemoryStore(),
    users: [{ name: 'guest', password: 'guest' }],
    clock: new SimulatedClock(),
    limits,
    diskFreeBytes: () => free,
  });
  const client = await new RawClient(broker).open();
  await client.channel();
  free = 499;
  await broker.checkResources();
  client.publish(1, 'q', { properties: {}, body: Buffer.from('1') });
  while (states(broker)[0] !== 'blocked') await turns(1);
  const stopped = broker.stop();
  assert.equal((await client.method('connection.close')).replyCode, 320);
  client.send(0, { name: 'connection.close-ok' });
  await stopped;
});

test('who publishes faster than the disk writes is not read until it has caught up', async (t) => {
  const store = new SlowStore();
  store.isSlow = false;
  const limits = { uncommittedBytesMax: 10_000 };
  const broker = await startBroker({ store, users: [{ name: 'guest', password: 'guest' }], limits });
  t.after(() => broker.stop());
  const client = await new RawClient(broker).open();
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  store.isSlow = true;
  const ready = (): number => broker.vhosts.get('/')?.queues.get('q')?.readyCount ?? 0;
  const publish = (): void => client.publish(1, 'q', { properties: { deliveryMode: 2 }, body: Buffer.alloc(1000) });
  publish();
  await turns(5);
  for (let count = 1; count < 500; count++) publish();
  await turns(50);
  const waiting = ready();
  assert.ok(waiting > 1 && waiting < 100, `${waiting} of 500 were read`);
  store.quicken();
  client.send(1, { name: 'queue.declare', queue: 'q', passive: true });
  assert.equal((await client.method('queue.declare-ok')).messageCount, 500);
  await leave(client);
});

test('a broker that could not look in time reads first what came meanwhile', () => {
  let [nowMs, look, silences] = [0, (): void => undefined, 0];
  const after = (_ms: number, action: () => void): Timer => {
    look = action;
    return { cancel: () => undefined };
  };
  const peer = {
    readAtMs: () => 0,
    writtenAtMs: () => 0,
    sendHeartbeat: () => undefined,
    onSilence: () => (silences += 1),
  };
  const _watching = new Heartbeat(
    { ...systemClock, after, monotonicMs: () => nowMs },
    { agreedMs: 10_000, leastMs: 5_000 },
    peer,
  );
  nowMs = 60_000;
  look();
  assert.equal(silences, 0, 'the look was due 55 s ago');
  nowMs += 5_000;
  look();
  assert.equal(silences, 1, 'and this one is in time');
});

test('a connection with much to do lets another one have its turn', async (t) => {
  let ticks = 0;
  const clock = { ...systemClock, monotonicMs: () => ++ticks };
  const broker = await startBroker({ store: new MemoryStore(), users: [{ name: 'guest', password: 'guest' }], clock });
  t.after(() => broker.stop());
  const [busy, other] = [await new RawClient(broker).open(), await new RawClient(broker).open()];
  await busy.channel();
  await other.channel();
  const writer = new FrameWriter();
  const asked = 1_000;
  for (let count = 0; count < asked; count++) {
    writer.method(1, { name: 'exchange.declare', exchange: 'amq.direct', type: 'direct', passive: true });
  }
  const answerBytes = 12;
  let answeredBytes = 0;
  busy.stream.on('data', (chunk: Buffer) => (answeredBytes += chunk.length));
  const answeredBefore = new Promise<number>((resolve) => other.stream.once('data', () => resolve(answeredBytes)));
  busy.raw(Buffer.concat(writer.take()));
  other.send(1, { name: 'exchange.declare', exchange: 'amq.direct', type: 'direct', passive: true });
  assert.ok((await answeredBefore) < asked * answerBytes, 'the other one is answered before all of the first');
  for (let count = 0; count < asked; count++) await busy.method('exchange.declare-ok');
  await other.method('exchange.declare-ok');
  await leave(busy);
  await leave(other);
});

function states(broker: Broker): string[] {
  return broker
    .connections()
    .map(({ state }) => state)
    .toSorted();
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test('a client that is not read because the disk is slow is not taken for silent', async (t) => {
  const store = new SlowStore();
  store.quicken();
  const { broker, clock } = await brokerWith(t, { store, limits: { uncommittedBytesMax: 1_000 } });
  const client = await new RawClient(broker).open({ heartbeat: 5 });
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  store.isSlow = true;
  const letter = { properties: { deliveryMode: 2 }, body: Buffer.alloc(2_000) };
  client.publish(1, 'q', letter);
  while (store.batches.length < 2) await new Promise((resolve) => setImmediate(resolve));
  client.publish(1, 'q', letter);
  await new Promise((resolve) => setImmediate(resolve));
  for (let beats = 0; beats < 20; beats++) {
    client.heartbeat();
    await clock.advance(5_000);
  }
  assert.equal(broker.connectionCount, 1);
  store.quicken();
  client.send(1, { name: 'queue.declare', queue: 'q', passive: true });
  assert.equal((await client.method('queue.declare-ok')).messageCount, 2);
  await leave(client);
});

for (const [asRabbitMq, product, version] of [
  [false, 'Torcello', /^"0\./],
  [true, 'RabbitMQ', /^"3\.10\./],
] as const) {
  test(`the broker calls itself ${product} ${asRabbitMq ? 'when it is told to' : 'by default'}`, async (t) => {
    const broker = await startBroker({ store: new MemoryStore(), asRabbitMq });
    t.after(() => broker.stop());
    const client = new RawClient(broker);
    client.protocolHeader();
    const { serverProperties } = await client.method('connection.start');
    assert.equal(serverProperties['product'], product);
    assert.match(JSON.stringify(serverProperties['version']), version);
  });
}
