import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { posted } from './support/posted.js';
import { TestApi } from './support/test-api.js';

const timings = { keepOutputMs: 60_000, keepHistoryMs: 120_000, retentionSweepMs: 10_000 };

/** A deployment of two machines that has written output; the first has ended. */
async function wrote(test: TestApi, outcome: 'succeeded' | 'failed' = 'succeeded') {
  const shop = await posted(test, 2);
  const [first, second] = shop.plans;
  assert.ok(first && second);
  const transport = await test.connect();
  const say = async (plan: typeof first, offset: number, text: string): Promise<void> => {
    const of = { deploymentId: shop.deployment, planId: plan.planId, step: 'start', offset };
    await new FakeAgent(transport, plan.machine.id).output(of, text);
  };
  await say(first, 0, 'one\n');
  await say(first, 4, 'two\n');
  await say(second, 0, 'other\n');
  const end = (plan: typeof first, how: 'succeeded' | 'failed' = 'succeeded') =>
    new FakeAgent(transport, plan.machine.id).result(shop.deployment, plan.planId, { outcome: how });
  await end(first, outcome);
  await eventually(
    'all of it',
    async () => (await outputs(test, shop.deployment)).texts.join('') === 'one\ntwo\nother\n',
  );
  return { ...shop, first, second, end };
}

async function outputs(test: TestApi, deployment: string): Promise<{ texts: readonly string[]; past?: string }> {
  const { body } = await test.call('GET', `/v1/deployments/${deployment}/output`);
  return { ...body, texts: body.outputs.map((output: { text: string }) => output.text) };
}

async function finished(test: TestApi, conductor: FakeConductor, deployment: string): Promise<void> {
  await eventually('a hint', () => conductor.takeHint());
  await conductor.workOn(deployment);
  assert.notEqual((await test.view(deployment)).finishedAt, undefined);
}

describe('retention', () => {
  it('drops output, later the history, and says so; how it ended stays', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, conductor, second, end } = await wrote(test);
    await end(second);
    await finished(test, conductor, deployment);
    const before = await test.view(deployment);
    const history = async () => (await test.call('GET', `/v1/deployments/${deployment}/events`)).body;
    const { length } = (await history()).events;

    await test.clock.advance(50_000);
    assert.deepEqual((await outputs(test, deployment)).texts, ['one\ntwo\n', 'other\n']);
    await test.clock.advance(20_000);
    const gone = await eventually('the output is gone', async () => {
      const now = await outputs(test, deployment);
      return now.past !== undefined && now;
    });
    assert.deepEqual(gone.texts, []);
    assert.match(
      gone.past ?? '',
      /^the output was dropped at 20.*: it is kept for 60 s after the end \(--keep-output\)$/,
    );
    const followed = await test.call('GET', `/v1/deployments/${deployment}/output?follow=1`);
    assert.deepEqual([followed.status, followed.body.code], [410, 'past_retention']);
    assert.equal((await history()).events.length, length);

    await test.clock.advance(60_000);
    const left = await eventually('the history is gone', async () => {
      const now = await history();
      return now.past !== undefined && now;
    });
    assert.deepEqual(
      left.events.map(({ event }: { event: { type: string } }) => event.type),
      ['accepted', 'finished'],
    );
    assert.match(left.past, /^all but the first event and the last were dropped at 20.*--keep-history\)$/);
    const after = await test.view(deployment);
    assert.deepEqual([after.state, after.finishedAt, after.plans.length], ['succeeded', before.finishedAt, 2]);
    assert.deepEqual(
      after.plans.map((plan: { state: string }) => plan.state),
      ['succeeded', 'succeeded'],
    );
  });

  it('keeps everything of a deployment that runs, or whose cancel is not settled', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, conductor, second, end, environment } = await wrote(test);
    await test.clock.advance(400_000);
    assert.deepEqual((await outputs(test, deployment)).texts, ['one\ntwo\n', 'other\n']);
    const agent = new FakeAgent(await test.connect(), second.machine.id);
    await agent.progress(deployment, second.planId, { what: 'stepStarted', step: 'start' });
    await eventually('it runs', async () => (await test.view(deployment)).plans[1].startedAt !== undefined);
    await test.call('POST', `/v1/deployments/${deployment}/cancel`);
    await conductor.workOn(deployment);
    assert.equal((await test.view(deployment)).state, 'cancelled');
    await test.clock.advance(400_000);
    assert.deepEqual((await outputs(test, deployment)).texts, ['one\ntwo\n', 'other\n'], 'one plan is unknown still');
    await end(second);
    await eventually('it settles', async () => (await test.view(deployment)).plans[1].state === 'succeeded');
    await test.clock.advance(20_000);
    await eventually('then it goes', async () => (await outputs(test, deployment)).past !== undefined);
    assert.equal((await test.call('GET', `/v1/environments/${environment}`)).status, 200);
  });

  it('a copy of a result that comes later still gets its receipt; what is past it is not resumed', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, conductor, first, second, end } = await wrote(test, 'failed');
    await end(second);
    await finished(test, conductor, deployment);
    const mailbox = (await test.call('GET', `/v1/machines/${first.machine.id}`)).body.mailbox as string;
    const letters = async (): Promise<number> => (await conductor.boxes.inspect(mailbox)).messages;
    await test.clock.advance(200_000);
    await eventually('the history is gone', async () => {
      const { body } = await test.call('GET', `/v1/deployments/${deployment}/events`);
      return body.past !== undefined;
    });
    const before = await letters();
    await end(first, 'failed');
    await eventually('another receipt', async () => (await letters()) > before);
    const resumed = await test.call('POST', `/v1/deployments/${deployment}/resume`);
    assert.deepEqual([resumed.status, resumed.body.code], [409, 'not_resumable']);
    assert.match(resumed.body.detail, /past its retention/);
  });

  it('what a resumed deployment writes is kept from its own end on', async () => {
    await using test = await TestApi.open({ timings });
    const { deployment, conductor, first, second, end } = await wrote(test, 'failed');
    await end(second);
    await finished(test, conductor, deployment);
    await test.clock.advance(70_000);
    await eventually('gone', async () => (await outputs(test, deployment)).past !== undefined);
    assert.equal((await test.call('POST', `/v1/deployments/${deployment}/resume`)).status, 200);
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    const again = (await test.view(deployment)).plans.find((plan: { attempt: number }) => plan.attempt === 2);
    const agent = new FakeAgent(await test.connect(), first.machine.id);
    await agent.output({ deploymentId: deployment, planId: again.planId, step: 'start', offset: 0 }, 'again\n');
    await eventually('its output', async () => (await outputs(test, deployment)).texts.includes('again\n'));
  });
});
