import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, mkdir, open, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '@torcello/platform';
import { attemptFiles, readEvidence, startCommand, voidAttempt, type StartedCommand } from '../src/attempt.js';
import { follow } from '../src/follow.js';
import { systemMachine } from '../src/step-machine.js';
import { afterAttempt, type AttemptEnd, type Next } from '../src/step-policy.js';
import { agentLimits } from '../src/limits.js';
import { startTicksOf } from '../src/processes.js';
import { temporaryFolder } from './support/folder.js';

/** The agent does not keep the process alive for a step; this test does. */
async function exitOf(started: StartedCommand): Promise<void> {
  const keepAlive = setInterval(() => undefined, 1_000);
  await started.exited;
  clearInterval(keepAlive);
}

const env = { PATH: process.env['PATH'] ?? '' };

test('an attempt that was made void never runs, however late its wrapper starts', async () => {
  await using folder = await temporaryFolder();
  const files = attemptFiles(path.join(folder.path, 'step'), 1);
  assert.equal(await voidAttempt(files), true);
  const started = await startCommand(files, { words: ['touch', 'ran'], folder: folder.path, env });
  await exitOf(started);
  await assert.rejects(access(path.join(folder.path, 'ran')));
  assert.deepEqual(await readEvidence(files), { is: 'void' });
});

test('an attempt whose wrapper was quicker cannot be made void', async () => {
  await using folder = await temporaryFolder();
  const files = attemptFiles(path.join(folder.path, 'step'), 1);
  const started = await startCommand(files, { words: ['sh', '-c', 'exit 5'], folder: folder.path, env });
  await exitOf(started);
  assert.equal(await voidAttempt(files), false);
  const evidence = await readEvidence(files);
  assert.equal(evidence.is === 'ended' && evidence.exitCode, 5);
});

test('a claim names the wrapper; a half of one names nobody', async () => {
  await using folder = await temporaryFolder();
  const files = attemptFiles(path.join(folder.path, 'step'), 1);
  assert.deepEqual(await readEvidence(files), { is: 'unclaimed' });
  const started = await startCommand(files, { words: ['cat', files.claim], folder: folder.path, env });
  await exitOf(started);
  const claim = await readFile(files.claim, 'utf8');
  assert.equal(await readFile(files.output, 'utf8'), claim);
  await writeFile(files.status, '0 en');
  const evidence = await readEvidence(files);
  assert.equal(evidence.is === 'claimed' && evidence.process?.startTicks, startTicksOf(claim.split('\n')[0] ?? ''));
  for (const half of ['', claim.slice(0, 5), claim.slice(0, -1)]) {
    await writeFile(files.claim, half);
    assert.deepEqual(await readEvidence(files), { is: 'claimed', process: undefined });
  }
});

test('on a full disk the claim is not made, the command never starts, and the step says why', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can mount the small tmpfs that this test fills');
  await using folder = await temporaryFolder();
  const files = attemptFiles(path.join(folder.path, 'step'), 1);
  await mkdir(files.folder);
  await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', files.folder]);
  try {
    const ballast = await open(path.join(files.folder, 'ballast'), 'w');
    await assert.rejects(async () => {
      for (;;) await ballast.write(Buffer.alloc(4_096));
    }, /ENOSPC/);
    await ballast.close();
    const started = await startCommand(files, { words: ['touch', 'ran'], folder: folder.path, env });
    const [noTime, never] = [new AbortController().signal, new AbortController().signal];
    const attempt = { files, ...started, timeLeftMs: 60_000, cancelled: never };
    const [end] = await Promise.all([
      follow(attempt, { clock: systemClock, machine: systemMachine }, noTime),
      exitOf(started),
    ]);
    assert.deepEqual(end, { how: 'unstarted' });
    await assert.rejects(access(path.join(folder.path, 'ran')));
    assert.deepEqual(await readdir(files.folder), ['ballast', 'output']);
  } finally {
    await promisify(execFile)('umount', ['-l', files.folder]);
  }
  const next = afterAttempt(
    { onInterrupt: 'rerun' },
    { number: 1, purpose: 'run', isSameBoot: true },
    { how: 'unstarted' },
  );
  assert.ok(next.do === 'end' && next.outcome === 'failed');
  assert.match(next.reason ?? '', /never started/);
});

test('a name in brackets may hold anything', () => {
  const fields = Array.from({ length: 30 }, (_, index) => String(index + 3)).join(' ');
  assert.equal(startTicksOf(`12 (a) b (c)) ${fields}`), '22');
  assert.equal(startTicksOf(''), undefined);
});

const exited = (exitCode: number): AttemptEnd => ({ how: 'exited', exitCode, atMs: 1 });
const max = agentLimits.attemptsMax.value;
const vanished: AttemptEnd = { how: 'vanished' };
const interrupted: Next = { do: 'end', outcome: 'interrupted', exitCode: null };
const rows: readonly (readonly [
  Parameters<typeof afterAttempt>[0],
  Parameters<typeof afterAttempt>[1],
  AttemptEnd,
  Next,
])[] = [
  [
    { onInterrupt: 'fail' },
    { number: 1, purpose: 'run', isSameBoot: true },
    exited(0),
    { do: 'end', outcome: 'succeeded', exitCode: 0, atMs: 1 },
  ],
  [
    { onInterrupt: 'rerun' },
    { number: 1, purpose: 'run', isSameBoot: true },
    exited(2),
    { do: 'end', outcome: 'failed', exitCode: 2, atMs: 1 },
  ],
  [
    { onInterrupt: 'rerun' },
    { number: 1, purpose: 'run', isSameBoot: true },
    { how: 'timedOut' },
    { do: 'end', outcome: 'timedOut', exitCode: null },
  ],
  [{ onInterrupt: 'fail' }, { number: 1, purpose: 'run', isSameBoot: true }, vanished, interrupted],
  [
    { onInterrupt: 'rerun' },
    { number: 1, purpose: 'run', isSameBoot: true },
    vanished,
    { do: 'attempt', purpose: 'run' },
  ],
  [{ onInterrupt: 'rerun' }, { number: max, purpose: 'run', isSameBoot: true }, vanished, interrupted],
  [
    { onInterrupt: 'check', check: ['x'] },
    { number: 1, purpose: 'run', isSameBoot: true },
    vanished,
    { do: 'attempt', purpose: 'check' },
  ],
  [
    { onInterrupt: 'check', check: ['x'] },
    { number: 2, purpose: 'check', isSameBoot: true },
    exited(0),
    { do: 'end', outcome: 'succeeded', exitCode: 0, atMs: 1 },
  ],
  [
    { onInterrupt: 'check', check: ['x'] },
    { number: 2, purpose: 'check', isSameBoot: true },
    exited(1),
    { do: 'attempt', purpose: 'run' },
  ],
  [
    { onInterrupt: 'check', check: ['x'] },
    { number: 2, purpose: 'check', isSameBoot: true },
    vanished,
    { do: 'attempt', purpose: 'check' },
  ],
  [
    { onInterrupt: 'check', check: ['x'] },
    { number: 2, purpose: 'check', isSameBoot: true },
    { how: 'timedOut' },
    interrupted,
  ],
  [{ onInterrupt: 'check', check: ['x'] }, { number: max, purpose: 'check', isSameBoot: true }, exited(1), interrupted],
];
for (const [step, attempt, end, next] of rows) {
  test(`${step.onInterrupt}: a ${attempt.purpose} ${attempt.number} that ${JSON.stringify(end)} leads to ${JSON.stringify(next)}`, () => {
    assert.deepEqual(afterAttempt(step, attempt, end), next);
  });
}
