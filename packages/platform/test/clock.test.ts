import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';

test('timers of the simulated clock fire in the order of their instants, not of their making', async () => {
  const clock = new SimulatedClock(0);
  const fired: string[] = [];
  clock.after(20, () => fired.push(`late at ${clock.now()}`));
  clock.after(10, () => fired.push(`early at ${clock.now()}`));
  clock.after(15, () => fired.push('cancelled')).cancel();
  await clock.advance(9);
  assert.deepEqual(fired, []);
  await clock.advance(11);
  assert.deepEqual(fired, ['early at 10', 'late at 20']);
  assert.equal(clock.timers, 0);
});

test('an aborted sleep rejects with the reason and leaves no timer', async () => {
  const clock = new SimulatedClock();
  const abort = new AbortController();
  const sleeping = sleep(clock, 1_000, abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(sleeping, { message: 'enough' });
  assert.equal(clock.timers, 0);
});
