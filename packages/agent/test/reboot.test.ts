import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { PlanStep } from '@torcello/contracts/agent';
import type { Agent } from '../src/agent.js';
import { agentLimits } from '../src/limits.js';
import { planIdOf } from './support/control.js';
import { eventually, textOf } from './support/eventually.js';
import { Fixture } from './support/fixture.js';

/** A step that notes the boot in which it ran, and ends with this exit code. */
function note(fixture: Fixture, word: string, exitCode: number = 0): Partial<PlanStep> {
  return { name: word, command: ['sh', '-c', `echo ${word} >> ${fixture.ledger}; exit ${exitCode}`] };
}

const lines = (fixture: Fixture, count: number): Promise<string> =>
  eventually(`${count} lines`, async () => {
    const text = await textOf(fixture.ledger);
    return text !== undefined && text.split('\n').length > count ? text : undefined;
  });

/** Until the step at this place of the plan has left its exit status: the restart that it asked for comes after that. */
const ended = (fixture: Fixture, plan: number, place: number): Promise<string> =>
  eventually(`the end of step ${place}`, () =>
    textOf(path.join(fixture.dataFolder, 'runs', planIdOf(plan), String(place), '1.status')),
  );

/** The restart: nothing runs any more, and the next agent sees another boot. */
async function reboot(fixture: Fixture, agent: Agent, bootId: string): Promise<Agent> {
  await agent.stop();
  return await fixture.startAgent({}, bootId);
}

for (const [how, step] of [
  ['exit code 194', (fixture: Fixture) => note(fixture, 'one', 194)],
  ['reboot: expected', (fixture: Fixture) => ({ ...note(fixture, 'one'), reboot: 'expected' as const })],
] as const) {
  test(`after ${how} the next step runs in the next boot, not before`, async () => {
    await using fixture = await Fixture.make();
    const { control } = fixture;
    let agent = await fixture.startAgent({}, 'boot 1');
    await control.plan(1, [step(fixture), note(fixture, 'two')]);
    await ended(fixture, 1, 0);
    // An agent that is only started again still waits.
    agent = await reboot(fixture, agent, 'boot 1');
    await control.plan(2, []);
    await control.until('the second plan', () =>
      control.progress.find(({ planId, what }) => planId === planIdOf(2) && what === 'received'),
    );
    assert.equal(await textOf(fixture.ledger), 'one\n');
    assert.deepEqual(control.results, []);
    await reboot(fixture, agent, 'boot 2');
    const result = await control.result(1);
    assert.equal(result.outcome, 'succeeded');
    assert.deepEqual(
      result.steps.map(({ outcome }) => outcome),
      ['succeeded', 'succeeded'],
    );
    assert.equal(await textOf(fixture.ledger), 'one\ntwo\n');
  });
}

test('a step that was cut off by the restart that it expects is done; another is not', async () => {
  for (const isExpected of [true, false]) {
    await using fixture = await Fixture.make();
    const { control } = fixture;
    const agent = await fixture.startAgent({}, 'boot 1');
    const hold = `echo $$ >> ${fixture.ledger}; while [ -e ${fixture.folder} ]; do sleep 0.05; done`;
    const expected = isExpected ? ({ reboot: 'expected' } as const) : {};
    await control.plan(1, [{ command: ['sh', '-c', hold], ...expected }, note(fixture, 'two')]);
    await lines(fixture, 1);
    await reboot(fixture, agent, 'boot 2');
    const result = await control.result(1);
    assert.equal(result.outcome, isExpected ? 'succeeded' : 'interrupted');
    assert.equal((await textOf(fixture.ledger))?.includes('two'), isExpected);
  }
});

test('a restart that does not come fails the step, and a cancel ends the wait', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const first = await fixture.startAgent({}, 'boot 1', { rebootWaitMs: 200 });
  await control.plan(1, [note(fixture, 'one', 194), note(fixture, 'two')]);
  const failed = await control.result(1);
  assert.equal(failed.outcome, 'failed');
  assert.match(failed.reason ?? '', /there was none/);
  await first.stop();
  await fixture.startAgent({}, 'boot 1');
  await control.plan(2, [note(fixture, 'three', 194), note(fixture, 'four')]);
  await lines(fixture, 2);
  await control.cancel(2);
  assert.equal((await control.result(2)).outcome, 'cancelled');
  assert.equal(await textOf(fixture.ledger), 'one\nthree\n');
});

test('a plan restarts the machine ten times at most', async () => {
  await using fixture = await Fixture.make();
  const { control } = fixture;
  const most = agentLimits.rebootsMax.value;
  await control.plan(
    1,
    Array.from({ length: most + 2 }, (_, index) => note(fixture, `step${index}`, 194)),
  );
  for (let boot = 0; boot <= most; boot += 1) {
    const agent = await fixture.startAgent({}, `boot ${boot}`);
    await ended(fixture, 1, boot);
    if (boot < most) await agent.stop();
  }
  const result = await control.result(1);
  assert.equal(result.outcome, 'failed');
  assert.match(result.reason ?? '', /one more than 10 restarts/);
  assert.equal(result.steps.length, most + 1);
});
