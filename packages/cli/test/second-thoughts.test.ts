import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlanRow } from '../src/client/views.js';
import { exitCodeOfDeployment, planLine, planTable } from '../src/output/deployment-text.js';
import { waitingLines } from '../src/output/why-text.js';
import { fakeApi, torcello, type Route } from './support.js';

const since = '2026-01-01T00:00:00.000Z';
const nowMs = Date.parse(since) + 90_000;
const waits = {
  code: 'waiting-machine-never-joined',
  text: 'machine web-1 has never joined',
  since,
  until: '2026-01-06T00:00:00.000Z',
  cure: 'torcello machine join-line shop web-1',
};

function plan(name: string, state: string, more: Partial<PlanRow> = {}): PlanRow {
  const machine = { id: name, name, role: 'web', index: 0 };
  return { planId: `plan-${name}-${more.attempt ?? 1}`, machine, stage: 's/web', state, since, ...more };
}

const view = {
  id: 'd1',
  environmentId: 'e1',
  environmentName: 'shop',
  action: 'deploy',
  state: 'failed',
  acceptedAt: since,
  plans: [],
} as const;
const environment = {
  id: 'e1',
  name: 'shop',
  services: [
    { '?': { id: 's1', type: 'io.torcello.HelloWeb/1.0.0' } },
    { '?': { id: 's2', type: 'io.torcello.Other/1.0.0' } },
  ],
};
const fixed = { id: 'p2', fully_qualified_name: 'io.torcello.HelloWeb', version: '1.0.1', created: since };

const routes: Readonly<Record<string, Route>> = {
  'GET /v1/environments': () => ({ environments: [environment] }),
  'GET /v1/environments/e1': () => environment,
  'GET /v1/environments/e1/sessions': () => ({ sessions: [{ id: 's9', state: 'opened', hasChanges: true }] }),
  'GET /v1/catalog/packages': () => ({ packages: [fixed] }),
  'GET /v1/deployments/d1': () => view,
  'POST /v1/deployments/d1/resume': () => ({}),
  'POST /v1/environments/e1/sessions/s9/deploy': (_, response) => {
    response.writeHead(200, { 'x-torcello-deployment': 'd1' }).end();
  },
};

test('a silent machine is shown with the time of its last proof, never as running', () => {
  const lost = plan('web-1', 'lost', { step: 'start', evidence: { at: '2026-01-01T00:01:00.000Z' } });
  assert.equal(planLine(lost), `${since} web-1 web start lost (last proof 2026-01-01T00:01:00.000Z)`);
  const [title, row] = planTable([lost], nowMs);
  assert.match(title ?? '', /SINCE {2}LAST PROOF/);
  assert.match(row ?? '', /lost +1m 30s +30s ago$/);
});

test('what waits says why, since when, until when, and what changes it', () => {
  const plans = [
    plan('web-1', 'stored', { why: waits }),
    plan('web-2', 'stored', { why: waits }),
    plan('web-3', 'running'),
  ];
  assert.equal(planLine(plans[0] ?? plan('', '')), `${since} web-1 web stored: ${waits.text}`);
  assert.deepEqual(waitingLines(plans, nowMs), [
    `web-1 and 1 more: ${waits.text} (for 1m 30s, since ${since}; until ${waits.until}); try: ${waits.cure}`,
  ]);
});

test('of several attempts the last one decides the exit code', () => {
  const plans = [plan('web-1', 'expired'), plan('web-1', 'succeeded', { attempt: 2 }), plan('web-2', 'failed')];
  assert.equal(exitCodeOfDeployment({ ...view, plans }), 2);
  const again = [plan('web-1', 'failed'), plan('web-1', 'expired', { attempt: 2 })];
  assert.equal(exitCodeOfDeployment({ ...view, plans: again }), 4);
  assert.match(planTable(plans, nowMs)[2] ?? '', /^web-1 +web \(attempt 2\)/);
  assert.equal(exitCodeOfDeployment({ ...view, state: 'superseded' }), 5);
});

test('why tells the cause, its evidence and its cure', async () => {
  const evidence = { at: since, becomesUnknownAt: '2026-01-01T00:00:20.000Z', missed: 3 };
  const why = [{ ...waits, evidence }];
  await using api = await fakeApi({
    'GET /v1/why/plan1': () => ({ id: 'plan1', kind: 'plan', name: 'web-1 web', state: 'stored', why }),
    'GET /v1/why/e1': () => ({ id: 'e1', kind: 'environment', why: null }),
  });
  const result = await torcello(['why', 'plan1'], api);
  assert.equal(result.exitCode, 0, result.stderr);
  const [head, cause, known, cure] = result.stdout.split('\n');
  assert.equal(head, 'plan web-1 web: stored');
  assert.match(cause ?? '', /^machine web-1 has never joined \(for .* \[waiting-machine-never-joined\]$/);
  assert.equal(known, `  known from: last proof ${since}, unknown from ${evidence.becomesUnknownAt}, missed 3`);
  assert.equal(cure, `  try: ${waits.cure}`);
  assert.equal((await torcello(['why', 'e1'], api)).stdout, 'environment e1\nIt waits for nothing.\n');
});

test('resume names the services whose package was corrected', async () => {
  await using api = await fakeApi(routes);
  const result = await torcello(['resume', 'd1', '--package', 'io.torcello.HelloWeb@1.0.1', '--json'], api);
  assert.equal(result.exitCode, 0, result.stderr);
  const sent = api.seen.at(-1);
  assert.deepEqual(JSON.parse(sent?.body.toString() ?? ''), { packages: { s1: 'p2' } });
  assert.equal((await torcello(['resume', 'd1'], api)).exitCode, 0);
  assert.deepEqual(JSON.parse(api.seen.at(-1)?.body.toString() ?? ''), {});
  assert.equal((await torcello(['resume', 'd1', '--deliver-within', '2d'], api)).exitCode, 0);
  assert.deepEqual(JSON.parse(api.seen.at(-1)?.body.toString() ?? ''), { deliverWithinMs: 172_800_000 });
  assert.equal((await torcello(['resume', 'd1', '--deliver-within', 'soon'], api)).exitCode, 1);
  const stranger = await torcello(['resume', 'd1', '--package', 'io.torcello.Nothing@1'], api);
  assert.equal(stranger.exitCode, 1);
  assert.equal(api.seen.at(-1)?.method, 'GET');
});

test('deploy hands over how it is rolled out, and nothing when nothing was asked', async () => {
  await using api = await fakeApi(routes);
  const flags = ['--deliver-within', '5d', '--supersedes', 'nightly', '--batch', '20%', '--max-failures', '2'];
  assert.equal((await torcello(['deploy', 'shop', ...flags], api)).exitCode, 0);
  assert.deepEqual(JSON.parse(api.seen.at(-1)?.body.toString() ?? ''), {
    deliverWithinMs: 432_000_000,
    supersedes: 'nightly',
    batch: '20%',
    maxFailures: 2,
  });
  assert.equal((await torcello(['deploy', 'shop', '--batch', '5'], api)).exitCode, 0);
  assert.deepEqual(JSON.parse(api.seen.at(-1)?.body.toString() ?? ''), { batch: 5 });
  assert.equal((await torcello(['deploy', 'shop'], api)).exitCode, 0);
  assert.equal(api.seen.at(-1)?.body.length, 0);
  for (const wrong of [
    ['--batch', '0'],
    ['--batch', '120%'],
    ['--max-failures', 'x'],
    ['--deliver-within', 'soon'],
  ])
    assert.equal((await torcello(['deploy', 'shop', ...wrong], api)).exitCode, 1, wrong.join(' '));
});

test('deploy --plan shows the order and who is off, and deploys nothing', async () => {
  const on = { name: 'web-1', state: 'online', evidence: { at: since } };
  const stages = [
    { name: 's/web#1', needs: [], failuresMax: 1, machines: [on] },
    { name: 's/web#1~gate', needs: ['s/web#1'], isGate: true, failuresMax: 1, machines: [on] },
    { name: 's/web#2', needs: ['s/web#1~gate'], failuresMax: 1, machines: [{ name: 'web-2', state: 'never joined' }] },
  ];
  await using api = await fakeApi({
    ...routes,
    'GET /v1/environments/e1/plan': () => ({ stages, startBy: waits.until }),
  });
  const result = await torcello(['deploy', 'shop', '--plan', '--batch', '1'], api);
  assert.equal(result.exitCode, 0, result.stderr);
  assert.equal(
    result.stdout,
    [
      'ORDER  STAGE                     AFTER       MACHINE  STATE         LAST HEARD',
      `    1  web#1                     -           web-1    online        ${since}`,
      `    2  web#1~gate (health gate)  web#1       web-1    online        ${since}`,
      '    3  web#2                     web#1~gate  web-2    never joined  -',
      '2 machines in 3 stages',
      'It stops when more than 1 machines of a stage have failed',
      `A plan that is not fetched by ${waits.until} expires`,
      'Off now, their plans wait: web-2',
      '',
    ].join('\n'),
  );
  assert.equal(api.seen.at(-1)?.query.get('session'), 's9');
  assert.equal(api.seen.at(-1)?.query.get('batch'), '1');
  assert.ok(api.calls().every((call) => call.startsWith('GET')));
});

test('what a roll-out that was stopped did not start is named', async () => {
  const stages = [
    { name: 's/web#1', state: 'ended' },
    { name: 's/web#2', state: 'waiting', notStarted: ['web-3', 'web-4'], why: { ...waits, text: 'too many failed' } },
  ];
  const stopped = { ...view, stages, leftAlone: ['db-1: lost'] };
  await using api = await fakeApi({ 'GET /v1/deployments/d1': () => stopped });
  const result = await torcello(['deployment', 'show', 'd1'], api);
  assert.equal(result.exitCode, 3);
  assert.match(result.stdout, /^Not started in web#2: web-3, web-4: too many failed; try: torcello machine join-line/m);
  assert.match(result.stdout, /^Left alone: db-1: lost$/m);
});

test('a machine is named by environment and name, or by its id alone', async () => {
  const id = 'a'.repeat(32);
  const removed: string[] = [];
  const ended = (state: string, becomes: string) => ({
    planId: 'p1',
    deploymentId: 'd1',
    stage: 's/web',
    state,
    becomes,
  });
  await using api = await fakeApi({
    ...routes,
    'GET /v1/environments/e1/machines': () => ({ machines: [{ id: 'm1', name: 'web-1' }] }),
    'DELETE /v1/machines/m1': () => ({ endedPlans: [], removed: removed.push('m1') }),
    [`DELETE /v1/machines/${id}`]: () => ({
      endedPlans: [ended('stored', 'neverStarted'), ended('running', 'unknown')],
      removed: removed.push(id),
    }),
    [`POST /v1/machines/${id}/join-line`]: ({ query }) =>
      query.has('replace')
        ? { joinLine: 'tcjoin1.y', endedPlans: [ended('running', 'unknown')] }
        : { joinLine: 'tcjoin1.x' },
  });
  assert.equal((await torcello(['machine', 'delete', 'shop', 'web-1'], api)).stdout, 'Deleted web-1\n');
  const unknown =
    'Plan p1 (s/web of deployment d1) was running and ended: unknown: the agent may have run it, or run it still';
  assert.deepEqual((await torcello(['machine', 'delete', id], api)).stdout.trim().split('\n'), [
    `Deleted ${id}`,
    'Plan p1 (s/web of deployment d1) was stored and ended: never started',
    unknown,
  ]);
  const replaced = await torcello(['machine', 'join-line', id, '--replace'], api);
  assert.equal(replaced.stdout, `tcjoin1.y\n${unknown}\n`);
  assert.equal((await torcello(['machine', 'join-line', id], api)).stdout, 'tcjoin1.x\n');
  assert.deepEqual(removed, ['m1', id]);
  assert.equal((await torcello(['machine', 'delete', 'shop'], api)).exitCode, 1);
});
