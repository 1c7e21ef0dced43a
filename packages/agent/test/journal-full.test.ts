import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { SimulatedClock, seededRandom } from '@torcello/platform/testing';
import { JournalFullError } from '../src/errors.js';
import { Journal } from '../src/journal.js';
import type { JournalRecord } from '../src/records.js';
import { deploymentId, planIdOf } from './support/control.js';
import { eventually, textOf } from './support/eventually.js';
import { Fixture } from './support/fixture.js';
import { SimulatedDisk } from '@torcello/agent/testing';

const received = (number: number): JournalRecord => ({
  type: 'received',
  planId: planIdOf(number),
  deploymentId,
  stage: 's',
  epoch: 1,
  digest: '',
  receivedAtMs: 1,
});
const ended = (number: number): JournalRecord => ({
  type: 'finished',
  planId: planIdOf(number),
  result: { deploymentId, planId: planIdOf(number), outcome: 'refused', receivedAtMs: 1, finishedAtMs: 1, steps: [] },
});
const letter = { attachment: new Uint8Array(1_000), mayRefuse: true };

test('beyond its bound a journal refuses plans, takes their ends, and takes plans again when some are cleared', async () => {
  const random = seededRandom(1);
  const disk = new SimulatedDisk(() => random.fraction());
  const options = { nowMs: 1, onFailure: (error: unknown) => assert.fail(String(error)), disk };
  const { journal } = await Journal.open('/j', { ...options, bytesMax: 8_000, reserveBytes: 2_000 });
  let taken = 0;
  await assert.rejects(async () => {
    for (;;) {
      await journal.write(received(taken + 1), letter);
      taken += 1;
    }
  }, JournalFullError);
  assert.ok(taken >= 3 && taken <= 5, `${taken} plans`);
  for (let number = 1; number <= taken; number += 1) {
    await journal.write(ended(number));
    await journal.write({ type: 'receipt', planId: planIdOf(number), atMs: 2 });
    await journal.write({ type: 'cleared', planId: planIdOf(number) });
  }
  await journal.write(received(taken + 1), letter);
  assert.equal(journal.book.open().length, 1);
  await journal.close();
});

test('on a full disk ends take the reserve, then wait for room; nothing is lost, and a plan is refused', async () => {
  const random = seededRandom(2);
  const clock = new SimulatedClock();
  let full = 0;
  let room = 9_000;
  const disk = new SimulatedDisk(() => random.fraction(), { capacityBytes: () => room });
  const { journal } = await Journal.open('/j', {
    nowMs: 1,
    onFailure: (error) => assert.fail(String(error)),
    onFull: () => (full += 1),
    waitForRoom: () => new Promise((resolve) => void clock.after(1_000, resolve)),
    disk,
    reserveBytes: 4_000,
  });
  for (let number = 1; number <= 3; number += 1) await journal.write(received(number), letter);
  await assert.rejects(
    Promise.all([4, 5, 6].map((number) => journal.write(received(number), letter))),
    JournalFullError,
  );
  // As many ends as it takes to use up the reserve, and one more.
  let waiting = 0;
  const writes: Promise<void>[] = [];
  while (full === 0) {
    waiting += 1;
    writes.push(journal.write({ type: 'replaced', planId: planIdOf(100 + waiting), by: planIdOf(1) }));
    await clock.advance(0);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(waiting > 20, `only ${waiting} records found room`);
  await clock.advance(1_000);
  assert.ok(full >= 2);
  room = 100_000;
  await clock.advance(1_000);
  await Promise.all(writes);
  await journal.write(received(7), letter);
  await journal.close();
  const again = await Journal.open('/j', { nowMs: 1, onFailure: () => undefined, disk });
  assert.equal(again.finding, undefined);
  assert.deepEqual(
    again.journal.book.open().map(({ received: { planId } }) => planId),
    [1, 2, 3, 7].map(planIdOf),
  );
  for (let number = 1; number <= waiting; number += 1)
    assert.equal(again.journal.book.replacedBy(planIdOf(100 + number)), planIdOf(1));
});

/** A tmpfs of this size at the agent's data folder; undefined where this user cannot mount one. */
async function smallDisk(fixture: Fixture, size: string): Promise<AsyncDisposable | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  await mkdir(fixture.dataFolder);
  const mounted = await promisify(execFile)('mount', [
    '-t',
    'tmpfs',
    '-o',
    `size=${size}`,
    'tmpfs',
    fixture.dataFolder,
  ]).then(
    () => true,
    () => false,
  );
  if (!mounted) return undefined;
  return { [Symbol.asyncDispose]: async () => void (await promisify(execFile)('umount', ['-l', fixture.dataFolder])) };
}

test('an agent on a full disk refuses plans, says so, finishes what runs, and goes on when there is room', async (t) => {
  await using fixture = await Fixture.make();
  await using disk = await smallDisk(fixture, '1m');
  if (disk === undefined) return t.skip('only root can mount the small tmpfs that this test fills');
  const { control } = fixture;
  await fixture.startAgent({ heartbeatMs: 50 }, undefined, { journalReserveBytes: 65_536 });
  const hold = `echo start >> ${fixture.ledger}; while [ ! -e ${fixture.ledger}.go ] && [ -e ${fixture.folder} ]; do sleep 0.05; done`;
  await control.plan(1, [
    { name: 'hold', command: ['sh', '-c', hold] },
    { name: 'next', command: ['sh', '-c', `echo next >> ${fixture.ledger}`] },
  ]);
  await eventually('the step', () => textOf(fixture.ledger));
  const ballast = path.join(fixture.dataFolder, 'ballast');
  await fill(ballast);
  const body = Buffer.alloc(100_000).toString('base64');
  await control.plan(2, [{ files: [{ path: 'big', mode: 0o600, body }] }]);
  const refused = await control.result(2);
  assert.equal(refused.outcome, 'refused');
  assert.match(refused.reason ?? '', /^JOURNAL_FULL: /);
  await control.until('the notice', () =>
    control.heartbeats.find(({ notices }) => notices?.some(({ code }) => code === 'JOURNAL_FULL')),
  );
  // Not a byte is left for the exit status of the step, and nothing is lost.
  await fill(`${ballast}2`);
  await writeFile(`${fixture.ledger}.go`, '');
  const status = path.join(fixture.dataFolder, 'runs', planIdOf(1), '0', '1.status');
  await eventually('the try', () =>
    stat(status).then(
      ({ size }) => (size === 0 ? true : undefined),
      () => undefined,
    ),
  );
  await rm(`${ballast}2`);
  await rm(ballast);
  const result = await control.result(1);
  assert.equal(result.outcome, 'succeeded');
  assert.equal(await textOf(fixture.ledger), 'start\nnext\n');
  await control.plan(3, [{ files: [{ path: 'big', mode: 0o600, body }] }]);
  assert.equal((await control.result(3)).outcome, 'succeeded');
  assert.equal((await stat(fixture.application('big'))).size, 100_000);
  assert.deepEqual(fixture.fatal, []);
});

async function fill(file: string): Promise<void> {
  const { bavail, bsize } = await statfs(path.dirname(file));
  await writeFile(file, Buffer.alloc(bavail * bsize)).catch(() => undefined);
}
