import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { Lease } from '../src/lease.js';
import { Wakeup } from '../src/wakeup.js';

const terms = { deploymentId: 'd', epoch: 1, leaseMs: 30_000, sinceMs: 0 };

test('a lease ends by itself after nine tenths of its time, counted from when it was asked for', async () => {
  const clock = new SimulatedClock();
  await clock.advance(5_000);
  const lease = new Lease({ ...terms, sinceMs: 1_000 }, clock);
  await clock.advance(22_999);
  lease.check();
  await clock.advance(1);
  assert.throws(() => lease.check(), { code: 'LEASE_LOST' });
  assert.ok(lease.signal.aborted);
  assert.equal(clock.timers, 0);
});

test('a process that slept does not act before its timers have fired', async () => {
  const clock = new SimulatedClock();
  const sleepy: Clock = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    after: () => ({ cancel: () => undefined }),
  };
  const lease = new Lease(terms, sleepy);
  await clock.advance(60_000);
  assert.equal(lease.signal.aborted, false);
  assert.throws(() => lease.check(), { code: 'LEASE_LOST' });
  assert.ok(lease.signal.aborted);
});

test('a renewal counts from when it was sent, and an older one takes nothing back', async () => {
  const clock = new SimulatedClock();
  const lease = new Lease(terms, clock);
  assert.equal(lease.renewAtMs, 10_000);
  await clock.advance(20_000);
  lease.renewed(10_000);
  lease.renewed(5_000);
  await clock.advance(16_999);
  lease.check();
  await clock.advance(1);
  assert.throws(() => lease.check(), { code: 'LEASE_LOST' });
});

test('the first reason stays', () => {
  const lease = new Lease(terms, new SimulatedClock());
  lease.end('FENCED', 'newer holder');
  lease.end('HANDED_OVER', 'stop');
  assert.throws(() => lease.check(), { code: 'FENCED' });
});

test('a bell that rang while nobody waited ends the next wait, once', async () => {
  const clock = new SimulatedClock();
  const bell = new Wakeup();
  bell.ring();
  await bell.wait(clock, 1_000);
  let isOver = false;
  const waiting = bell.wait(clock, 1_000).then(() => (isOver = true));
  await clock.advance(999);
  assert.equal(isOver, false);
  await clock.advance(1);
  await waiting;
  assert.equal(clock.timers, 0);
});

test('a wait ends when its signal is aborted, and leaves no timer', async () => {
  const clock = new SimulatedClock();
  const abort = new AbortController();
  const waiting = new Wakeup().wait(clock, Number.POSITIVE_INFINITY, abort.signal);
  const timed = new Wakeup().wait(clock, 1_000, abort.signal);
  abort.abort();
  await Promise.all([waiting, timed]);
  assert.equal(clock.timers, 0);
});
