import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeApi, Refusal, torcello, type Route } from './support.js';

const since = '2026-01-01T00:00:05.000Z';

function plan(name: string, more: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const machine = { id: `m-${name}`, name, role: 'web', index: 0 };
  return { planId: `plan-${name}`, machine, stage: 's/web', since, ...more };
}

const answered = [
  plan('web-1', { state: 'cancelled', cancel: 'neverStarted' }),
  plan('web-2', {
    state: 'cancelled',
    cancel: 'stopped',
    steps: [
      { name: 'files', state: 'succeeded' },
      { name: 'start', state: 'cancelled' },
    ],
    startedAt: since,
    stopped: { exitCode: null, signal: 'SIGTERM', at: since },
  }),
  plan('web-3', { state: 'succeeded', cancel: 'finishedBefore' }),
];
const silent = plan('web-4', { state: 'unknown', cancel: 'unknown', evidence: { at: since } });
const slow = plan('web-4', { state: 'running', cancel: 'unknown' });
const back = plan('web-4', { state: 'cancelled', cancel: 'neverStarted' });

function view(state: string, plans: readonly unknown[]): Readonly<Record<string, unknown>> {
  const stages = [
    { name: 's/web', state: 'open' },
    { name: 's/db', state: 'waiting', notStarted: ['db-1'] },
  ];
  const about = { id: 'd1', environmentId: 'e1', environmentName: 'shop', action: 'deploy', acceptedAt: since };
  return { ...about, state, stages, plans };
}

/** The views of the API, one after the other; the last one stays. */
function cancellable(views: readonly unknown[]): Readonly<Record<string, Route>> {
  let asked = 0;
  return {
    'POST /v1/deployments/d1/cancel': () => ({}),
    'GET /v1/deployments/d1': () => {
      asked += 1;
      return views[Math.min(asked, views.length) - 1];
    },
  };
}

const lines = [
  'web-1: never started',
  `web-2: stopped (in start, SIGTERM, ${since})`,
  'web-3: finished before the cancel arrived (succeeded)',
];

test('cancel waits for the answers and tells one line a machine, also of those without a plan', async () => {
  await using api = await fakeApi(
    cancellable([
      view('waiting', [silent]),
      view('cancelled', [...answered, slow]),
      view('cancelled', [...answered, back]),
    ]),
  );
  const result = await torcello(['cancel', 'd1', '--grace', '3s'], api);
  assert.equal(result.exitCode, 5, result.stderr);
  assert.deepEqual(result.stdout.trimEnd().split('\n'), [
    ...lines,
    'web-4: never started',
    'db-1 db: never started (no plan was sent)',
    'Deployment d1 (deploy of shop): cancelled',
  ]);
  const sent = api.seen.find(({ method }) => method === 'POST');
  assert.deepEqual(JSON.parse(sent?.body.toString() ?? ''), { graceMs: 3_000 });
});

test('what is still unknown is told with its last proof, and that it settles by itself', async () => {
  await using api = await fakeApi(cancellable([view('cancelled', [...answered, silent])]));
  const result = await torcello(['cancel', 'd1', '--watch', '--watch-timeout', '1s'], api);
  assert.equal(result.exitCode, 6, result.stderr);
  assert.deepEqual(result.stdout.split('\n').slice(0, 4), [
    ...lines,
    `web-4: unknown until it is back (last proof ${since})`,
  ]);
  assert.match(result.stdout, /Open answers settle by themselves: torcello deployment show d1\n$/);
});

test('a machine that is known to be away is not waited for', async () => {
  await using api = await fakeApi(cancellable([view('cancelled', [...answered, silent])]));
  const result = await torcello(['cancel', 'd1'], api);
  assert.equal(result.exitCode, 5, result.stderr);
  assert.equal(api.calls().filter((call) => call === 'GET /v1/deployments/d1').length, 1);
  assert.match(result.stdout, /^web-4: unknown until it is back/m);
});

test('with --json the answers are one value', async () => {
  await using api = await fakeApi(cancellable([view('cancelled', answered)]));
  const result = await torcello(['cancel', 'd1', '--json'], api);
  const { machines, state } = JSON.parse(result.stdout) as { machines: { answer: string }[]; state: string };
  assert.equal(state, 'cancelled');
  assert.deepEqual(
    machines.slice(0, 3).map(({ answer }) => answer),
    ['neverStarted', 'stopped', 'finishedBefore'],
  );
  assert.equal(result.exitCode, 5);
});

test('a cancel that came too late is refused, one that was overtaken ends as the deployment did', async () => {
  const refuse: Route = () => {
    throw new Refusal(409, { code: 'already_finished', detail: 'deployment d1 has ended: succeeded' });
  };
  await using late = await fakeApi({ 'POST /v1/deployments/d1/cancel': refuse });
  const result = await torcello(['cancel', 'd1'], late);
  assert.equal(result.exitCode, 1);
  assert.match(result.stderr, /deployment d1 has ended: succeeded \[already_finished\]/);
  await using overtaken = await fakeApi(cancellable([view('succeeded', [plan('web-3', { state: 'succeeded' })])]));
  assert.equal((await torcello(['cancel', 'd1'], overtaken)).exitCode, 0);
  assert.equal((await torcello(['cancel', 'd1', '--grace', 'soon'], overtaken)).exitCode, 1);
});
