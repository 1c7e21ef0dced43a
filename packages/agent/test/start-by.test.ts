import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { systemClock, type Clock } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { askHttpDate } from '../src/http-date.js';
import { agentLimits } from '../src/limits.js';
import { ServerClock, type ServerTime } from '../src/server-clock.js';
import { textOf } from './support/eventually.js';
import { Fixture } from './support/fixture.js';

const hourMs = 3_600_000;

test('a plan is judged by the clock of the server, however wrong that of the machine is', async () => {
  for (const offsetMs of [-hourMs, hourMs]) {
    await using fixture = await Fixture.make();
    const { control } = fixture;
    const askServerTime = (): Promise<ServerTime> =>
      Promise.resolve({ nowMs: systemClock.now() + offsetMs, errorMs: 600 });
    await fixture.startAgent({}, undefined, { askServerTime });
    const serverMs = systemClock.now() + offsetMs;
    await control.plan(1, [{ command: ['sh', '-c', `echo ran >> ${fixture.ledger}`] }], {
      startByMs: serverMs + 60_000,
    });
    assert.equal((await control.result(1)).outcome, 'succeeded');
    await control.plan(2, [{ command: ['sh', '-c', `echo ran >> ${fixture.ledger}`] }], { startByMs: serverMs - 1 });
    const late = await control.result(2);
    assert.equal(late.outcome, 'expired');
    assert.match(late.reason ?? '', /came after/);
    assert.equal(await textOf(fixture.ledger), 'ran\n');
  }
});

test('the API is asked once, and again when the clock was set, the machine slept, or the answer is old', async () => {
  const clock = new SimulatedClock();
  let asked = 0;
  const server = new ServerClock(clock, () => {
    asked += 1;
    return Promise.resolve({ nowMs: 1_000_000 + clock.monotonicMs(), errorMs: 500 });
  });
  const { signal } = new AbortController();
  assert.equal(asked, 0);
  await server.now(signal);
  await clock.advance(hourMs);
  assert.equal((await server.now(signal))?.nowMs, 1_000_000 + clock.monotonicMs());
  assert.equal(asked, 1);
  await clock.advance(7 * hourMs);
  await server.now(signal);
  assert.equal(asked, 2);
});

test('an agent whose clock was set asks again', async () => {
  const clock = new SimulatedClock();
  let [setMs, asked] = [0, 0];
  const settable: Clock = {
    now: () => clock.now() + setMs,
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, action) => clock.after(delayMs, action),
  };
  const server = new ServerClock(settable, () => Promise.resolve({ nowMs: (asked += 1), errorMs: 0 }));
  const { signal } = new AbortController();
  for (const [byMs, times] of [
    [0, 1],
    [4_000, 1],
    [-10_000, 2],
    [86_400_000, 3],
  ] as const) {
    setMs += byMs;
    await server.now(signal);
    assert.equal(asked, times);
  }
});

/** Time runs two hundred times as fast. */
const quickClock: Clock = {
  now: () => systemClock.now(),
  monotonicMs: () => systemClock.monotonicMs() * 200,
  after: (delayMs, action) => systemClock.after(delayMs / 200, action),
};

test('an agent that cannot find out the time refuses a plan with a bound, and says that it is the clock', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const askServerTime = (): Promise<ServerTime> => Promise.reject(new Error('away'));
  await fixture.startAgent({ heartbeatMs: hourMs }, undefined, { askServerTime, clock: quickClock });
  await control.plan(1, [{ command: ['touch', fixture.ledger] }], { startByMs: systemClock.now() + hourMs });
  const refused = await control.result(1);
  assert.equal(refused.outcome, 'refused');
  assert.match(refused.reason ?? '', /^the clock of the machine is unsure/);
  assert.equal(await textOf(fixture.ledger), undefined);
  await control.plan(2, [{ command: ['true'] }]);
  assert.equal((await control.result(2)).outcome, 'succeeded');
});

test('a plan waits a while for the API to tell the time, over restarts too, and can be cancelled meanwhile', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  let isAway = true;
  const askServerTime = (): Promise<ServerTime> =>
    isAway ? Promise.reject(new Error('away')) : Promise.resolve({ nowMs: systemClock.now(), errorMs: 0 });
  const startByMs = systemClock.now() + hourMs;
  const first = await fixture.startAgent({}, undefined, { askServerTime });
  for (const number of [1, 2, 3]) await control.plan(number, [{ command: ['true'] }], { startByMs });
  await control.plan(4, [{ command: ['true'] }], { startByMs: systemClock.now() + 1 });
  await control.cancel(1);
  assert.equal((await control.result(1)).outcome, 'cancelled');
  await control.cancel(3);
  assert.equal((await control.result(3)).outcome, 'cancelled');
  await first.stop();
  isAway = false;
  await fixture.startAgent({}, undefined, { askServerTime });
  assert.equal((await control.result(2)).outcome, 'succeeded');
  assert.equal((await control.result(4)).outcome, 'expired');
});

test('an API that takes too long leaves the agent unsure', async () => {
  const error = agentLimits.clockErrorMsMax.value;
  const { signal } = new AbortController();
  const answers: readonly (readonly [number, boolean])[] = [
    [error, true],
    [error + 1, false],
  ];
  for (const [errorMs, isSure] of answers) {
    const server = new ServerClock(new SimulatedClock(), () => Promise.resolve({ nowMs: 1, errorMs }));
    assert.equal((await server.now(signal)) !== undefined, isSure);
  }
});

test('the date of an answer is taken with its grain', async () => {
  const server = http.createServer((request, response) => {
    assert.equal(request.url, '/healthz');
    response.setHeader('date', 'Sun, 06 Nov 1994 08:49:37 GMT');
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { signal } = new AbortController();
  const { nowMs, errorMs } = await askHttpDate(`http://127.0.0.1:${port}`, systemClock, signal);
  const dateMs = Date.UTC(1994, 10, 6, 8, 49, 37);
  assert.ok(errorMs >= 500 && errorMs < 3_000);
  assert.ok(nowMs >= dateMs + 500 && nowMs - errorMs <= dateMs);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await assert.rejects(askHttpDate(`http://127.0.0.1:${port}`, systemClock, signal));
});
