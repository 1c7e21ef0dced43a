import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseJoinLine } from '@torcello/contracts';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { declared, enrol, posted } from './support/posted.js';
import type { PostedShop } from './support/posted.js';
import { TestApi } from './support/test-api.js';

async function beat(test: TestApi, machineId: string, enrolment = 1): Promise<void> {
  const atMs = test.clock.now();
  const about = { machineId, enrolment, agentVersion: '1', processStartedAtMs: atMs };
  const agent = new FakeAgent(await test.connect(), machineId);
  await agent.send('heartbeat', { ...about, waitingPlans: 0, intervalMs: 10_000, atMs });
  await eventually('the heartbeat', async () => {
    const { agents } = (await test.call('GET', '/v1/agents')).body;
    const seen = agents.find((row: { machineId: string }) => row.machineId === machineId);
    return seen?.lastHeartbeatAt === new Date(atMs).toISOString();
  });
}

describe('a machine that was made anew', () => {
  it('ends what was open for its predecessor when its agent joins, as unknown', async () => {
    await using test = await TestApi.open();
    const { deployment, environment, plans, conductor } = await posted(test);
    const [plan] = plans;
    assert.ok(plan);
    await enrol(test, environment, plan.machine.id);
    assert.equal((await test.view(deployment)).plans[0].state, 'stored');
    await enrol(test, environment, plan.machine.id);
    const ended = (await test.view(deployment)).plans[0];
    assert.deepEqual([ended.state, ended.reason], ['replaced', 'unknown: machine replaced']);
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    assert.equal((await test.view(deployment)).state, 'failed');
    // What the old agent says now changes nothing.
    await new FakeAgent(await test.connect(), plan.machine.id).result(deployment, plan.planId);
    await beat(test, plan.machine.id, 2);
    assert.equal((await test.view(deployment)).plans[0].state, 'replaced');
  });

  it('ends it at once where the new join line says so, and answers what became of it', async () => {
    await using test = await TestApi.open();
    const { deployment, environment, plans } = await posted(test, 2);
    const [plan, other] = plans;
    assert.ok(plan && other);
    const url = `/v1/machines/${plan.machine.id}/join-line`;
    assert.deepEqual(
      (await test.call('POST', `${url}?replace`)).body.endedPlans,
      [],
      'nobody was there to be replaced',
    );
    await enrol(test, environment, plan.machine.id);
    const line = (await test.call('POST', url)).body;
    assert.deepEqual(Object.keys(line), ['joinLine']);
    assert.equal((await test.view(deployment)).plans[0].state, 'stored');
    const { endedPlans, joinLine } = (await test.call('POST', `${url}?replace`)).body;
    assert.ok(parseJoinLine(joinLine));
    assert.deepEqual(endedPlans, [
      { planId: plan.planId, deploymentId: deployment, stage: 'web/web', state: 'stored', becomes: 'unknown' },
    ]);
    assert.deepEqual(
      (await test.view(deployment)).plans.map((row: { state: string }) => row.state),
      ['replaced', 'stored'],
    );
    assert.equal((await test.call('POST', `${url}?replace=maybe`)).status, 400);
  });

  it('gives the same key with the same token the same answer: at once, later, and after a restart', async () => {
    const first = await TestApi.open();
    const { environment, plans, deployment } = await posted(first);
    const machine = plans[0]?.machine.id ?? '';
    const line = parseJoinLine((await first.call('POST', `/v1/machines/${machine}/join-line`)).body.joinLine);
    const request = { machine, token: line?.token, publicKey: first.agentKey(), agentVersion: '1', hostname: 'host' };
    const join = (test: TestApi) => test.call('POST', '/v1/join', { token: null, body: request });
    const answers = await Promise.all([join(first), join(first), join(first)]);
    await beat(first, machine);
    answers.push(await join(first));
    await first.stop();
    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    answers.push(await join(second));
    for (const { status, body } of answers) assert.deepEqual([status, body], [200, answers[0]?.body]);
    assert.equal(answers[0]?.body.enrolment, 1);
    assert.equal((await second.view(deployment)).plans[0].state, 'stored');
    assert.equal(
      (await second.call('GET', `/v1/environments/${environment}/machines`)).body.machines[0].state,
      'unknown',
    );
  });
});

describe('a machine that is taken away', () => {
  it('says what becomes of each plan that was out, and the deployment ends with it', async () => {
    await using test = await TestApi.open();
    const { deployment, environment, plans, conductor } = await posted(test, 2);
    const [never, taken] = plans;
    assert.ok(never && taken);
    await enrol(test, environment, taken.machine.id);
    const agent = new FakeAgent(await test.connect(), taken.machine.id);
    await agent.progress(deployment, taken.planId, { what: 'stepStarted', step: 'start' });
    await eventually('it runs', async () => (await test.view(deployment)).plans[1].state === 'running');
    const gone = async (id: string) => (await test.call('DELETE', `/v1/machines/${id}`)).body.endedPlans;
    assert.deepEqual(
      (await gone(never.machine.id)).map((row: { state: string; becomes: string }) => [row.state, row.becomes]),
      [['stored', 'neverStarted']],
    );
    assert.deepEqual(
      (await gone(taken.machine.id)).map((row: { state: string; becomes: string }) => [row.state, row.becomes]),
      [['running', 'unknown']],
    );
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    const view = await test.view(deployment);
    assert.equal(view.state, 'failed');
    assert.deepEqual(
      view.plans.map((row: { state: string; reason: string }) => [row.state, row.reason]),
      [
        ['cancelled', 'the machine web-1 was deleted'],
        ['cancelled', 'the machine web-2 was deleted'],
      ],
    );
  });
});

describe('a destroy', () => {
  /** Everything deployed on machines that joined; then the environment is deleted. */
  async function destroying(test: TestApi, machines: number, before: (shop: PostedShop) => Promise<void>) {
    const shop = await posted(test, machines);
    const transport = await test.connect();
    for (const plan of shop.plans) {
      await enrol(test, shop.environment, plan.machine.id);
      await new FakeAgent(transport, plan.machine.id).result(shop.deployment, plan.planId);
    }
    await eventually('a hint', () => shop.conductor.takeHint());
    await shop.conductor.workOn(shop.deployment);
    assert.equal((await test.view(shop.deployment)).state, 'succeeded');
    await before(shop);
    const answer = await test.call('DELETE', `/v1/environments/${shop.environment}`);
    const destroy = String(answer.headers['x-torcello-deployment']);
    await eventually('a hint to destroy', () => shop.conductor.takeHint());
    await declared(test, shop.environment);
    await shop.conductor.workOn(destroy);
    const { plans } = await test.view(destroy);
    return { ...shop, destroy, transport, destroys: plans as PostedShop['plans'] };
  }

  const environments = async (test: TestApi): Promise<number> =>
    (await test.call('GET', '/v1/environments')).body.environments.length;

  it('leaves machines alone that are lost before, and those that become lost while it runs, and names them', async () => {
    await using test = await TestApi.open();
    const { destroy, destroys, transport, conductor, plans } = await destroying(test, 3, async ({ plans: all }) => {
      await test.clock.advance(100_000);
      for (const plan of all.slice(1)) await beat(test, plan.machine.id);
      await test.clock.advance(10_000);
      for (const plan of all.slice(1)) await beat(test, plan.machine.id);
    });
    const [lostBefore, , lostSince] = plans;
    assert.ok(lostBefore && lostSince);
    assert.deepEqual(
      destroys.map((plan) => plan.machine.name),
      ['web-2', 'web-3'],
    );
    const [second, third] = destroys;
    assert.ok(second && third);
    await new FakeAgent(transport, second.machine.id).result(destroy, second.planId);
    await test.clock.advance(100_000);
    assert.equal((await test.view(destroy)).plans[1].state, 'stored', 'silent, and not lost yet');
    await test.clock.advance(10_000);
    await eventually('left alone', async () => {
      await test.clock.advance(1_000);
      return (await test.view(destroy)).plans[1].state === 'cancelled';
    });
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(destroy);
    const view = await test.view(destroy);
    assert.equal(view.state, 'succeeded');
    assert.equal(view.leftAlone.length, 2);
    assert.match(view.leftAlone[0], /^web-1 \(lost, last heard of at 20/);
    assert.match(view.leftAlone[1], /^web-3 \(lost, last heard of at 20/);
    assert.equal(await environments(test), 0);
    const { events } = (await test.call('GET', `/v1/deployments/${destroy}/events`)).body;
    assert.ok(events.some(({ event }: { event: { type: string } }) => event.type === 'leftAlone'));
  });

  it('ends without machines that are taken away while it runs', async () => {
    await using test = await TestApi.open();
    const { destroy, destroys, transport, conductor } = await destroying(test, 2, () => Promise.resolve());
    const [first, second] = destroys;
    assert.ok(first && second);
    await test.call('DELETE', `/v1/machines/${first.machine.id}`);
    await new FakeAgent(transport, second.machine.id).result(destroy, second.planId);
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(destroy);
    const view = await test.view(destroy);
    assert.deepEqual([view.state, view.leftAlone], ['succeeded', ['web-1 (the machine web-1 was deleted)']]);
    assert.equal(await environments(test), 0);
  });

  it('that fails on a machine that is there does fail, and the environment stays', async () => {
    await using test = await TestApi.open();
    const { destroy, destroys, transport, conductor } = await destroying(test, 2, () => Promise.resolve());
    const [first, second] = destroys;
    assert.ok(first && second);
    await test.call('DELETE', `/v1/machines/${first.machine.id}`);
    await new FakeAgent(transport, second.machine.id).result(destroy, second.planId, { outcome: 'failed' });
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(destroy);
    assert.equal((await test.view(destroy)).state, 'failed');
    assert.equal(await environments(test), 1);
  });
});
