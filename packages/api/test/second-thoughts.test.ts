import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { TestApi, deployShop, packageZip, webApplication } from './support/test-api.js';
import { enrol, posted } from './support/posted.js';

describe('cancel', () => {
  it('ends at once what was never sent out', async () => {
    await using test = await TestApi.open();
    const { deployment } = await deployShop(test);
    const { status, body } = await test.call('POST', `/v1/deployments/${deployment}/cancel`);
    assert.deepEqual([status, body.state], [200, 'cancelled']);
    assert.deepEqual(body.stages[0].notStarted, ['web-1']);
    const again = await test.call('POST', `/v1/deployments/${deployment}/cancel`, { body: { graceMs: 5 } });
    assert.deepEqual([again.status, again.body.code], [409, 'already_finished']);
  });

  it('answers for every machine, and settles what comes after the end', async () => {
    await using test = await TestApi.open();
    const { deployment, conductor, plans, environment } = await posted(test, 4);
    const [first, second, third, fourth] = plans;
    assert.ok(first && second && third && fourth);
    for (const plan of [first, second, third]) await enrol(test, environment, plan.machine.id);
    const transport = await test.connect();
    await new FakeAgent(transport, first.machine.id).result(deployment, first.planId);
    await eventually('the first result', async () => (await test.view(deployment)).plans[0].state === 'succeeded');
    await test.call('POST', `/v1/deployments/${deployment}/cancel`, { body: { graceMs: 1_000 } });
    const waiting = await test.view(deployment);
    assert.equal(waiting.why.code, 'cancel-not-sent');
    await conductor.workOn(deployment);
    const ended = await test.view(deployment);
    assert.equal(ended.state, 'cancelled');
    assert.deepEqual(
      ended.plans.map((plan: { cancel: string }) => plan.cancel),
      ['finishedBefore', 'unknown', 'unknown', 'neverStarted'],
    );
    assert.equal(ended.plans[1].why.code, 'cancel-unsettled');
    await new FakeAgent(transport, second.machine.id).result(deployment, second.planId, {
      outcome: 'cancelled',
      stopped: { exitCode: null, signal: 'SIGTERM', atMs: Date.UTC(2026, 0, 1) },
    });
    const { startedAtMs: _none, ...never } = { startedAtMs: 0, outcome: 'cancelled' as const, steps: [] };
    await new FakeAgent(transport, third.machine.id).send('result', {
      deploymentId: deployment,
      planId: third.planId,
      receivedAtMs: 0,
      finishedAtMs: 0,
      ...never,
    });
    const settled = await eventually('both settle', async () => {
      const view = await test.view(deployment);
      return view.plans.every((plan: { cancel: string }) => plan.cancel !== 'unknown') && view;
    });
    assert.deepEqual(
      settled.plans.map((plan: { cancel: string }) => plan.cancel),
      ['finishedBefore', 'stopped', 'neverStarted', 'neverStarted'],
    );
    assert.equal(settled.plans[1].stopped.signal, 'SIGTERM');
    assert.equal(settled.state, 'cancelled');
  });
});

describe('resume', () => {
  it('gives another attempt to what failed, from its step, with a corrected package', async () => {
    await using test = await TestApi.open();
    const { deployment, conductor, plans } = await posted(test, 2);
    const [first, second] = plans;
    assert.ok(first && second);
    const early = await test.call('POST', `/v1/deployments/${deployment}/resume`);
    assert.deepEqual([early.status, early.body.code], [409, 'not_resumable']);
    const transport = await test.connect();
    await new FakeAgent(transport, first.machine.id).result(deployment, first.planId);
    const steps = [
      { name: 'start', outcome: 'failed', exitCode: 1, startedAtMs: 0, finishedAtMs: 0, outputBytes: 0 } as const,
    ];
    await new FakeAgent(transport, second.machine.id).result(deployment, second.planId, { outcome: 'failed', steps });
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    assert.equal((await test.view(deployment)).state, 'failed');
    const version = (number: string, application: string) =>
      test.call('POST', '/v1/catalog/packages', {
        body: packageZip({
          'manifest.yaml': `Format: Torcello/1.0\nType: Application\nFullName: io.torcello.Web\nName: Web\nVersion: ${number}\n`,
          'application.yaml': application,
        }),
      });
    const other = await version('1.0.1', webApplication.replace('name: start', 'name: begin'));
    const refused = await test.call('POST', `/v1/deployments/${deployment}/resume`, {
      body: { packages: { web: other.body.id } },
    });
    assert.deepEqual([refused.status, refused.body.code], [409, 'not_resumable']);
    const fixed = await version('1.0.2', webApplication.replace('30s', '40s'));
    const resumed = await test.call('POST', `/v1/deployments/${deployment}/resume`, {
      body: { packages: { web: fixed.body.id }, deliverWithinMs: 60_000 },
    });
    assert.deepEqual([resumed.status, resumed.body.state], [200, 'queued'], resumed.text);
    await eventually('a hint to resume', () => conductor.takeHint());
    const claim = await conductor.claim(deployment);
    assert.ok(claim.claimed);
    assert.equal(claim.model.services[0]?.package.id, fixed.body.id);
    assert.equal(claim.model.startByMs, test.clock.now() + 60_000);
    await conductor.release(deployment, claim.epoch, claim.length);
    const state = await conductor.workOn(deployment);
    assert.equal(state.plans.length, 2);
    const view = await test.view(deployment);
    assert.deepEqual(
      view.plans.map((plan: { attempt: number; state: string }) => [plan.attempt, plan.state]),
      [
        [1, 'succeeded'],
        [1, 'failed'],
        [2, 'stored'],
      ],
    );
    assert.equal(view.plans[1].isEarlierAttempt, true);
    const again = view.plans[2];
    await new FakeAgent(transport, second.machine.id).result(deployment, again.planId);
    await eventually('its result', async () => (await test.view(deployment)).plans[2].state === 'succeeded');
    await conductor.workOn(deployment);
    assert.equal((await test.view(deployment)).state, 'succeeded');
    assert.equal((await test.call('POST', `/v1/deployments/${deployment}/resume`)).status, 409);
  });
});
