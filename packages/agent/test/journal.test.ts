import assert from 'node:assert/strict';
import { mkdtemp, open as openFile, readFile, readdir, rm, writeFile, type FileHandle } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeRecord, scanRecords } from '../src/journal-format.js';
import { Journal } from '../src/journal.js';
import type { JournalRecord } from '../src/records.js';

const stored = fc.record({ json: fc.json(), attachment: fc.uint8Array({ maxLength: 200 }) });

function fileOf(records: readonly { readonly json: string; readonly attachment: Uint8Array }[]): Buffer {
  return Buffer.concat(records.map(({ json, attachment }, index) => encodeRecord(index + 1, json, attachment)));
}

test('what is written is read', () => {
  fc.assert(
    fc.property(fc.array(stored, { maxLength: 8 }), (records) => {
      const scan = scanRecords(fileOf(records));
      assert.equal(scan.state, 'whole');
      assert.deepEqual(
        scan.records.map(({ json, attachment }) => ({ json, attachment: Uint8Array.from(attachment) })),
        records.map(({ json, attachment }) => ({ json, attachment: Uint8Array.from(attachment) })),
      );
    }),
  );
});

test('a file cut at any byte keeps every record before the cut', () => {
  fc.assert(
    fc.property(fc.array(stored, { minLength: 1, maxLength: 4 }), (records) => {
      const bytes = fileOf(records);
      const ends = records.map((_, index) => fileOf(records.slice(0, index + 1)).length);
      for (let cut = 0; cut < bytes.length; cut += 1) {
        const scan = scanRecords(bytes.subarray(0, cut));
        const whole = ends.filter((end) => end <= cut);
        assert.equal(scan.records.length, whole.length);
        assert.equal(scan.state, cut === (whole.at(-1) ?? 0) ? 'whole' : 'tornTail');
        assert.equal(scan.goodBytes, whole.at(-1) ?? 0);
      }
    }),
    { numRuns: 30 },
  );
});

test('a flipped byte is always noticed, and takes only its own record', () => {
  fc.assert(
    fc.property(fc.array(stored, { minLength: 2, maxLength: 4 }), fc.integer({ min: 1, max: 255 }), (records, flip) => {
      const bytes = fileOf(records);
      const ends = records.map((_, index) => fileOf(records.slice(0, index + 1)).length);
      for (let at = 0; at < bytes.length; at += 1) {
        const bad = Buffer.from(bytes);
        bad[at] = (bad[at] ?? 0) ^ flip;
        const hit = ends.findIndex((end) => at < end);
        const scan = scanRecords(bad);
        assert.equal(scan.state, hit === records.length - 1 ? 'tornTail' : 'damaged', `byte ${at}`);
        assert.deepEqual(
          scan.records.map(({ sequence }) => sequence),
          records.map((_, index) => index + 1).filter((sequence) => sequence !== hit + 1),
        );
      }
    }),
    { numRuns: 20 },
  );
});

test('a record that is missing between two good ones is damage', () => {
  const parts = [1, 2, 3].map((sequence) => encodeRecord(sequence, '{}', new Uint8Array()));
  assert.equal(scanRecords(Buffer.concat(parts)).state, 'whole');
  assert.equal(scanRecords(Buffer.concat(parts.filter((_, index) => index !== 1))).state, 'damaged');
  assert.equal(scanRecords(Buffer.concat(parts.slice(1))).state, 'damaged');
});

test('hostile bytes are read in bounded time and memory', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant(Buffer.from('TJR2')), fc.uint8Array({ maxLength: 40 }))), (parts) => {
      assert.deepEqual(scanRecords(Buffer.concat(parts)).records, []);
    }),
  );
});

const planId = 'a'.repeat(32);
const deploymentId = 'd'.repeat(32);
const received: JournalRecord = {
  type: 'received',
  planId,
  deploymentId,
  stage: 'web/web',
  epoch: 3,
  digest: '00',
  receivedAtMs: 5,
};
const letter = Uint8Array.from([1, 2, 3]);

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'torcello-journal-'));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const open = (folder: string): ReturnType<typeof Journal.open> =>
  Journal.open(folder, { nowMs: 1_000, onFailure: (error) => assert.fail(String(error)) });

test('a journal opened again says the same', async () => {
  await withFolder(async (folder) => {
    const first = await open(folder);
    await first.journal.write(received, { attachment: letter });
    await first.journal.write({
      type: 'stepStarting',
      planId,
      step: 0,
      attempt: 1,
      purpose: 'run',
      bootId: 'b',
      atMs: 7,
    });
    await first.journal.close();
    const second = await open(folder);
    assert.equal(second.finding, undefined);
    const plan = second.journal.book.plan(planId);
    assert.deepEqual(plan?.letter, letter);
    assert.equal(plan?.steps.get(0)?.bootId, 'b');
    assert.equal(second.journal.book.highestEpoch(deploymentId, 'web/web'), 3);
    await second.journal.close();
  });
});

test('a torn tail is cut off and writing goes on behind the good records', async () => {
  await withFolder(async (folder) => {
    const file = path.join(folder, 'journal.log');
    const first = await open(folder);
    await first.journal.write(received, { attachment: letter });
    await first.journal.write({ type: 'stepTimeout', planId, step: 0 });
    await first.journal.close();
    const bytes = await readFile(file);
    await writeFile(file, bytes.subarray(0, bytes.length - 1));
    const second = await open(folder);
    assert.equal(second.finding?.code, 'TAIL_CUT');
    await second.journal.write({ type: 'lost', planId: 'b'.repeat(32) });
    await second.journal.close();
    const third = await open(folder);
    assert.equal(third.finding, undefined);
    assert.equal(third.journal.book.isLost('b'.repeat(32)), true);
    await third.journal.close();
  });
});

test('damage in the middle keeps the file, ends open plans and is told', async () => {
  await withFolder(async (folder) => {
    const file = path.join(folder, 'journal.log');
    const first = await open(folder);
    await first.journal.write(received, { attachment: letter });
    await first.journal.write({ type: 'stepTimeout', planId, step: 0 });
    await first.journal.write({ type: 'stepTimeout', planId, step: 0 });
    await first.journal.close();
    const bytes = await readFile(file);
    const bad = bytes.indexOf('stepTimeout');
    bytes[bad] = 0;
    await writeFile(file, bytes);
    const second = await open(folder);
    assert.equal(second.finding?.code, 'JOURNAL_DAMAGED');
    assert.equal(second.journal.book.plan(planId)?.result?.outcome, 'interrupted');
    await second.journal.close();
    assert.equal((await readdir(folder)).filter((name) => name.includes('damaged')).length, 1);
    const third = await open(folder);
    assert.equal(third.finding, undefined);
    assert.equal(third.journal.book.plan(planId)?.result?.outcome, 'interrupted');
    await third.journal.close();
  });
});

test('damage that takes the letter leaves the plan marked as lost', async () => {
  await withFolder(async (folder) => {
    const file = path.join(folder, 'journal.log');
    const first = await open(folder);
    await first.journal.write(received, { attachment: letter });
    await first.journal.write({ type: 'stepTimeout', planId, step: 0 });
    await first.journal.close();
    const bytes = await readFile(file);
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const second = await open(folder);
    assert.equal(second.journal.book.isLost(planId), true);
    await second.journal.close();
  });
});

test('a journal that grew is written anew with what is still needed', async () => {
  await withFolder(async (folder) => {
    const { journal } = await open(folder);
    await journal.write(received, { attachment: new Uint8Array(1_000_000) });
    for (let offset = 0; offset < 6; offset += 1) {
      const id = String(offset).repeat(32);
      await journal.write({ ...received, planId: id }, { attachment: new Uint8Array(1_000_000) });
      const result = {
        deploymentId,
        planId: id,
        outcome: 'succeeded',
        receivedAtMs: 1,
        finishedAtMs: 2,
        steps: [],
      } as const;
      await journal.write({ type: 'finished', planId: id, result });
      await journal.write({ type: 'receipt', planId: id, atMs: 3 });
      await journal.write({ type: 'cleared', planId: id });
    }
    await journal.close();
    assert.ok((await readFile(path.join(folder, 'journal.log'))).length < 4_500_000);
    const again = await open(folder);
    assert.equal(again.finding, undefined);
    assert.equal(again.journal.book.all().length, 7);
    assert.deepEqual(
      again.journal.book.open().map((plan) => plan.letter?.length),
      [1_000_000],
    );
    await again.journal.close();
  });
});

test('after a failed write nothing is taken any more', async () => {
  await withFolder(async (folder) => {
    const failures: unknown[] = [];
    const { journal } = await Journal.open(folder, { nowMs: 1, onFailure: (error) => failures.push(error) });
    const tooLarge = { attachment: new Uint8Array(9_000_000) };
    await assert.rejects(journal.write(received, tooLarge), RangeError);
    assert.equal(failures.length, 1);
    assert.equal(journal.isOpen, false);
    await assert.rejects(journal.write({ type: 'lost', planId }), RangeError);
    await journal.close();
  });
});

test('a record counts as written when the disk has synced it, and not before', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'torcello-journal-'));
  const probe = await openFile(path.join(folder, 'probe'), 'w');
  const handles = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const { journal } = await Journal.open(folder, { nowMs: 1, onFailure: (error) => assert.fail(String(error)) });
  const datasync = Reflect.get(handles, 'datasync') as (this: FileHandle) => Promise<void>;
  const done: string[] = [];
  handles.datasync = async function (this: FileHandle) {
    await new Promise((resolve) => setImmediate(resolve));
    done.push('synced');
    await datasync.call(this);
  };
  try {
    await journal.write({ type: 'replaced', planId: 'a'.repeat(32), by: 'b'.repeat(32) });
    done.push('written');
  } finally {
    handles.datasync = datasync;
    await journal.close();
    await rm(folder, { recursive: true });
  }
  assert.deepEqual(done, ['synced', 'written']);
});
