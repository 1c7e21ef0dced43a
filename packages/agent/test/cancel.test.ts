import assert from 'node:assert/strict';
import { rmdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { PlanStep } from '@torcello/contracts/agent';
import { noStepGroups, systemStepGroups, type StepGroups } from '../src/step-groups.js';
import { planIdOf } from './support/control.js';
import { eventually, isRunning, textOf } from './support/eventually.js';
import { Fixture } from './support/fixture.js';

/** A step that is killed only hard, with a child that has left session, group and parent. */
function tree(
  fixture: Fixture,
  changes: { readonly clean?: boolean; readonly deaf?: boolean } = {},
): Partial<PlanStep> {
  const { ledger } = fixture;
  const hold = `while [ -e ${fixture.folder} ]; do sleep 0.1; done`;
  const deaf = changes.deaf === true ? "trap '' TERM; " : '';
  const inside = `${deaf}echo \\$\\$ >> ${ledger}.pids; ${hold}`;
  const detached = `${changes.clean === true ? 'env -i PATH="$PATH" ' : ''}setsid sh -c "${inside}" &`;
  const script = `${deaf}echo start >> ${ledger}; (${detached}) ; echo $$ >> ${ledger}.pids; ${hold}`;
  return { name: 'tree', command: ['sh', '-c', script] };
}

const pidsOf = (fixture: Fixture, count: number): Promise<readonly number[]> =>
  eventually('the processes', async () => {
    const pids = ((await textOf(`${fixture.ledger}.pids`)) ?? '').split('\n').filter(Boolean).map(Number);
    return pids.length >= count ? pids : undefined;
  });

async function goneOf(pids: readonly number[]): Promise<readonly boolean[]> {
  return await Promise.all(pids.map(async (pid) => !(await isRunning(pid))));
}

const groupsOfTests = await systemStepGroups(`torcello-test-${process.pid}`);
const ways: readonly (readonly [string, StepGroups, boolean])[] = [
  ['by its control group', groupsOfTests, true],
  ['by its mark', noStepGroups, false],
];

for (const [way, stepGroups, isClean] of ways) {
  test(`a cancel ends the whole tree of a running step, ${way}`, async () => {
    await using fixture = await Fixture.make();
    const { control } = fixture;
    await fixture.startAgent({}, undefined, { stepGroups });
    // A child that threw its environment away as well is found by the control group alone.
    await control.plan(1, [tree(fixture, { clean: isClean }), { name: 'never', command: ['touch', fixture.ledger] }]);
    const pids = await pidsOf(fixture, 2);
    await control.cancel(1);
    const result = await control.result(1);
    assert.equal(result.outcome, 'cancelled');
    assert.deepEqual(await goneOf(pids), [true, true]);
    assert.equal(result.stopped?.exitCode, 143);
    assert.equal(result.stopped?.signal, 'SIGTERM');
    assert.equal(result.steps.length, 1);
    assert.equal(result.steps[0]?.outcome, 'cancelled');
    assert.equal(result.reason, 'cancelled while step "tree" ran');
    assert.ok((result.startedAtMs ?? 0) > 0);
  });

  test(`what does not listen is killed after the grace, ${way}`, async () => {
    await using fixture = await Fixture.make();
    const { control } = fixture;
    await fixture.startAgent({}, undefined, { stepGroups });
    await control.plan(1, [tree(fixture, { deaf: true })]);
    const pids = await pidsOf(fixture, 2);
    const beforeMs = Date.now();
    await control.cancel(1, 700);
    const result = await control.result(1);
    assert.deepEqual(await goneOf(pids), [true, true]);
    assert.ok(Date.now() - beforeMs >= 650);
    assert.equal(result.stopped?.signal, 'SIGKILL');
    assert.equal(result.stopped?.exitCode, 137);
  });
}

test('an agent that came back ends the tree of a step that an earlier one started', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  await control.plan(1, [tree(fixture)]);
  const pids = await pidsOf(fixture, 2);
  await first.stop();
  await control.cancel(1);
  await fixture.startAgent();
  assert.equal((await control.result(1)).outcome, 'cancelled');
  assert.deepEqual(await goneOf(pids), [true, true]);
  assert.equal(await textOf(fixture.ledger), 'start\n');
});

test('a step that ends as asked keeps its exit code, and the services of earlier steps stay', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  const service = `setsid sleep 60 & echo $! > ${fixture.ledger}.service`;
  const polite = `trap 'exit 5' TERM; echo $$ > ${fixture.ledger}.pids; while [ -e ${fixture.folder} ]; do sleep 0.05; done`;
  await control.plan(1, [
    { name: 'service', command: ['sh', '-c', service] },
    { name: 'polite', command: ['sh', '-c', polite] },
  ]);
  await pidsOf(fixture, 1);
  await control.cancel(1);
  const { stopped, outcome, steps } = await control.result(1);
  assert.equal(outcome, 'cancelled');
  assert.equal(stopped?.exitCode, 5);
  assert.equal(stopped.signal, undefined);
  assert.deepEqual(
    steps.map((step) => step.outcome),
    ['succeeded', 'cancelled'],
  );
  const pid = Number(await textOf(`${fixture.ledger}.service`));
  assert.equal(await isRunning(pid), true);
  process.kill(pid, 'SIGKILL');
});

test('a plan that waits behind another is cancelled at once, and never starts', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  await control.plan(1, [tree(fixture)]);
  await pidsOf(fixture, 2);
  await control.plan(2, [{ command: ['touch', `${fixture.ledger}.two`] }]);
  await control.cancel(2);
  const second = await control.result(2);
  assert.equal(second.outcome, 'cancelled');
  assert.equal(second.startedAtMs, undefined);
  assert.equal(second.stopped, undefined);
  assert.equal(control.results.length, 1);
  await control.cancel(1, 0);
  assert.equal((await control.result(1)).stopped?.exitCode, 137);
  assert.equal(await textOf(`${fixture.ledger}.two`), undefined);
});

test('a cancel of a finished plan sends its result again', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent();
  await control.plan(1, [{ command: ['true'] }]);
  await control.result(1);
  await control.cancel(1);
  await control.until('the result again', () => control.results.length >= 2);
  assert.deepEqual(control.results[1], control.results[0]);
  assert.equal(control.results[1]?.outcome, 'succeeded');
});

test('a cancel before its plan leaves a tombstone, over restarts too, and a plan that comes then is not run', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent();
  await control.cancel(1);
  const result = await control.result(1);
  assert.equal(result.outcome, 'cancelled');
  assert.equal(result.startedAtMs, undefined);
  await control.receipt(planIdOf(1));
  await first.stop();
  await fixture.startAgent();
  await control.plan(1, [{ command: ['touch', fixture.ledger] }]);
  await control.plan(2, []);
  await control.result(2);
  assert.deepEqual(
    control.results.filter(({ planId }) => planId === planIdOf(1)).map(({ outcome }) => outcome),
    ['cancelled', 'cancelled'],
  );
  assert.equal(await textOf(fixture.ledger), undefined);
});

test('a cancel is verified like a plan', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  await fixture.startAgent({ heartbeatMs: 50 });
  const go = `while [ ! -e ${fixture.ledger} ] && [ -e ${fixture.folder} ]; do sleep 0.05; done`;
  const plan = await control.plan(1, [{ command: ['sh', '-c', go] }]);
  const cancel = await control.cancel(2, 5_000, { machineId: 'b2'.repeat(16) });
  const forged = Uint8Array.from(cancel);
  forged[20] = (forged[20] ?? 0) ^ 1;
  await control.put(forged, 'forged', 'cancel');
  // Neither letter is what the other kind of envelope says.
  await control.put(plan, 'plan as cancel', 'cancel');
  const known = control.keys;
  const { headerOf } = await import('./support/control.js');
  const sealed = known.seal(headerOf(known, { kind: 'cancel' }), {
    format: 'torcello/1',
    planId: planIdOf(1),
    graceMs: 0,
  });
  await control.put(sealed, 'cancel as plan', 'plan');
  await control.until('the notices', () =>
    control.heartbeats.find(({ notices }) =>
      notices?.some(({ code, count }) => code === 'LETTER_REFUSED' && count === 4),
    ),
  );
  const { writeFile } = await import('node:fs/promises');
  await writeFile(fixture.ledger, '');
  assert.equal((await control.result(1)).outcome, 'succeeded');
});

test('no control group is left behind', async () => {
  await groupsOfTests.sweep();
  const folder = await groupsOfTests.make('probe');
  if (folder === undefined) return;
  await rmdir(folder);
  await rmdir(path.dirname(folder));
});
