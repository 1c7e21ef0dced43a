import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { decodeLimits, FrameReader, FrameWriter, headersBytesMax } from '@torcello/amqp091';
import type { FieldTable, MethodName, OutgoingMethod } from '@torcello/amqp091';
import { silentLogger } from '@torcello/platform';
import { seededRandom, SimulatedClock } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';
import { Alarms } from '../src/alarms.js';
import { defaultLimits, DiskReserve, MemoryStore, startBroker } from '../src/index.js';
import type { BrokerLimits } from '../src/index.js';
import { startManagement } from '../src/management/management.js';
import { Pager } from '../src/pager.js';
import { CommitLog } from '../src/store/commit-log.js';
import { RawClient } from './support/raw-client.js';
import { SlowStore } from './support/slow-store.js';
import { SmallDiskStore } from './support/small-disk.js';
import { testBroker } from './support/test-broker.js';

const users = [{ name: 'guest', password: 'guest' }];
/** One below a limit, the limit, and one above it. */
const around = [-1, 0, 1] as const;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Bytes of a name of one letter, and of the kind and length of a text. */
const textEntryBytes = 7;
/** Bytes of the properties of a message that has none. */
const noPropertiesBytes = 2;

for (const over of around) {
  const isRefused = over > 0;
  const name = `transactionBytesMax ${over}: a transaction is ${isRefused ? 'refused' : 'held and committed'}`;
  test(name, async (t) => {
    const overhead = 128 + noPropertiesBytes;
    const { broker } = await testBroker(t, { limits: { transactionBytesMax: 2_000 } });
    const client = await new RawClient(broker).open();
    await client.channel();
    client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
    await client.method('queue.declare-ok');
    client.send(1, { name: 'tx.select' });
    await client.method('tx.select-ok');
    for (const bytes of [1_000, 1_000 + over]) {
      client.publish(1, 'q', { properties: {}, body: Buffer.alloc(bytes - overhead) });
    }
    client.send(1, { name: 'tx.commit' });
    if (isRefused) assert.equal((await client.method('channel.close')).replyCode, 506);
    else await client.method('tx.commit-ok');
    assert.equal(broker.vhosts.get('/')?.queues.get('q')?.readyCount, isRefused ? 0 : 2);
  });
}

for (const over of around) {
  const isRead = over < 0;
  test(`channelBacklogFramesMax ${over}: the connection is ${isRead ? 'read on' : 'not read any more'}`, async (t) => {
    const store = new SlowStore();
    store.isSlow = false;
    const broker = await startBroker({ store, users, limits: { channelBacklogFramesMax: 10 } });
    t.after(() => {
      store.quicken();
      return broker.stop();
    });
    const client = await new RawClient(broker).open();
    await client.channel();
    await client.channel(2);
    store.isSlow = true;
    client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
    for (let frame = 0; frame < 10 + over; frame++)
      client.send(1, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 1 });
    client.send(2, { name: 'queue.declare', queue: 'amq.rabbitmq.reply-to', passive: true });
    await turns(20);
    store.quicken();
    const first = await client.frame();
    assert.ok(first?.type === 'method' && first.method.name === 'queue.declare-ok', 'a declaration is answered');
    assert.equal(first.channel, isRead ? 2 : 1);
    for (let frame = 0; frame < 10 + over; frame++) await client.method('basic.qos-ok');
  });
}

/** Bytes that one publish of 1,000 bytes keeps waiting. */
async function waitingBytesOfOne(): Promise<number> {
  const store = new SlowStore();
  const log = new CommitLog(store, { onFailure: () => undefined });
  log.append({ kind: 'delete-entity', key: 'x' });
  await turns(3);
  const { broker, client, last } = await publisher(new SlowStore(), 1e9);
  client.publish(1, 'q', { properties: { deliveryMode: 2 }, body: Buffer.alloc(1_000) });
  await turns(10);
  const [operation] = last();
  assert.ok(operation?.kind === 'put-message', 'a message is stored');
  log.append(operation);
  const { waitingBytes } = log;
  broker();
  return waitingBytes;
}

async function publisher(store: SlowStore, uncommittedBytesMax: number) {
  store.isSlow = false;
  const broker = await startBroker({ store, users, limits: { uncommittedBytesMax } });
  const client = await new RawClient(broker).open();
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  const ready = (): number => broker.vhosts.get('/')?.queues.get('q')?.readyCount ?? 0;
  return { client, ready, last: () => store.batches.at(-1) ?? [], broker: () => void broker.stop() };
}

for (const over of around) {
  const isRead = over > 0;
  const name = `uncommittedBytesMax ${over} over what waits: publishers are ${isRead ? 'read' : 'not read'} on`;
  test(name, async (t) => {
    const store = new SlowStore();
    const { client, ready, broker } = await publisher(store, (await waitingBytesOfOne()) + over);
    t.after(() => {
      store.quicken();
      broker();
    });
    store.isSlow = true;
    const publish = async (): Promise<void> => {
      client.publish(1, 'q', { properties: { deliveryMode: 2 }, body: Buffer.alloc(1_000) });
      await turns(10);
    };
    await publish();
    await publish();
    await publish();
    assert.equal(ready(), isRead ? 3 : 2);
    store.quicken();
    await turns(10);
    assert.equal(ready(), 3);
  });
}

/** A client whose socket takes nothing any more from a certain moment on. */
class StuckStream extends Duplex {
  isStuck = false;
  readonly #reader = new FrameReader({ role: 'client' });
  readonly #writer = new FrameWriter();
  readonly #seen: MethodName[] = [];
  #wake: () => void = () => undefined;

  override _read(): void {
    // Bytes are pushed by `send`.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.isStuck) return;
    this.#reader.push(chunk);
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      if (frame.type === 'method') this.#seen.push(frame.method.name);
    }
    this.#wake();
    done();
  }

  send(channel: number, method: OutgoingMethod): void {
    this.#writer.method(channel, method);
    this.push(Buffer.concat(this.#writer.take()));
  }

  async saw(name: MethodName): Promise<void> {
    while (!this.#seen.includes(name)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async open(): Promise<void> {
    this.#writer.protocolHeader();
    this.push(Buffer.concat(this.#writer.take()));
    await this.saw('connection.start');
    const response = Buffer.from('\0guest\0guest');
    this.send(0, { name: 'connection.start-ok', clientProperties: {}, mechanism: 'PLAIN', response, locale: 'en_US' });
    await this.saw('connection.tune');
    this.send(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 });
    this.send(0, { name: 'connection.open', virtualHost: '/' });
    await this.saw('connection.open-ok');
    this.send(1, { name: 'channel.open' });
    await this.saw('channel.open-ok');
  }
}

for (const over of around) {
  const answered = over < 0 ? 3 : 4;
  test(`unreadBytesMax ${over} over three answers: who reads none of them is heard ${answered} times`, async (t) => {
    const writer = new FrameWriter();
    for (let count = 0; count < 3; count++) writer.method(1, { name: 'basic.get-empty' });
    const { broker } = await testBroker(t, { limits: { unreadBytesMax: writer.byteLength + over } });
    const stream = new StuckStream();
    broker.accept(stream);
    await stream.open();
    stream.send(1, { name: 'queue.declare', queue: 'q', exclusive: true });
    await stream.saw('queue.declare-ok');
    stream.isStuck = true;
    const asked = new FrameWriter();
    for (let count = 0; count < 10; count++) asked.method(1, { name: 'basic.get', queue: 'q' });
    stream.push(Buffer.concat(asked.take()));
    await turns(20);
    assert.equal(broker.counters.gotNothing, answered);
    stream.destroy();
    await turns(5);
  });
}

test('unreadBytesMax: who reads late gets every answer', async (t) => {
  const { broker } = await testBroker(t, { limits: { unreadBytesMax: 100 } });
  const client = await new RawClient(broker).open();
  await client.channel();
  client.send(1, { name: 'queue.declare', queue: 'q', exclusive: true });
  const asked = new FrameWriter();
  for (let count = 0; count < 1_000; count++) asked.method(1, { name: 'basic.get', queue: 'q' });
  client.raw(Buffer.concat(asked.take()));
  for (let count = 0; count < 1_000; count++) await client.method('basic.get-empty');
  client.destroy();
});

/** Bytes of the answer to `basic.consume` and of the first delivery. */
function bytesOfFirst(bodyBytes: number): number {
  const writer = new FrameWriter();
  writer.method(1, { name: 'basic.consume-ok', consumerTag: 'c' });
  const about = { consumerTag: 'c', deliveryTag: 1, redelivered: false, exchange: '', routingKey: 'q' };
  writer.content(1, { name: 'basic.deliver', ...about }, { properties: {}, body: Buffer.alloc(bodyBytes) });
  return writer.byteLength;
}

for (const over of around) {
  const delivered = over > 0 ? 2 : 1;
  test(`outboundBytesMax ${over} over the first delivery: a reader that takes nothing gets ${delivered}`, async (t) => {
    const { broker } = await testBroker(t, { limits: { outboundBytesMax: bytesOfFirst(1_000) + over } });
    const filler = await new RawClient(broker).open();
    await filler.channel();
    filler.send(1, { name: 'queue.declare', queue: 'q', durable: true });
    for (let count = 0; count < 5; count++) filler.publish(1, 'q', { properties: {}, body: Buffer.alloc(1_000) });
    filler.send(1, { name: 'queue.declare', queue: 'q', passive: true });
    await filler.method('queue.declare-ok');
    const stream = new StuckStream();
    broker.accept(stream);
    await stream.open();
    stream.isStuck = true;
    stream.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 'c' });
    await turns(20);
    assert.equal(broker.vhosts.get('/')?.queues.get('q')?.unsettledCount, delivered);
    stream.destroy();
    await turns(5);
    assert.equal(broker.vhosts.get('/')?.queues.get('q')?.readyCount, 5);
  });
}

function alarms(
  limits: Partial<BrokerLimits>,
  figures: { disk: number; memory: number },
  clock = new SimulatedClock(),
) {
  const resources = {
    diskFreeBytes: () => Promise.resolve(figures.disk),
    memoryBytes: () => figures.memory,
  };
  const all = { ...defaultLimits, ...limits };
  return new Alarms({ clock, logger: silentLogger, limits: all, resources, onChange: () => undefined });
}

for (const over of around) {
  test(`diskFreeBytesMin ${over}: publishes are ${over < 0 ? 'refused' : 'taken'}`, async () => {
    const one = alarms({ diskFreeBytesMin: 1_000 }, { disk: 1_000 + over, memory: 0 });
    await one.look();
    assert.equal(one.reason, over < 0 ? 'low on disk' : undefined);
  });

  test(`memoryBytesMax ${over}: publishes are ${over > 0 ? 'refused' : 'taken'}`, async () => {
    const one = alarms({ memoryBytesMax: 1_000 }, { disk: 1e12, memory: 1_000 + over });
    await one.look();
    assert.equal(one.reason, over > 0 ? 'low on memory' : undefined);
  });

  test(`resourceCheckMs ${over}: a full disk is ${over < 0 ? 'not yet seen' : 'seen'}`, async (t) => {
    const figures = { disk: 1e12, memory: 0 };
    const clock = new SimulatedClock();
    const one = alarms({ resourceCheckMs: 5_000 }, figures, clock);
    t.after(() => one.stop());
    await one.start();
    figures.disk = 1;
    await clock.advance(5_000 + over);
    assert.equal(one.reason, over < 0 ? undefined : 'low on disk');
  });

  test(`residentMessageBytesMax ${over}: a queue ${over > 0 ? 'lets go' : 'keeps'} of what it holds`, async () => {
    const log = new CommitLog(new MemoryStore(), { onFailure: () => undefined });
    const pager = new Pager(log, 1_000);
    let cooled = 0;
    const queue = { cool: () => void cooled++ };
    pager.changed(queue, 600);
    pager.changed(queue, 400 + over);
    await turns(5);
    assert.equal(cooled, over > 0 ? 1 : 0);
  });

  test(`diskReserveBytes ${over} beside a block: exactly so much room is taken`, (t) => {
    const folder = temporaryFolder('reserve');
    t.after(() => folder.remove());
    const reserve = new DiskReserve(folder.path, { bytes: 65_536 + over, random: seededRandom(1) });
    reserve.take();
    assert.equal(statSync(join(folder.path, 'reserve')).size, 65_536 + over);
    assert.deepEqual([reserve.release(), reserve.release()], [true, false]);
  });

  test(`fullDiskRetryMs ${over}: an acknowledgement is ${over < 0 ? 'not yet' : ''} tried again`, async () => {
    const store = new SmallDiskStore();
    const clock = new SimulatedClock();
    const limits = { fullDiskRetryMs: 3_000, resourceCheckMs: 1_000_000 };
    const broker = await startBroker({ store, clock, users, limits });
    const client = await new RawClient(broker).open();
    await client.channel();
    client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
    client.publish(1, 'q', { properties: { deliveryMode: 2 }, body: Buffer.from('1') });
    client.send(1, { name: 'basic.get', queue: 'q' });
    await client.method('basic.get-ok');
    await broker.durable();
    store.isFull = true;
    client.send(1, { name: 'basic.ack', deliveryTag: 1 });
    await turns(10);
    store.isFull = false;
    await clock.advance(3_000 + over);
    await turns(10);
    assert.equal([...store.messages()].length, over < 0 ? 1 : 0);
    client.destroy();
    await broker.stop();
    assert.equal([...store.messages()].length, 0);
  });

  test(`consumerTimeoutMs ${over}: a delivery that waits is ${over < 0 ? 'left alone' : 'taken back'}`, async (t) => {
    const clock = new SimulatedClock();
    const limits = { consumerTimeoutMs: 5_000, consumerTimeoutCheckMs: 1 };
    const { broker } = await testBroker(t, { clock, limits });
    const client = await new RawClient(broker).open();
    await client.channel();
    client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
    client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 'c' });
    client.publish(1, 'q', { properties: {}, body: Buffer.from('1') });
    await client.method('basic.deliver');
    await clock.advance(5_000 + over);
    assert.equal(broker.vhosts.get('/')?.queues.get('q')?.unsettledCount, over < 0 ? 1 : 0);
    client.destroy();
  });

  test(`loginMsMax ${over}: a client that says nothing is ${over < 0 ? 'waited for' : 'dropped'}`, async (t) => {
    const clock = new SimulatedClock();
    const { broker } = await testBroker(t, { clock, limits: { loginMsMax: 5_000 } });
    const client = new RawClient(broker);
    await clock.advance(5_000 + over);
    assert.equal(broker.connectionCount, over < 0 ? 1 : 0);
    client.destroy();
  });

  test(`heartbeatMsMin ${over}: silence is judged by ${over > 0 ? 'what was agreed' : 'the least interval'}`, async (t) => {
    const clock = new SimulatedClock();
    const { broker } = await testBroker(t, { clock, limits: { heartbeatMsMin: 5_000 } });
    const client = await new RawClient(broker).open({ heartbeat: 5 + over });
    await clock.advance(10_001);
    assert.equal(broker.connectionCount, over > 0 ? 1 : 0);
    client.destroy();
  });
}

for (const over of around) {
  const isRefused = over > 0;
  test(`headersBytesMax ${over}: the headers of a message are ${isRefused ? 'a syntax error' : 'taken, kept and handed out'}`, async (t) => {
    const { broker } = await testBroker(t);
    const client = await new RawClient(broker).open();
    await client.channel();
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
    for (const [queue, table] of [['q', args] as const, ['dead', {}] as const]) {
      client.send(1, { name: 'queue.declare', queue, durable: true, arguments: table });
      await client.method('queue.declare-ok');
    }
    const headers = { a: 'x'.repeat(headersBytesMax + over - textEntryBytes) };
    client.publish(1, 'q', { properties: { deliveryMode: 2, headers }, body: Buffer.from('body') });
    client.send(1, { name: 'basic.get', queue: 'q' });
    if (isRefused) return assert.equal((await client.method('connection.close')).replyCode, 502);
    client.send(1, { name: 'basic.reject', deliveryTag: (await client.method('basic.get-ok')).deliveryTag });
    client.send(1, { name: 'basic.get', queue: 'dead', noAck: true });
    await client.method('basic.get-ok');
    const frame = await client.frame();
    assert.ok(frame?.type === 'header' && frame.propertyBytes.length > headersBytesMax + over, 'with its death');
  });
}

function nested(depth: number): FieldTable {
  return depth === 1 ? {} : { t: nested(depth - 1) };
}

/** Tables of exactly the depth, number of values or size that the decoder's limits name. */
const tables: readonly [limit: keyof typeof decodeLimits, make: (amount: number) => FieldTable][] = [
  ['tableDepthMax', nested],
  ['tableEntriesMax', (count) => Object.fromEntries(Array.from({ length: count }, (_, number) => [`${number}`, true]))],
  ['tableBytesMax', (bytes) => ({ a: 'x'.repeat(bytes - textEntryBytes) })],
];

for (const [limit, make] of tables) {
  for (const over of around) {
    test(`${limit} ${over}: a table of a client is ${over > 0 ? 'a syntax error' : 'read'}`, async (t) => {
      const { broker } = await testBroker(t);
      const client = await new RawClient(broker).open();
      await client.channel();
      const args = make(decodeLimits[limit] + over);
      client.send(1, { name: 'queue.declare', queue: 'q', durable: true, arguments: args });
      if (over > 0) assert.equal((await client.method('connection.close')).replyCode, 502);
      else await client.method('queue.declare-ok');
    });
  }
}

/** Requests of exactly the size, or number, that a limit of the management interface names. */
const requests: readonly [
  limit: keyof BrokerLimits,
  most: number,
  ask: (put: Put, amount: number) => Promise<number>,
][] = [
  ['managementBodyBytesMax', 500, (put, bytes) => put('PUT', 'users/u', padded({ password_hash: '' }, bytes))],
  ['definitionsBytesMax', 500, (put, bytes) => put('POST', 'definitions', padded({}, bytes))],
  ['usersMax', 3, (put, count) => each(count - 1, (number) => put('PUT', `users/${number}`, '{"password_hash":""}'))],
  ['usersMax', 3, (put, count) => put('POST', 'definitions', JSON.stringify({ users: usersNamed(count - 1) }))],
];

type Put = (method: string, path: string, body: string) => Promise<number>;

function padded(body: object, bytes: number): string {
  const empty = JSON.stringify({ ...body, x: '' });
  return JSON.stringify({ ...body, x: '.'.repeat(bytes - empty.length) });
}

function usersNamed(count: number): unknown[] {
  return Array.from({ length: count }, (_, number) => ({ name: `${number}`, password_hash: '', tags: [] }));
}

async function each(count: number, ask: (number: number) => Promise<number>): Promise<number> {
  let status = 0;
  for (let number = 0; number < count; number++) status = await ask(number);
  return status;
}

requests.forEach(([limit, most, ask], row) => {
  for (const over of around) {
    test(`${limit} ${over}: request ${row + 1} is ${over > 0 ? 'refused' : 'taken'}`, async (t) => {
      const limits = { ...defaultLimits, [limit]: most };
      const { broker } = await testBroker(t, { limits });
      const at = { host: '127.0.0.1', port: 0 };
      const management = await startManagement({ broker, limits, logger: silentLogger, at });
      t.after(() => management.stop());
      const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` };
      const put: Put = async (method, path, body) =>
        (await fetch(`http://127.0.0.1:${management.address.port}/api/${path}`, { method, headers, body })).status;
      const status = await ask(put, most + over);
      const refusal = limit === 'usersMax' ? 400 : 413;
      assert.ok(over > 0 ? status === refusal : status === 201 || status === 204, `${status}`);
    });
  }
});

test('every limit has a test that names it', () => {
  const folder = new URL('.', import.meta.url);
  const texts = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
  const all = texts.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  for (const name of Object.keys(defaultLimits)) assert.ok(all.includes(name), `no test names ${name}`);
});
