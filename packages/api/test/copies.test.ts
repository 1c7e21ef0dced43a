import assert from 'node:assert/strict';
import { it } from 'node:test';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { posted } from './support/posted.js';
import { TestApi } from './support/test-api.js';

it('pieces of output that come again, shorter, longer or across each other are stored once, byte for byte', async () => {
  await using test = await TestApi.open();
  const { deployment, plans } = await posted(test, 1);
  const [plan] = plans;
  assert.ok(plan);
  const agent = new FakeAgent(await test.connect(), plan.machine.id);
  const whole = 'the quick brown fox jumps over the lazy dog\n';
  const of = { deploymentId: deployment, planId: plan.planId, step: 'start' };
  const say = (from: number, to: number) => agent.output({ ...of, offset: from }, whole.slice(from, to));
  for (const [from, to] of [
    [0, 20],
    [20, 30],
    [0, 20],
    // An agent that was cut off sends on with other bounds, and what it sent before comes late.
    [0, 9],
    [20, 44],
    [20, 26],
    [9, 25],
    [0, 30],
  ] as const)
    await say(from, to);
  await agent.output({ ...of, step: 'next', offset: 0 }, 'last');
  const { outputs } = await eventually('the last piece', async () => {
    const { body } = await test.call('GET', `/v1/deployments/${deployment}/output`);
    return body.outputs.length === 2 && body;
  });
  assert.equal(outputs.find(({ step }: { step: string }) => step === 'start').text, whole);
});

it('a result that comes twice is applied once', async () => {
  await using test = await TestApi.open();
  const { deployment, plans, conductor } = await posted(test, 1);
  const [plan] = plans;
  assert.ok(plan);
  const agent = new FakeAgent(await test.connect(), plan.machine.id);
  const at = { startedAtMs: 0, finishedAtMs: 0, outputBytes: 0 };
  const failed = { name: 'start', outcome: 'failed', exitCode: 7, ...at } as const;
  const done = { name: 'start', outcome: 'succeeded', exitCode: 0, ...at } as const;
  for (const step of [failed, failed, done])
    await agent.result(deployment, plan.planId, { outcome: step.outcome, steps: [step] });
  await agent.progress(deployment, plan.planId, { sequence: 9 });
  await eventually('the result', async () => (await test.view(deployment)).plans[0].state === 'failed');
  await agent.output({ deploymentId: deployment, planId: plan.planId, step: 'start', offset: 0 }, 'behind all of it');
  await eventually('what came behind', async () => {
    const { body } = await test.call('GET', `/v1/deployments/${deployment}/output`);
    return body.outputs.length === 1;
  });
  const [{ steps }] = (await test.view(deployment)).plans;
  assert.deepEqual(
    steps.map(({ state, exitCode }: { state: string; exitCode: number }) => [state, exitCode]),
    [['failed', 7]],
  );
  const { events } = await conductor.load(deployment);
  assert.deepEqual(
    events.flatMap((event) => (event.type === 'planEnded' ? [event.outcome] : [])),
    ['failed'],
  );
});
