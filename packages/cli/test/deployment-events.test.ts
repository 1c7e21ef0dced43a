import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { systemClock } from '@torcello/platform';
import { seededRandom, SimulatedClock } from '@torcello/platform/testing';
import { HttpClient } from '../src/client/http.js';
import { deploymentEvents } from '../src/watch/deployment-events.js';
import { fakeApi, sendEvents } from './support.js';

const world = { fetch: globalThis.fetch, clock: systemClock, random: seededRandom(1) };
const plan = { event: 'plan', data: { planId: 'p' } };

test('a stream that was silent for long still counts as contact when it breaks', async () => {
  const clock = new SimulatedClock();
  let open: ServerResponse | undefined;
  const api = await fakeApi({
    'GET /v1/deployments/d1/events': (_, response) => {
      open = response;
      sendEvents(response, [plan, undefined]);
    },
  });
  const http = new HttpClient({ url: api.url, token: undefined, foundIn: 'the test' }, world);
  const events = deploymentEvents(http, 'd1', { clock });
  assert.equal((await events.next()).value?.type, 'plan');

  const next = events.next();
  await clock.advance(3_600_000);
  open?.destroy();
  assert.equal((await next).value?.type, 'away');
  const again = events.next();
  while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(250);
  assert.equal((await again).value?.type, 'plan', 'it was opened again instead of given up');
  await events.return();
  await api[Symbol.asyncDispose]();
});

test('an API that stays away ends the watch, with its own error', async () => {
  const clock = new SimulatedClock();
  const api = await fakeApi({});
  await api[Symbol.asyncDispose]();
  const http = new HttpClient({ url: api.url, token: undefined, foundIn: 'the test' }, world);
  const next = deploymentEvents(http, 'd1', { clock }).next();
  const refused = assert.rejects(next, { code: 'unreachable', exitCode: 4 });
  let isOver = false;
  void next.catch(() => (isOver = true));
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(1_000);
  }
  await refused;
});

test('a stream of something else is refused instead of asked for again and again', async () => {
  await using api = await fakeApi({
    'GET /v1/deployments/d1/events': (_, response) => response.writeHead(200).end('event: plan\ndata: {no json\n\n'),
  });
  const http = new HttpClient({ url: api.url, token: undefined, foundIn: 'the test' }, world);
  await assert.rejects(deploymentEvents(http, 'd1', { clock: new SimulatedClock() }).next(), SyntaxError);
  assert.equal(api.seen.length, 1);
});
