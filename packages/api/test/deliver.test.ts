import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { enrol, posted } from './support/posted.js';
import { TestApi, packageZip, stagedShop, webApplication } from './support/test-api.js';

const heartbeat = (test: TestApi, machineId: string, enrolment = 1) => ({
  machineId,
  enrolment,
  agentVersion: '1',
  processStartedAtMs: 0,
  waitingPlans: 0,
  intervalMs: 10_000,
  atMs: test.clock.now(),
});

describe('deliver within', () => {
  it('says not delivered only where nobody can have read the mailbox', async () => {
    await using test = await TestApi.open();
    const { deployment, plans, environment, conductor } = await posted(test, 2, {
      deploy: { deliverWithinMs: 60_000 },
    });
    const [never, seen] = plans;
    assert.ok(never && seen);
    await enrol(test, environment, seen.machine.id);
    await new FakeAgent(await test.connect(), seen.machine.id).send('heartbeat', heartbeat(test, seen.machine.id));
    await eventually('contact', async () => (await test.view(deployment)).plans[1].why.code === 'waiting-delivery');
    assert.equal((await test.view(deployment)).plans[0].why.until, (await test.view(deployment)).startBy);
    await test.clock.advance(65_000);
    const view = await eventually('the end of the first', async () => {
      const now = await test.view(deployment);
      return now.plans[0].state === 'expired' && now;
    });
    assert.equal(view.plans[0].reason, 'not delivered');
    assert.deepEqual([view.plans[1].state, view.plans[1].why.code], ['unknown', 'expired-unsettled']);
    await new FakeAgent(await test.connect(), seen.machine.id).result(deployment, seen.planId, {
      outcome: 'expired',
      reason: 'too late',
      steps: [],
    });
    await eventually('it settles', async () => (await test.view(deployment)).plans[1].state === 'expired');
    await conductor.workOn(deployment);
    assert.equal((await test.view(deployment)).state, 'failed');
  });

  it('fires at its start what passed while the API was away', async () => {
    const first = await TestApi.open();
    const { deployment } = await posted(first, 1, { deploy: { deliverWithinMs: 60_000 } });
    await first.stop();
    await first.clock.advance(600_000);
    await using test = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await eventually('expired', async () => (await test.view(deployment)).plans[0].state === 'expired');
  });
});

describe('supersede', () => {
  it('ends the older claim in the transaction that accepts the newer one', async () => {
    await using test = await TestApi.open();
    const old = await posted(test, 2, { deploy: { supersedes: 'release' } });
    const [started, waiting] = old.plans;
    assert.ok(started && waiting);
    const agent = new FakeAgent(await test.connect(), started.machine.id);
    await agent.progress(old.deployment, started.planId, { what: 'stepStarted', step: 'start', sequence: 2 });
    await eventually('it runs', async () => (await test.view(old.deployment)).state === 'running');
    const { body: session } = await test.call('POST', `/v1/environments/${old.environment}/configure`);
    const url = `/v1/environments/${old.environment}/sessions/${session.id}/deploy`;
    assert.equal((await test.call('POST', url)).status, 409);
    assert.equal((await test.call('POST', url, { body: { supersedes: 'other' } })).status, 409);
    const answer = await test.call('POST', url, { body: { supersedes: 'release' } });
    assert.equal(answer.status, 200, answer.text);
    const newer = String(answer.headers['x-torcello-deployment']);
    const view = await test.view(old.deployment);
    assert.deepEqual([view.state, view.supersededBy], ['superseded', newer]);
    assert.deepEqual(
      view.plans.map((plan: { why: { code: string } }) => plan.why.code),
      ['superseded-too-late', 'superseded-unsettled'],
    );
    const claim = await old.conductor.claim(newer);
    assert.ok(claim.claimed);
    assert.deepEqual(claim.model.replaces, {
      [started.machine.id]: [started.planId],
      [waiting.machine.id]: [waiting.planId],
    });
    await new FakeAgent(await test.connect(), waiting.machine.id).result(old.deployment, waiting.planId, {
      outcome: 'superseded',
      steps: [],
    });
    await eventually('it settles', async () => (await test.view(old.deployment)).plans[1].state === 'superseded');
  });
});

describe('roll-out', () => {
  it('goes in batches with gates, as the outlook says', async () => {
    await using test = await TestApi.open();
    await test.call('POST', '/v1/catalog/packages', {
      body: packageZip({
        'application.yaml': webApplication.replace(
          'deploy:\n  - role: web\n',
          'deploy:\n  - role: web\n    batch: 40%\n    failuresMax: 1\n    gate: { soak: 5s }\n',
        ),
      }),
    });
    const shop = await stagedShop(test, { machines: 5 });
    const plan = (query = '') =>
      test.call('GET', `/v1/environments/${shop.environment}/plan?session=${shop.session}${query}`);
    const { body, status, text } = await plan();
    assert.equal(status, 200, text);
    assert.deepEqual(
      body.stages.map((stage: { name: string; needs: string[]; machines: { name: string }[] }) => [
        stage.name,
        stage.needs.join(),
        stage.machines.map((machine) => machine.name).join(),
      ]),
      [
        ['web/web#1', '', 'web-1,web-2'],
        ['web/web#1~gate', 'web/web#1', 'web-1,web-2'],
        ['web/web#2', 'web/web#1~gate', 'web-3,web-4'],
        ['web/web#2~gate', 'web/web#2', 'web-3,web-4'],
        ['web/web#3', 'web/web#2~gate', 'web-5'],
      ],
    );
    assert.equal(body.off.length, 5);
    const overridden = await plan('&batch=3&maxFailures=2&deliverWithinMs=5000');
    assert.deepEqual(
      overridden.body.stages.map((stage: { machines: unknown[]; failuresMax: number }) => [
        stage.machines.length,
        stage.failuresMax,
      ]),
      [
        [3, 2],
        [3, 2],
        [2, 2],
      ],
    );
    await test.call('POST', `/v1/environments/${shop.environment}/sessions/${shop.session}/deploy`);
    const { deployments } = (await test.call('GET', '/v1/deployments')).body;
    const view = await test.view(deployments[0].id);
    assert.deepEqual(
      view.stages.map((stage: { name: string }) => stage.name),
      body.stages.map((stage: { name: string }) => stage.name),
    );
    assert.deepEqual(
      view.stages.map((stage: { why: { code: string } }) => stage.why.code),
      ['waiting-for-conductor-takeover', 'waiting-batch', 'waiting-gate', 'waiting-batch', 'waiting-gate'],
    );
  });
});
