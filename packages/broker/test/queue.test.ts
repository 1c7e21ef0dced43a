import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeProperties } from '@torcello/amqp091';
import type { BasicProperties, FieldTable } from '@torcello/amqp091';
import { SimulatedClock } from '@torcello/platform/testing';
import { Message } from '../src/queue/message.js';
import { queueOptions } from '../src/queue/queue-options.js';
import { Queue, refused } from '../src/queue/queue.js';
import type { QueueConsumer } from '../src/queue/consumer-list.js';
import type { QueueEntry } from '../src/queue/ready-list.js';
import { Pager } from '../src/pager.js';
import { CommitLog } from '../src/store/commit-log.js';
import { SharedBodies } from '../src/queue/shared-bodies.js';
import { emptyDisk, MemoryStore } from '../src/store/memory-store.js';

/** A queue with everything around it in the open. */
function world(
  args: FieldTable = {},
  shape: { readonly isDurable?: boolean; readonly isAutoDelete?: boolean; readonly memoryBytes?: number } = {},
) {
  const clock = new SimulatedClock();
  const disk = emptyDisk();
  const store = new MemoryStore(disk);
  const log = new CommitLog(store, { onFailure: (error) => assert.fail(String(error)) });
  const pager = new Pager(log, shape.memoryBytes ?? Infinity);
  const dead: string[] = [];
  const done: string[] = [];
  const queue = new Queue(
    {
      name: 'q',
      number: 7,
      isDurable: shape.isDurable ?? true,
      isAutoDelete: shape.isAutoDelete ?? false,
      owner: undefined,
      arguments: args,
      options: queueOptions(args),
    },
    {
      clock,
      log,
      pager,
      bodies: new SharedBodies(log),
      read: (place) => store.read(place),
      deadLetter: (_queue, message, reason) => dead.push(`${textOf(message)} ${reason}`),
      queueIsDone: (_queue, why) => done.push(why),
    },
  );
  const put = (body: string, properties: BasicProperties = {}): number =>
    queue.enqueue(messageOf(body, properties, clock.now()));
  return { clock, disk, log, pager, dead, done, queue, put };
}

function messageOf(body: string, properties: BasicProperties, arrivedAtMs: number): Message {
  const propertyBytes = encodeProperties(properties);
  return new Message({
    exchange: 'x',
    routingKey: 'k',
    properties,
    propertyBytes,
    body: Buffer.from(body),
    arrivedAtMs,
  });
}

function textOf(message: Message): string {
  return Buffer.from(message.body).toString();
}

class Reader implements QueueConsumer {
  readonly tag = 'reader';
  readonly isSettledAtOnce: boolean;
  readonly isExclusive = false;
  readonly priority: number;
  readonly taken: QueueEntry[] = [];
  credit: number;
  hasEnded = false;

  constructor(credit: number, options: { readonly priority?: number; readonly noAck?: boolean } = {}) {
    this.credit = credit;
    this.priority = options.priority ?? 0;
    this.isSettledAtOnce = options.noAck ?? false;
  }

  get bodies(): string[] {
    return this.taken.map(({ message }) => textOf(message));
  }

  canTake(): boolean {
    return this.taken.length < this.credit;
  }

  deliver(entry: QueueEntry): void {
    this.taken.push(entry);
  }

  onQueueEnd(): void {
    this.hasEnded = true;
  }
}

function attach(queue: Queue, reader: Reader): Reader {
  queue.addConsumer(reader);
  queue.dispatch();
  return reader;
}

const persistent: BasicProperties = { deliveryMode: 2 };

test('consumers take turns, and get no more than they can take', () => {
  const { queue, put } = world();
  const [one, two] = [attach(queue, new Reader(2)), attach(queue, new Reader(9))];
  for (const body of ['1', '2', '3', '4', '5']) put(body);
  assert.deepEqual(one.bodies, ['1', '3']);
  assert.deepEqual(two.bodies, ['2', '4', '5']);
});

test('a consumer of higher priority is served before the others', () => {
  const { queue, put } = world();
  const [low, high] = [attach(queue, new Reader(9)), attach(queue, new Reader(2, { priority: 5 }))];
  for (const body of ['1', '2', '3']) put(body);
  assert.deepEqual([high.bodies, low.bodies], [['1', '2'], ['3']]);
});

test('with a single active consumer the next in line takes over', () => {
  const { queue, put } = world({ 'x-single-active-consumer': true });
  const [one, two] = [attach(queue, new Reader(9)), attach(queue, new Reader(9))];
  put('1');
  queue.removeConsumer(one);
  put('2');
  assert.deepEqual([one.bodies, two.bodies], [['1'], ['2']]);
});

test('entries given back in any order return to their old places', () => {
  const { queue, put } = world();
  for (const body of ['1', '2', '3', '4', '5']) put(body);
  const entries = [queue.take(), queue.take(), queue.take()].flatMap((entry) => entry ?? []);
  queue.putBack([entries[1], entries[2], entries[0]].flatMap((entry) => entry ?? []));
  assert.deepEqual(attach(queue, new Reader(9)).bodies, ['1', '2', '3', '4', '5']);
});

test('higher priorities leave first, each in its own order', () => {
  const { queue, put } = world({ 'x-max-priority': 5 });
  put('low');
  put('high 1', { priority: 5 });
  put('above the highest', { priority: 200 });
  put('middle', { priority: 3 });
  assert.deepEqual(attach(queue, new Reader(9)).bodies, ['high 1', 'above the highest', 'middle', 'low']);
});

test('a full queue drops its oldest message', () => {
  const { queue, put, dead } = world({ 'x-max-length': 2 });
  for (const body of ['1', '2', '3']) put(body);
  assert.deepEqual(dead, ['1 maxlen']);
  assert.deepEqual(attach(queue, new Reader(9)).bodies, ['2', '3']);
});

test('length is bounded in bytes, too', () => {
  const { queue, put, dead } = world({ 'x-max-length-bytes': 5 });
  put('abc');
  put('def');
  assert.deepEqual([queue.readyCount, dead], [1, ['abc maxlen']]);
});

const overflowRows: readonly [overflow: string, dead: readonly string[]][] = [
  ['reject-publish', []],
  ['reject-publish-dlx', ['2 maxlen']],
];

for (const [overflow, expected] of overflowRows) {
  test(`a full queue with ${overflow} refuses the new message`, () => {
    const { queue, put, dead } = world({ 'x-max-length': 1, 'x-overflow': overflow });
    assert.equal(put('1'), 0);
    assert.equal(put('2'), refused);
    assert.deepEqual([queue.readyCount, dead], [1, expected]);
  });
}

test('what was delivered does not count towards the length', () => {
  const { queue, put } = world({ 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  attach(queue, new Reader(1));
  assert.deepEqual([put('1'), put('2'), put('3')], [0, 0, refused]);
});

test('a message expires after the time of its queue', async () => {
  const { clock, queue, put, dead } = world({ 'x-message-ttl': 1000 });
  put('1');
  await clock.advance(999);
  assert.equal(queue.readyCount, 1);
  await clock.advance(1);
  assert.deepEqual([queue.readyCount, dead], [0, ['1 expired']]);
});

test('of many messages that expire at once each turn drops some, and nobody gets one meanwhile', async () => {
  const { clock, queue, put, dead } = world();
  for (let number = 0; number < 1_200; number++) put(String(number), { expiration: '1000' });
  put('lives', { expiration: '5000' });
  const reader = new Reader(1);
  let droppedFirst = 0;
  clock.after(1000, () => {
    droppedFirst = dead.length;
    attach(queue, reader);
  });
  await clock.advance(1000);
  assert.equal(droppedFirst, 500);
  assert.equal(dead.length, 1_200);
  assert.deepEqual(reader.bodies, ['lives']);
});

test('the smaller one of two times to live counts', async () => {
  const { clock, put, dead } = world({ 'x-message-ttl': 1000 });
  put('short', { expiration: '10' });
  put('long', { expiration: '5000' });
  await clock.advance(1000);
  assert.deepEqual(dead, ['short expired', 'long expired']);
});

test('a message expires only at the head: behind one without a time to live it waits', async () => {
  const { clock, queue, put, dead } = world();
  put('forever');
  put('short', { expiration: '10' });
  await clock.advance(100);
  assert.deepEqual(dead, []);
  const head = queue.take();
  assert.deepEqual(dead, ['short expired']);
  assert.ok(head !== undefined);
});

test('a time to live of 0 means: only if somebody takes it now', () => {
  const { queue, put, dead } = world();
  put('1', { expiration: '0' });
  assert.deepEqual(dead, ['1 expired']);
  const reader = attach(queue, new Reader(9));
  put('2', { expiration: '0' });
  assert.deepEqual(reader.bodies, ['2']);
});

test('giving back does not give a message more time', async () => {
  const { clock, queue, put, dead } = world({ 'x-message-ttl': 1000 });
  put('1');
  const entry = queue.take();
  await clock.advance(1500);
  assert.deepEqual(dead, []);
  queue.putBack(entry === undefined ? [] : [entry]);
  assert.deepEqual([queue.readyCount, dead], [0, ['1 expired']]);
});

test('a queue that nobody uses ends', async () => {
  const { clock, queue, done } = world({ 'x-expires': 1000 });
  await clock.advance(900);
  queue.touch();
  await clock.advance(900);
  assert.deepEqual(done, []);
  await clock.advance(100);
  assert.deepEqual(done, ['unused']);
});

test('a queue with a consumer does not end, and counts anew when the consumer goes', async () => {
  const { clock, queue, done } = world({ 'x-expires': 1000 });
  const reader = attach(queue, new Reader(1));
  await clock.advance(5000);
  queue.removeConsumer(reader);
  await clock.advance(999);
  assert.deepEqual(done, []);
  await clock.advance(1);
  assert.deepEqual(done, ['unused']);
});

test('an auto-delete queue ends with its last consumer, and not before it had one', () => {
  const { queue, done } = world({}, { isAutoDelete: true });
  const [one, two] = [attach(queue, new Reader(1)), attach(queue, new Reader(1))];
  queue.removeConsumer(one);
  assert.deepEqual(done, []);
  queue.removeConsumer(two);
  assert.deepEqual(done, ['last-consumer-gone']);
});

test('a quorum queue dead-letters what came back more often than its limit', () => {
  const { queue, put, dead } = world({ 'x-queue-type': 'quorum', 'x-delivery-limit': 2 });
  put('1');
  for (let time = 0; time < 2; time++) queue.putBack([queue.take()].flatMap((entry) => entry ?? []));
  assert.deepEqual(dead, []);
  queue.putBack([queue.take()].flatMap((entry) => entry ?? []));
  assert.deepEqual(dead, ['1 delivery_limit']);
});

test('a lifted delivery limit never ends a message', () => {
  const { queue, put, dead } = world({ 'x-queue-type': 'quorum', 'x-delivery-limit': -1 });
  put('1');
  for (let time = 0; time < 50; time++) queue.putBack([queue.take()].flatMap((entry) => entry ?? []));
  assert.deepEqual([queue.readyCount, dead], [1, []]);
});

const storageRows: readonly [isDurable: boolean, properties: BasicProperties, isStored: boolean][] = [
  [true, persistent, true],
  [true, {}, false],
  [false, persistent, false],
];

for (const [isDurable, properties, isStored] of storageRows) {
  const what = `a ${properties === persistent ? 'persistent' : 'transient'} message in a ${isDurable ? 'durable' : 'transient'} queue`;
  test(`${what} is ${isStored ? '' : 'not '}stored, and gone from the store once it is settled`, async () => {
    const { disk, log, queue, put } = world({}, { isDurable });
    put('1', properties);
    await log.flushed();
    assert.equal(disk.messages.size, isStored ? 1 : 0);
    const entry = queue.take();
    assert.ok(entry !== undefined);
    queue.settle(entry);
    await log.flushed();
    assert.equal(disk.messages.size, 0);
  });
}

test('a message that was settled before its commit began never reaches the store', async () => {
  const { disk, log, queue, put } = world();
  attach(queue, new Reader(9, { noAck: true }));
  put('1', persistent);
  const quick = new Reader(9);
  queue.removeConsumer(quick);
  await log.flushed();
  assert.equal(disk.messages.size, 0);
});

test('deleting a queue forgets its messages, also those that are out, and tells its consumers', async () => {
  const { disk, log, queue, put } = world();
  const reader = attach(queue, new Reader(1));
  put('out', persistent);
  put('waiting', persistent);
  await log.flushed();
  assert.equal(disk.messages.size, 2);
  assert.equal(queue.delete(), 1);
  await log.flushed();
  assert.deepEqual([disk.messages.size, reader.hasEnded], [0, true]);
});

test('no timer is left when a queue is deleted', () => {
  const { clock, queue, put } = world({ 'x-expires': 1000, 'x-message-ttl': 500 });
  put('1');
  assert.equal(clock.timers, 2);
  queue.delete();
  assert.equal(clock.timers, 0);
});

const badArguments: readonly FieldTable[] = [
  { 'x-message-ttl': -1 },
  { 'x-message-ttl': 'soon' },
  { 'x-message-ttl': 1.5 },
  { 'x-expires': 0 },
  { 'x-max-priority': 256 },
  { 'x-max-length': -1 },
  { 'x-overflow': 'explode' },
  { 'x-queue-type': 'fast' },
  { 'x-dead-letter-routing-key': 'k' },
];

for (const args of badArguments) {
  test(`the arguments ${JSON.stringify(args)} are refused`, () => {
    assert.throws(() => queueOptions(args), { reply: 'PRECONDITION_FAILED' });
  });
}
