import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@torcello/platform/testing';
import { Rounds } from '../src/rounds.js';
import type { NextRound } from '../src/rounds.js';

const intervalMs = 1_000;

/** Rounds whose answers are given in advance, then `later` for ever. */
function started(of: { readonly answers?: readonly (NextRound | Error)[]; readonly isPausedFirst?: boolean }) {
  const clock = new SimulatedClock(0);
  const failures: unknown[] = [];
  const answers = [...(of.answers ?? [])];
  const atMs: number[] = [];
  const rounds = new Rounds({
    clock,
    intervalMs,
    isPausedFirst: of.isPausedFirst ?? false,
    round: async () => {
      atMs.push(clock.now());
      const answer = answers.shift() ?? 'later';
      if (answer instanceof Error) throw answer;
      return Promise.resolve(answer);
    },
    onFailure: (error) => failures.push(error),
  });
  rounds.start();
  return { clock, rounds, atMs, failures };
}

test('a round comes at once, then one an interval; after the stop none, and no timer is left', async () => {
  const { clock, rounds, atMs } = started({});
  await clock.advance(2 * intervalMs);
  assert.deepEqual(atMs, [0, 1_000, 2_000]);
  await rounds.stop();
  assert.equal(clock.timers, 0);
  await clock.advance(5 * intervalMs);
  assert.equal(atMs.length, 3);
});

test('where the pause comes first, so does a stop', async () => {
  const { clock, rounds, atMs } = started({ isPausedFirst: true });
  await clock.advance(intervalMs - 1);
  assert.deepEqual(atMs, []);
  await rounds.stop();
  assert.deepEqual(atMs, []);
  assert.equal(clock.timers, 0);
});

test('more to do is done at once, a failure waits for the interval, and never is the end', async () => {
  const { clock, rounds, atMs, failures } = started({ answers: ['now', new Error('away'), 'never'] });
  await clock.advance(10 * intervalMs);
  assert.deepEqual(atMs, [0, 0, 1_000]);
  assert.equal(failures.length, 1);
  await rounds.stop();
});

test('who wakes it ends the pause, also before the pause begins', async () => {
  const { clock, rounds, atMs } = started({});
  await clock.advance(10);
  rounds.wake();
  await clock.advance(10);
  assert.deepEqual(atMs, [0, 10]);
  await rounds.stop();

  const early = started({});
  early.rounds.wake();
  await early.clock.advance(10);
  assert.deepEqual(early.atMs, [0, 0]);
  await early.rounds.stop();
});
