import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { hexId, systemRandom } from '@torcello/platform';
import { whyDocument } from '@torcello/api';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { posted } from './support/posted.js';
import { TestApi, deployShop } from './support/test-api.js';

const codeOf = async (test: TestApi, id: string): Promise<string> =>
  (await test.call('GET', `/v1/why/${id}`)).body.why.code as string;

describe('why', () => {
  it('stands in docs/why.md as in the code', () => {
    const cells = (text: string): readonly string[] =>
      text
        .split('\n')
        .filter((line) => line.startsWith('|') && !/^\|[\s:|-]+$/.test(line))
        .map((line) =>
          line
            .split('|')
            .map((cell) => cell.trim())
            .join('|'),
        );
    const written = fs.readFileSync(new URL('../../../docs/why.md', import.meta.url), 'utf8');
    assert.ok(cells(whyDocument()).length > 15);
    assert.deepEqual(cells(written), cells(whyDocument()));
  });

  it('tells of what waits before anything runs', async () => {
    await using test = await TestApi.open();
    const { deployment, environment, machines } = await deployShop(test);
    const machine = machines[0]?.id ?? '';
    assert.equal(await codeOf(test, deployment), 'queued-broker-unreachable');
    assert.equal(await codeOf(test, environment), 'environment-busy');
    assert.equal(await codeOf(test, 'shop'), 'environment-busy');
    assert.equal(await codeOf(test, machine), 'mailbox-not-declared');
    const conductor = new FakeConductor(await test.connect());
    await test.attach();
    await eventually('queued for a conductor', async () => (await codeOf(test, deployment)) === 'queued-no-conductor');
    await eventually('declared', async () => (await codeOf(test, machine)) === 'join-token-unused');
    assert.equal(await codeOf(test, machines[0]?.mailbox ?? ''), 'join-token-unused');
    const claim = await conductor.claim(deployment);
    assert.ok(claim.claimed);
    assert.equal(await codeOf(test, deployment), 'conductor-at-work');
    await test.clock.advance(31_000);
    assert.equal(await codeOf(test, deployment), 'waiting-for-conductor-takeover');
    await test.call('POST', `/v1/deployments/${deployment}/cancel`);
    assert.equal(await codeOf(test, deployment), 'ended-resumable');
    const { why } = (await test.call('GET', `/v1/why/${deployment}`)).body;
    assert.equal(why.cure, `torcello resume ${deployment}`);
    assert.match(why.text, /cancelled/);
    // Nothing can be done again where there is nothing any more.
    await test.call('DELETE', `/v1/environments/${environment}?abandon=true`);
    assert.equal(await codeOf(test, deployment), 'nothing-waits');
    assert.equal((await test.call('GET', '/v1/why/nothing')).status, 404);
  });

  it('tells for a deployment what each of its plans waits for, the most first', async () => {
    await using test = await TestApi.open();
    const { deployment, machines } = await posted(test, 3);
    const { plans } = (await test.call('GET', `/v1/why/${deployment}`)).body;
    assert.deepEqual(
      plans.map((row: { machines: number; machine: string; why: { code: string } }) => [
        row.machines,
        row.machine,
        row.why.code,
      ]),
      [[3, machines[0]?.name, 'waiting-machine-never-joined']],
    );
  });

  it('finds a machine by its name, where only one has it', async () => {
    await using test = await TestApi.open();
    const { machines } = await deployShop(test);
    const [first] = machines;
    assert.ok(first, 'a machine');
    const found = (await test.call('GET', `/v1/why/${first.name}`)).body;
    assert.deepEqual([found.kind, found.id], ['machine', first.id]);
    const other = (await test.call('POST', '/v1/environments', { body: { name: 'other' } })).body.id as string;
    await test.call('POST', `/v1/environments/${other}/machines`, { body: { role: 'web', count: 1 } });
    const refused = await test.call('GET', `/v1/why/${first.name}`);
    assert.equal(refused.status, 404);
    assert.match(refused.body.cure as string, new RegExp(first.id));
  });

  it('shows running only with proof, then unknown, then lost', async () => {
    await using test = await TestApi.open();
    const { deployment, plans } = await posted(test);
    const [plan] = plans;
    assert.ok(plan);
    assert.equal(await codeOf(test, plan.planId), 'waiting-machine-never-joined');
    assert.equal((await test.view(deployment)).state, 'waiting');
    const agent = new FakeAgent(await test.connect(), plan.machine.id);
    const atMs = test.clock.now();
    await agent.progress(deployment, plan.planId, { atMs });
    await eventually('taken', async () => (await codeOf(test, plan.planId)) === 'waiting-to-start');
    await agent.progress(deployment, plan.planId, { what: 'stepStarted', step: 'start', sequence: 2, atMs });
    const running = await eventually('running', async () => {
      const view = await test.view(deployment);
      return view.state === 'running' && view;
    });
    assert.equal(running.why.code, 'running-step');
    assert.equal(running.evidence.at, new Date(atMs).toISOString());
    assert.equal(running.plans[0].evidence.becomesUnknownAt, new Date(atMs + 25_000).toISOString());
    await test.clock.advance(26_000);
    const silent = await test.view(deployment);
    assert.deepEqual([silent.state, silent.plans[0].state, silent.why.code], ['waiting', 'unknown', 'unknown-silent']);
    await test.clock.advance(80_000);
    const lost = await test.view(deployment);
    assert.deepEqual([lost.plans[0].state, lost.why.code], ['lost', 'lost']);
    await agent.result(deployment, plan.planId);
    await eventually('it settles', async () => (await test.view(deployment)).plans[0].state === 'succeeded');
  });
});

describe('poison', () => {
  it('ends a deployment whose holders vanish at once, five times in a row', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const { deployment } = await deployShop(test);
    const claim = async () => new FakeConductor(await test.connect()).claim(deployment);
    for (let time = 0; time < 5; time++) {
      assert.ok((await claim()).claimed, `claim ${time}`);
      await test.clock.advance(31_000);
    }
    assert.deepEqual(await claim(), { claimed: false, why: 'finished' });
    const view = await test.view(deployment);
    assert.deepEqual([view.state, view.reason, view.why.code], ['failed', 'poison', 'poison']);
  });

  it('does not count leases that were given back, nor holders that stayed a while', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const conductor = new FakeConductor(await test.connect());
    const { deployment } = await deployShop(test);
    for (let time = 0; time < 12; time++) {
      const claim = await conductor.claim(deployment, hexId(systemRandom));
      assert.ok(claim.claimed, `claim ${time}`);
      if (time % 4 === 3) await conductor.release(deployment, claim.epoch, claim.length);
      if (time % 4 === 1) {
        await test.clock.advance(6_000);
        await conductor.renew([{ deploymentId: deployment, epoch: claim.epoch }]);
      }
      await test.clock.advance(31_000);
    }
    assert.equal((await test.view(deployment)).reason, undefined);
  });
});
