import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { seededRandom } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';
import { open } from 'lmdb';
import { CommitLog } from '../src/store/commit-log.js';
import { LmdbStore } from '../src/store/lmdb-store.js';
import { emptyDisk, MemoryStore } from '../src/store/memory-store.js';
import { StoreDamage } from '../src/store/message-store.js';
import type { MessageStore, StoreOperation } from '../src/store/message-store.js';
import { checksumBytes, seal } from '../src/store/sealed-value.js';
import { SlowStore } from './support/slow-store.js';

function databaseFile(t: TestContext): string {
  const folder = temporaryFolder('store');
  t.after(() => folder.remove());
  return join(folder.path, 'broker.lmdb');
}

function value(text: string): Buffer {
  return seal(Buffer.concat([Buffer.alloc(checksumBytes), Buffer.from(text)]));
}

function contents(store: MessageStore): unknown {
  return {
    entities: [...store.entities()],
    messages: Array.from(store.messages(), ({ place, value: bytes }) => [place, Buffer.from(bytes).toString()]),
  };
}

/** Random changes over few names and places, so that they meet. */
function randomBatches(seed: number): StoreOperation[][] {
  const random = seededRandom(seed);
  const upTo = (most: number): number => Math.floor(random.fraction() * most);
  const operation = (): StoreOperation => {
    const place = { queue: upTo(4), position: upTo(3) === 0 ? 2 ** 40 + upTo(5) : upTo(20) };
    const key = `kind/${upTo(8)}`;
    const text = `${random.fraction()}`;
    const choices: readonly StoreOperation[] = [
      { kind: 'put-message', place, value: value(text) },
      { kind: 'put-message', place, value: value(text) },
      { kind: 'delete-message', place },
      { kind: 'put-entity', key, value: text },
      { kind: 'delete-entity', key },
    ];
    const chosen = choices[upTo(choices.length)];
    assert.ok(chosen !== undefined);
    return chosen;
  };
  return Array.from({ length: 40 }, () => Array.from({ length: 1 + upTo(20) }, operation));
}

for (const seed of [1, 2, 3]) {
  test(`LMDB holds what memory holds after random changes, also when opened again (seed ${seed})`, async (t) => {
    const file = databaseFile(t);
    const oracle = new MemoryStore();
    const store = new LmdbStore(file);
    for (const batch of randomBatches(seed)) {
      await oracle.commit(batch);
      await store.commit(batch);
    }
    assert.deepEqual(contents(store), contents(oracle));
    await store.close();
    const again = new LmdbStore(file);
    assert.deepEqual(contents(again), contents(oracle));
    await again.close();
  });
}

test('messages come back by queue and position, whatever order they were written in', async (t) => {
  const store = new LmdbStore(databaseFile(t));
  const places = [
    { queue: 2, position: 1 },
    { queue: 1, position: 2 ** 33 },
    { queue: 1, position: 255 },
    { queue: 1, position: 256 },
  ];
  await store.commit(places.map((place) => ({ kind: 'put-message', place, value: value('x') })));
  const found = Array.from(store.messages(), ({ place }) => `${place.queue}/${place.position}`);
  assert.deepEqual(found, ['1/255', '1/256', `1/${2 ** 33}`, '2/1']);
  await store.close();
});

test('a damaged message is reported by its place, not served', async (t) => {
  const file = databaseFile(t);
  const store = new LmdbStore(file);
  const place = { queue: 3, position: 9 };
  await store.commit([{ kind: 'put-message', place, value: value('good') }]);
  await store.close();
  const raw = open<Buffer, Buffer>({ path: file, noSubdir: true, encoding: 'binary', keyEncoding: 'binary' });
  const messages = raw.openDB<Buffer, Buffer>({ name: 'messages', encoding: 'binary', keyEncoding: 'binary' });
  const key = Buffer.from('000000030000000000000009', 'hex');
  const stored = Buffer.from(messages.get(key) ?? []);
  stored.writeUInt8(stored.readUInt8(stored.length - 1) ^ 1, stored.length - 1);
  await messages.put(key, stored);
  await raw.close();
  const again = new LmdbStore(file);
  assert.throws(() => again.read(place), StoreDamage);
  assert.throws(() => [...again.messages()], /message 9 of queue number 3/);
  await again.close();
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const put = (key: string): StoreOperation => ({ kind: 'put-entity', key, value: '' });

test('changes that come while a commit runs go together into the next one', async () => {
  const store = new SlowStore(emptyDisk());
  const log = new CommitLog(store, { onFailure: () => assert.fail() });
  const durable: string[] = [];
  const append = (key: string): void => log.whenDurable(log.append(put(key)).ticket, () => durable.push(key));
  append('a');
  append('b');
  await turn();
  append('c');
  append('d');
  await turn();
  assert.deepEqual([store.batches.length, durable], [1, []]);
  store.end();
  await turn();
  await turn();
  assert.deepEqual(durable, ['a', 'b']);
  assert.deepEqual(
    store.batches.map((batch) => batch.length),
    [2, 2],
  );
  store.end();
  await log.flushed();
  assert.deepEqual(durable, ['a', 'b', 'c', 'd']);
});

test('a change can be taken back until its commit begins', async () => {
  const store = new SlowStore(emptyDisk());
  const log = new CommitLog(store, { onFailure: () => assert.fail() });
  const early = log.append(put('a'));
  const kept = log.append(put('b'));
  assert.equal(log.takeBack(early), true);
  await turn();
  assert.equal(log.takeBack(kept), false);
  assert.deepEqual(store.batches[0], [put('b')]);
});

test('after a failed commit nothing becomes durable any more, and nothing is committed', async () => {
  const store = new SlowStore(emptyDisk());
  const failures: unknown[] = [];
  const log = new CommitLog(store, { onFailure: (error) => failures.push(error) });
  const durable: string[] = [];
  log.whenDurable(log.append(put('a')).ticket, () => durable.push('a'));
  await turn();
  log.whenDurable(log.append(put('b')).ticket, () => durable.push('b'));
  const failure = new Error('the disk is gone');
  store.end(failure);
  await turn();
  await turn();
  assert.deepEqual([failures, durable, store.batches.length], [[failure], [], 1]);
});
