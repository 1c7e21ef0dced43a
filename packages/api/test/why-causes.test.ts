import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { sql } from 'kysely';
import { parseJoinLine } from '@torcello/contracts';
import { temporaryFolder } from '@torcello/test-support';
import { openStore } from '../src/database/store.js';
import { causes } from '../src/why/causes.js';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { declared, enrol, posted } from './support/posted.js';
import { TestApi, deployShop, packageZip, stagedShop } from './support/test-api.js';

interface Found {
  readonly code: string;
  readonly text: string;
  readonly cure: string;
  readonly since: string;
}

const whyOf = async (test: TestApi, id: string): Promise<Found> =>
  (await test.call('GET', `/v1/why/${id}`)).body.why as Found;

/** Every cause is in its own words: no name is left open, and the cure is one. */
function assertTold(found: Found, code: string): void {
  assert.equal(found.code, code);
  assert.ok(!/\{\w+\}/.test(`${found.text} ${found.cure}`), JSON.stringify(found));
  assert.match(found.since, /^20\d\d-/);
}

async function beat(test: TestApi, machineId: string, more: object = {}): Promise<void> {
  const atMs = test.clock.now();
  const about = { machineId, enrolment: 1, agentVersion: '1', processStartedAtMs: atMs };
  const agent = new FakeAgent(await test.connect(), machineId);
  await agent.send('heartbeat', { ...about, waitingPlans: 0, intervalMs: 10_000, atMs, ...more });
  await eventually('the heartbeat', async () => {
    const { agents } = (await test.call('GET', '/v1/agents')).body;
    return agents.some((row: { lastHeartbeatAt?: string }) => row.lastHeartbeatAt === new Date(atMs).toISOString());
  });
}

const twoStages = `
properties: { type: object }
machines: { web: { min: 1 } }
deploy:
  - { stage: first, role: web, failuresMax: 0, steps: [{ name: start, script: start.sh }] }
  - { stage: second, role: web, needs: [first], steps: [{ name: start, script: start.sh }] }
`;

describe('a cause of waiting', () => {
  it('outbox-backed-up: many letters wait though the broker is there, of the deployment and of the letter', async () => {
    const home = temporaryFolder('why');
    const store = await openStore(home.path);
    {
      await using test = await TestApi.open({ folder: home.path, store });
      const { deployment } = await deployShop(test);
      const { rows } = await sql<{ message_id: string }>`select message_id from outbox`.execute(store.db);
      assertTold(await whyOf(test, rows[0]?.message_id ?? ''), 'outbox-backed-up');
      await test.attach();
      await eventually('it is sent', async () => (await whyOf(test, deployment)).code === 'queued-no-conductor');
      await sql`with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)
        insert into outbox (mailbox, message_id, subject, headers, body, created_at)
        select 'nowhere', 'filler-' || i, 's', '{}', '{}', 0 from n`.execute(store.db);
      assertTold(await whyOf(test, deployment), 'outbox-backed-up');
    }
    home.remove();
  });

  it('waiting-machine-offline: the agent had joined and is silent, of the plan, the machine and the mailbox', async () => {
    await using test = await TestApi.open();
    const { environment, plans, machines } = await posted(test);
    const [plan] = plans;
    assert.ok(plan);
    await enrol(test, environment, plan.machine.id);
    await beat(test, plan.machine.id);
    assert.equal((await whyOf(test, plan.planId)).code, 'waiting-delivery');
    await test.clock.advance(30_000);
    for (const id of [plan.planId, plan.machine.id, machines[0]?.mailbox ?? ''])
      assertTold(await whyOf(test, id), 'waiting-machine-offline');
    await test.clock.advance(90_000);
    assertTold(await whyOf(test, plan.machine.id), 'lost');
  });

  it('waiting-in-line-behind-plan: an agent takes one plan at a time', async () => {
    await using test = await TestApi.open();
    const old = await posted(test, 1, { deploy: { supersedes: 'k' } });
    const [front] = old.plans;
    assert.ok(front);
    await enrol(test, old.environment, front.machine.id);
    const agent = new FakeAgent(await test.connect(), front.machine.id);
    await agent.progress(old.deployment, front.planId, { what: 'stepStarted', step: 'start', atMs: test.clock.now() });
    await beat(test, front.machine.id, { runningPlan: front.planId });
    const { body: session } = await test.call('POST', `/v1/environments/${old.environment}/configure`);
    const url = `/v1/environments/${old.environment}/sessions/${session.id}/deploy`;
    const answer = await test.call('POST', url, { body: { supersedes: 'k' } });
    const newer = String(answer.headers['x-torcello-deployment']);
    await eventually('a hint', () => old.conductor.takeHint());
    await old.conductor.workOn(newer);
    const [behind] = (await test.view(newer)).plans;
    const found = await whyOf(test, behind.planId);
    assertTold(found, 'waiting-in-line-behind-plan');
    assert.match(found.text, new RegExp(front.planId));
  });

  it('waiting-stage-needs and stopped-at-failures: a stage behind one that runs, and behind one that failed', async () => {
    await using test = await TestApi.open();
    const manifest = 'Format: Torcello/1.0\nType: Application\nFullName: io.torcello.Web\nName: Web\nVersion: 1.0.0\n';
    const archive = packageZip({ 'manifest.yaml': manifest, 'application.yaml': twoStages });
    await test.call('POST', '/v1/catalog/packages', { body: archive });
    const { deployment, conductor, plans } = await posted(test);
    const [plan] = plans;
    assert.ok(plan);
    const second = (await test.view(deployment)).stages.find(({ name }: { name: string }) => name.endsWith('/second'));
    assertTold(second.why, 'waiting-stage-needs');
    assert.match(second.why.text, /second needs .*first/);
    await new FakeAgent(await test.connect(), plan.machine.id).result(deployment, plan.planId, { outcome: 'failed' });
    await eventually('a hint', () => conductor.takeHint());
    await conductor.workOn(deployment);
    const ended = await test.view(deployment);
    assert.deepEqual([ended.state, ended.why.code], ['failed', 'stopped-at-failures']);
    assertTold(await whyOf(test, deployment), 'stopped-at-failures');
    assert.deepEqual(ended.stages[1].notStarted, ['web-1']);
  });

  it('rejected: no plan can be made of the package', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const conductor = new FakeConductor(await test.connect());
    const { deployment } = await deployShop(test);
    const claim = await conductor.claim(deployment);
    assert.ok(claim.claimed);
    const append = (expectedLength: number, event: object) =>
      conductor.append({
        deploymentId: deployment,
        epoch: claim.epoch,
        expectedLength,
        events: [{ id: `${expectedLength}`.repeat(32), event }],
      });
    await append(1, { type: 'rejected', reason: 'the template is wrong' });
    await append(2, { type: 'finished', result: 'failed' });
    const found = await whyOf(test, deployment);
    assertTold(found, 'rejected');
    assert.match(found.text, /the template is wrong/);
  });

  it('join-token-contested: somebody else came with a used line', async () => {
    await using test = await TestApi.open();
    const { environment, machines } = await stagedShop(test);
    await test.attach();
    await declared(test, environment);
    const [machine] = machines;
    assert.ok(machine);
    const token = parseJoinLine(machine.joinLine)?.token;
    const join = () =>
      test.call('POST', '/v1/join', {
        token: null,
        body: { machine: machine.id, token, publicKey: test.agentKey(), agentVersion: '1', hostname: 'host' },
      });
    assert.equal((await join()).status, 200);
    assert.equal((await join()).status, 409);
    assertTold(await whyOf(test, machine.id), 'join-token-contested');
    await test.call('POST', `/v1/machines/${machine.id}/join-line`);
    assert.notEqual((await whyOf(test, machine.id)).code, 'join-token-contested');
  });
});

describe('the causes', () => {
  it('are each looked for by a test of the API', () => {
    const folder = new URL('.', import.meta.url);
    const tests = fs.readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
    const text = tests.map((name) => fs.readFileSync(new URL(name, folder), 'utf8')).join('\n');
    const untested = Object.keys(causes).filter((code) => !text.includes(`'${code}'`));
    assert.deepEqual(untested, []);
  });
});
