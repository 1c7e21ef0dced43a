import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { enrol } from './support/posted.js';
import { TestApi, deployShop } from './support/test-api.js';

async function posted(test: TestApi, machines = 1) {
  const transport = await test.attach();
  const conductor = new FakeConductor(await test.connect());
  const shop = await deployShop(test, { machines });
  const hinted = await eventually('a hint', () => conductor.takeHint());
  assert.equal(hinted, shop.deployment);
  await eventually('mailboxes', async () =>
    (await test.call('GET', `/v1/environments/${shop.environment}/machines`)).body.machines.every(
      (machine: { isMailboxDeclared: boolean }) => machine.isMailboxDeclared,
    ),
  );
  await conductor.workOn(shop.deployment);
  const view = (await test.call('GET', `/v1/deployments/${shop.deployment}`)).body;
  return {
    ...shop,
    transport,
    conductor,
    plans: view.plans as { planId: string; state: string; machine: { id: string; name: string } }[],
  };
}

describe('the line from deploy to result', () => {
  it('brings a deployment to its end', async () => {
    await using test = await TestApi.open();
    const { deployment, conductor, plans, environment } = await posted(test, 2);
    assert.deepEqual(
      plans.map((plan) => plan.state),
      ['stored', 'stored'],
    );
    for (const { planId, machine } of plans) {
      const agent = new FakeAgent(await test.connect(), machine.id);
      await agent.progress(deployment, planId, { what: 'stepStarted', step: 'start', sequence: 2 });
      await eventually('running', async () =>
        (await test.call('GET', `/v1/deployments/${deployment}`)).body.plans.some(
          (plan: { state: string }) => plan.state === 'running',
        ),
      );
      await agent.output(
        { deploymentId: deployment, planId, step: 'start', offset: 0 },
        `hello from ${machine.name}\n`,
      );
      await agent.result(deployment, planId);
    }
    assert.equal(await eventually('a hint after the results', () => conductor.takeHint()), deployment);
    await conductor.workOn(deployment);
    const { body } = await test.call('GET', `/v1/deployments/${deployment}`);
    assert.equal(body.state, 'succeeded');
    assert.deepEqual(
      body.plans.map((plan: { state: string }) => plan.state),
      ['succeeded', 'succeeded'],
    );
    assert.equal(body.plans[0].steps[0].state, 'succeeded');
    const output = (await test.call('GET', `/v1/deployments/${deployment}/output?machine=web-2`)).body.outputs;
    assert.deepEqual(
      output.map((entry: { text: string }) => entry.text),
      ['hello from web-2\n'],
    );
    assert.equal((await test.call('GET', `/v1/environments/${environment}`)).body.status, 'ready');
    assert.equal((await test.call('GET', `/v1/environments/${environment}`)).body.services[0]['?'].id, 'web');
  });

  it('applies a result once, and sends a receipt for every copy, also after the end', async () => {
    await using test = await TestApi.open();
    const { deployment, conductor, plans, machines } = await posted(test);
    const [plan] = plans;
    assert.ok(plan);
    const agent = new FakeAgent(await test.connect(), plan.machine.id);
    await agent.result(deployment, plan.planId);
    await agent.result(deployment, plan.planId, { outcome: 'failed', steps: [] });
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    await agent.result(deployment, plan.planId, { outcome: 'failed' });
    const receipts: string[] = [];
    await eventually('three receipts', async () => {
      const letter = await conductor.boxes.take(machines[0]?.mailbox ?? '');
      if (letter !== undefined && letter.headers['torcello-kind'] === 'receipt')
        receipts.push(Buffer.from(letter.body).toString());
      letter?.accept();
      return receipts.length === 3;
    });
    assert.deepEqual(JSON.parse(receipts[0] ?? ''), { planId: plan.planId });
    const { body } = await test.call('GET', `/v1/deployments/${deployment}`);
    assert.equal(body.state, 'succeeded');
    assert.equal(body.plans[0].steps.length, 1);
    const ends = (await test.call('GET', `/v1/deployments/${deployment}/events`)).body.events.filter(
      (entry: { event: { type: string } }) => entry.event.type === 'planEnded',
    );
    assert.equal(ends.length, 1);
  });

  it('destroys, and the environment goes with its machines and mailboxes', async () => {
    await using test = await TestApi.open({ timings: { mailboxGraceMs: 1_000, reconcileMs: 500 } });
    const { deployment, environment, conductor, plans, machines } = await posted(test);
    const [plan] = plans;
    assert.ok(plan);
    await enrol(test, environment, plan.machine.id);
    const agent = new FakeAgent(await test.connect(), plan.machine.id);
    await agent.result(deployment, plan.planId);
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    const session = (await test.call('POST', `/v1/environments/${environment}/configure`)).body.id as string;
    const emptied = await test.call('PUT', `/v1/environments/${environment}/services`, {
      body: [],
      headers: { 'x-configuration-session': session },
    });
    assert.equal(emptied.status, 200);
    const alone = await test.call('POST', `/v1/environments/${environment}/sessions/${session}/deploy`);
    assert.deepEqual([alone.status, alone.body.error.code], [409, 'service_deployed']);
    const deleted = await test.call('DELETE', `/v1/environments/${environment}`);
    assert.equal(deleted.status, 200);
    const destroy = String(deleted.headers['x-torcello-deployment']);
    await eventually('a hint to destroy', () => conductor.takeHint());
    await conductor.workOn(destroy);
    const { plans: destroyPlans } = (await test.call('GET', `/v1/deployments/${destroy}`)).body;
    await agent.result(destroy, destroyPlans[0].planId);
    await eventually('a hint to finish', () => conductor.takeHint());
    await conductor.workOn(destroy);
    assert.equal((await test.call('GET', `/v1/environments/${environment}`)).status, 404);
    assert.equal((await test.call('GET', `/v1/deployments/${destroy}`)).body.state, 'succeeded');
    const mailbox = machines[0]?.mailbox ?? '';
    await conductor.boxes.inspect(mailbox);
    await test.clock.advance(2_000);
    await eventually('the mailbox is gone', () =>
      conductor.boxes.inspect(mailbox).then(
        () => false,
        () => true,
      ),
    );
  });

  it('brings nine hundred machines to their end', async () => {
    await using test = await TestApi.open();
    const { deployment, conductor, plans } = await posted(test, 900);
    const transport = await test.connect();
    await Promise.all(
      plans.map(({ planId, machine }) => new FakeAgent(transport, machine.id).result(deployment, planId)),
    );
    assert.equal(await eventually('one hint after the last result', () => conductor.takeHint()), deployment);
    assert.equal((await conductor.workOn(deployment)).result, 'succeeded');
    const history = (await test.call('GET', `/v1/deployments/${deployment}/events`)).body.events;
    assert.equal(history.length, 1 + 3 * 900 + 1);
    assert.deepEqual(
      history.map((entry: { n: number }) => entry.n),
      history.map((_: unknown, n: number) => n),
    );
  });
});
