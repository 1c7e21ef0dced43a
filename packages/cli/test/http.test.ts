import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom, SimulatedClock } from '@torcello/platform/testing';
import { HttpClient } from '../src/client/http.js';
import { fakeApi, Refusal, type Route } from './support.js';

const busy = { type: 'about:blank', title: 'Busy', status: 503, code: 'overloaded', detail: 'too much waits' };

function client(url: string, clock: SimulatedClock, notes: string[] = []): HttpClient {
  const world = {
    fetch: globalThis.fetch,
    clock,
    random: seededRandom(1),
    note: (text: string): void => void notes.push(text),
  };
  return new HttpClient({ url, token: undefined, foundIn: 'the test' }, world);
}

/** Moves the clock on until the work is done; every step of it is a second. */
async function whileTimePasses<Result>(clock: SimulatedClock, work: Promise<Result>): Promise<Result> {
  let isOver = false;
  void work.catch(() => undefined).then(() => (isOver = true));
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    if (clock.timers > 0) await clock.advance(1_000);
  }
  return work;
}

/** Refuses so many times, then answers. */
function busyFor(times: number, retryAfter: string | undefined): Route {
  let left = times;
  return (_, response) => {
    if (left === 0) return { done: true };
    left -= 1;
    if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
    throw new Refusal(503, busy);
  };
}

test('every write carries an idempotency key of its own, a read carries none', async () => {
  await using api = await fakeApi({ 'POST /v1/x': () => ({}), 'DELETE /v1/x': () => ({}), 'GET /v1/x': () => ({}) });
  const http = client(api.url, new SimulatedClock());
  await http.send('/v1/x', { method: 'POST', json: {} });
  await http.send('/v1/x', { method: 'DELETE' });
  await http.send('/v1/x');
  const [post, remove, read] = api.seen.map(({ headers }) => headers['idempotency-key']);
  assert.match(String(post), /^[0-9a-f]{32}$/);
  assert.match(String(remove), /^[0-9a-f]{32}$/);
  assert.notEqual(post, remove);
  assert.equal(read, undefined);
});

test('a busy API is asked again when it says, with the same key, and the wait is told', async () => {
  const clock = new SimulatedClock();
  const notes: string[] = [];
  await using api = await fakeApi({ 'POST /v1/x': busyFor(2, '3') });
  const sentMs = clock.monotonicMs();
  const answer = await whileTimePasses(clock, client(api.url, clock, notes).json('/v1/x', { method: 'POST' }));
  assert.deepEqual(answer, { done: true });
  assert.equal(clock.monotonicMs() - sentMs, 6_000);
  assert.equal(new Set(api.seen.map(({ headers }) => headers['idempotency-key'])).size, 1);
  assert.deepEqual(notes, Array(2).fill('too much waits; asking again in 3 s'));
});

test('a busy API may name the instant to come back at', async () => {
  const clock = new SimulatedClock();
  const at = new Date(Math.ceil(clock.now() / 1_000) * 1_000 + 5_000);
  await using api = await fakeApi({ 'POST /v1/x': busyFor(1, at.toUTCString()) });
  await whileTimePasses(clock, client(api.url, clock).json('/v1/x', { method: 'POST' }));
  assert.ok(clock.now() >= at.getTime());
});

test('a busy API is given up when it asks for more than a minute, or does not say when', async () => {
  const clock = new SimulatedClock();
  for (const retryAfter of ['61', undefined]) {
    await using api = await fakeApi({ 'POST /v1/x': busyFor(Number.POSITIVE_INFINITY, retryAfter) });
    const asked = client(api.url, clock).send('/v1/x', { method: 'POST' });
    await assert.rejects(asked, { code: 'overloaded', exitCode: 4 });
    assert.equal(api.seen.length, 1);
  }
  await using api = await fakeApi({ 'POST /v1/x': busyFor(Number.POSITIVE_INFINITY, '25') });
  const asked = client(api.url, clock).send('/v1/x', { method: 'POST' });
  await assert.rejects(whileTimePasses(clock, asked), { code: 'overloaded' });
  assert.equal(api.seen.length, 3);
});
