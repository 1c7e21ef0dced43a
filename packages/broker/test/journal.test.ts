import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { seededRandom } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';
import { LmdbStore } from '../src/store/lmdb-store.js';
import { MemoryStore } from '../src/store/memory-store.js';
import { StoreDamage } from '../src/store/message-store.js';
import type { MessageStore, StoreOperation } from '../src/store/message-store.js';
import { checksumBytes, seal } from '../src/store/sealed-value.js';

interface Files {
  readonly database: string;
  readonly journal: string;
}

function filesIn(t: TestContext): Files {
  const folder = temporaryFolder('journal');
  t.after(() => folder.remove());
  const database = join(folder.path, 'broker.lmdb');
  return { database, journal: `${database}.journal` };
}

/** What a broker that was killed now would leave behind. */
function leftBehind(t: TestContext, from: Files): Files {
  const to = filesIn(t);
  copyFileSync(from.database, to.database);
  copyFileSync(from.journal, to.journal);
  return to;
}

function put(queue: number, position: number, bytes: number): StoreOperation {
  const value = seal(Buffer.concat([Buffer.alloc(checksumBytes), Buffer.alloc(bytes, `${queue}.${position} `)]));
  return { kind: 'put-message', place: { queue, position }, value };
}

function contents(store: MessageStore): unknown {
  return {
    entities: [...store.entities()],
    messages: Array.from(store.messages(), ({ place, value }) => [place, value.toString('latin1')]),
  };
}

async function contentsOf({ database }: Files): Promise<unknown> {
  const store = new LmdbStore(database);
  try {
    return contents(store);
  } finally {
    await store.close();
  }
}

/** Commits by seed: mostly small ones, some too large for the journal, some that empty it. */
function randomCommits(seed: number): StoreOperation[][] {
  const random = seededRandom(seed);
  const upTo = (most: number): number => Math.floor(random.fraction() * most);
  const change = (): StoreOperation => {
    const place = { queue: upTo(3), position: upTo(5) === 0 ? 2 ** 40 + upTo(5) : upTo(30) };
    const key = `kind/${upTo(8)} ñ`;
    const kind = upTo(4);
    if (kind === 0) return { kind: 'delete-message', place };
    if (kind === 1) return { kind: 'put-entity', key, value: `"${random.fraction()}ñ"` };
    if (kind === 2) return { kind: 'delete-entity', key };
    return put(place.queue, place.position, upTo(20) === 0 ? 100_000 : upTo(600));
  };
  return Array.from({ length: 60 }, () => Array.from({ length: upTo(10) === 0 ? 1_500 : 1 + upTo(12) }, change));
}

for (const seed of [1, 2, 3]) {
  test(`killed after any commit, the store has every commit and nothing else (seed ${seed})`, async (t) => {
    const files = filesIn(t);
    const oracle = new MemoryStore();
    const store = new LmdbStore(files.database);
    for (const [number, commit] of randomCommits(seed).entries()) {
      await oracle.commit(commit);
      await store.commit(commit);
      for (const change of commit) {
        if (change.kind !== 'put-message' && change.kind !== 'delete-message') continue;
        assert.deepEqual(store.read(change.place), oracle.read(change.place), `after commit ${number}`);
      }
      if (number % 7 !== 0) continue;
      assert.deepEqual(await contentsOf(leftBehind(t, files)), contents(oracle), `killed after commit ${number}`);
    }
    await store.close();
    assert.deepEqual(await contentsOf(files), contents(oracle), 'opened again after an orderly end');
  });
}

test('an orderly end leaves nothing in the journal', async (t) => {
  const files = filesIn(t);
  const store = new LmdbStore(files.database);
  await store.commit([put(1, 1, 10)]);
  const expected = contents(new MemoryStore());
  await store.close();
  writeFileSync(files.journal, '');
  assert.notDeepEqual(await contentsOf(files), expected, 'the message is in the tree');
});

test('a commit that power was lost under is gone as a whole, and those before it are there', async (t) => {
  const files = filesIn(t);
  const store = new LmdbStore(files.database);
  const oracle = new MemoryStore();
  for (const number of [1, 2, 3]) {
    await store.commit([put(1, number, 50)]);
    await oracle.commit([put(1, number, 50)]);
  }
  const before = lengthOfRecords(files);
  await store.commit([put(1, 4, 50), put(1, 5, 50)]);
  const after = lengthOfRecords(files);
  assert.ok(after > before, 'the commit lies in the journal');
  for (let bytes = before; bytes < after; bytes += 5) {
    const left = leftBehind(t, files);
    truncateSync(left.journal, bytes);
    assert.deepEqual(await contentsOf(left), contents(oracle), `${bytes - before} bytes of it were written`);
  }
  await store.close();
});

test('after a commit that was cut short the journal goes on, and is whole at the next kill', async (t) => {
  const files = filesIn(t);
  const store = new LmdbStore(files.database);
  await store.commit([put(1, 1, 50)]);
  const first = lengthOfRecords(files);
  await store.commit([put(1, 2, 50)]);
  const left = leftBehind(t, files);
  truncateSync(left.journal, first + 20);
  await store.close();
  const again = new LmdbStore(left.database);
  assert.equal(again.hasDropped, true);
  await again.commit([put(1, 3, 50)]);
  const oracle = new MemoryStore();
  await oracle.commit([put(1, 1, 50), put(1, 3, 50)]);
  assert.deepEqual(await contentsOf(leftBehind(t, left)), contents(oracle));
  await again.close();
  const whole = new LmdbStore(left.database);
  assert.equal(whole.hasDropped, false);
  await whole.close();
});

test('a damaged commit with others behind it is reported, and nothing is cut off', async (t) => {
  const files = filesIn(t);
  const store = new LmdbStore(files.database);
  for (const number of [1, 2, 3]) await store.commit([put(1, number, 50)]);
  const left = leftBehind(t, files);
  const bytes = readFileSync(left.journal);
  const at = bytes.indexOf('1.2 1.2 ');
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(left.journal, bytes);
  assert.throws(() => new LmdbStore(left.database), StoreDamage);
  assert.throws(() => new LmdbStore(left.database), /journal is damaged: commit 1 is not whole, and others follow it/);
  await store.close();
});

test('a database that is older than its journal is reported', async (t) => {
  const files = filesIn(t);
  const store = new LmdbStore(files.database);
  const old = leftBehind(t, files);
  await store.commit([put(1, 1, 200_000)]);
  await store.commit([put(1, 2, 50)]);
  copyFileSync(files.journal, old.journal);
  assert.throws(() => new LmdbStore(old.database), /journal is damaged: it is newer than the database beside it/);
  await store.close();
});

test('a database whose journal is gone is reported, each time', async (t) => {
  const files = filesIn(t);
  const store = new LmdbStore(files.database);
  await store.commit([put(1, 1, 50)]);
  const left = leftBehind(t, files);
  rmSync(left.journal);
  for (let time = 1; time <= 2; time++) {
    assert.throws(() => new LmdbStore(left.database), /journal is damaged: .* is missing/);
  }
  copyFileSync(files.journal, left.journal);
  assert.deepEqual(await contentsOf(left), await contentsOf(leftBehind(t, files)));
  await store.close();
});

/** Where the records end: zeros follow, and no record ends with one. */
for (const { disk, freeBytes, isKnown } of [
  { disk: 'a disk with room', freeBytes: 2_000_000, isKnown: false },
  { disk: 'a disk that is low', freeBytes: 999_999, isKnown: true },
]) {
  test(`what was deleted on ${disk} is ${isKnown ? '' : 'not '}room at once`, async (t) => {
    const store = new LmdbStore(filesIn(t).database, () => freeBytes, 1_000_000);
    t.after(() => store.close());
    const positions = Array.from({ length: 50 }, (_none, at) => at + 1);
    await store.commit(positions.map((position) => put(1, position, 20_000)));
    const before = store.reusableBytes;
    await store.commit(positions.map((position) => ({ kind: 'delete-message', place: { queue: 1, position } })));
    assert.equal(store.reusableBytes - before > 900_000, isKnown, `${before} and then ${store.reusableBytes} bytes`);
  });
}

function lengthOfRecords({ journal }: Files): number {
  const bytes = readFileSync(journal);
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) length--;
  return length;
}
