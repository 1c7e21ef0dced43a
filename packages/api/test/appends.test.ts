import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hexId, systemRandom } from '@torcello/platform';
import { eventually } from './support/eventually.js';
import { FakeConductor, scheduled } from './support/fake-conductor.js';
import { TestApi, deployShop } from './support/test-api.js';

async function claimed(test: TestApi) {
  await test.attach();
  const shop = await deployShop(test);
  const conductor = new FakeConductor(await test.connect());
  const claim = await conductor.claim(shop.deployment, 'first');
  assert.ok(claim.claimed);
  const machine = shop.machines[0]?.id ?? '';
  return { ...shop, conductor, claim, machine };
}

describe('a lease', () => {
  it('is given to one holder, and repeats its answer', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim } = await claimed(test);
    const again = await conductor.claim(deployment, 'first');
    assert.ok(again.claimed);
    assert.equal(again.epoch, claim.epoch);
    const other = new FakeConductor(await test.connect());
    assert.deepEqual(await other.claim(deployment), { claimed: false, why: 'held' });
    assert.deepEqual(await other.claim(hexId(systemRandom)), { claimed: false, why: 'unknownDeployment' });
  });

  it('ends when it is not renewed, and the next holder has a new epoch that fences off the old one', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim, machine } = await claimed(test);
    await test.clock.advance(20_000);
    const leases = [{ deploymentId: deployment, epoch: claim.epoch }];
    assert.equal((await conductor.renew(leases)).leases[0]?.isHeld, true);
    await test.clock.advance(20_000);
    const other = new FakeConductor(await test.connect());
    assert.deepEqual(await other.claim(deployment), { claimed: false, why: 'held' });
    await test.clock.advance(11_000);
    const taken = await other.claim(deployment);
    assert.ok(taken.claimed);
    assert.equal(taken.epoch, claim.epoch + 1);
    assert.equal((await conductor.renew(leases)).leases[0]?.isHeld, false);
    const events = [scheduled(hexId(systemRandom), machine, 'web/web', 'late')];
    const late = await conductor.append({ deploymentId: deployment, epoch: claim.epoch, expectedLength: 1, events });
    assert.deepEqual(late, { appended: false, why: 'fenced' });
    assert.equal((await other.load(deployment)).length, 1);
  });

  it('is refused to a conductor that lacks an event', async () => {
    await using test = await TestApi.open();
    const { deployment } = await deployShop(test);
    await test.attach();
    const transport = await test.connect();
    const { rpcClient } = await import('@torcello/messaging');
    const rpc = rpcClient(transport, { exchange: 'torcello', topic: 'deployments', version: '1.0' });
    const answer = await rpc.call('claim', {
      deploymentId: deployment,
      holder: 'old',
      nonce: 'n',
      knownEvents: ['planScheduled'],
    });
    assert.deepEqual(answer, { claimed: false, why: 'unknownEvents' });
  });

  it('goes to somebody else at once when there is work left, and parks what waits', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim } = await claimed(test);
    await eventually('the first hint', () => conductor.takeHint());
    assert.deepEqual(await conductor.release(deployment, claim.epoch, 0), { released: false, length: 1 });
    assert.deepEqual(await conductor.release(deployment, claim.epoch, 1), { released: true, length: 1 });
    assert.equal(await eventually('a hint at once', () => conductor.takeHint()), deployment);
    await conductor.workOn(deployment);
    await test.clock.advance(60_000);
    assert.equal(await conductor.takeHint(), undefined);
    assert.equal((await test.call('GET', '/healthz')).body.leases, 0);
  });
});

describe('an append', () => {
  it('with the same ids answers as before, and writes nothing twice', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim, machine } = await claimed(test);
    const request = {
      deploymentId: deployment,
      epoch: claim.epoch,
      expectedLength: 1,
      events: [scheduled(hexId(systemRandom), machine, 'web/web', 'letter')],
    };
    assert.deepEqual(await conductor.append(request), { appended: true, length: 2 });
    assert.deepEqual(await conductor.append(request), { appended: true, length: 2 });
    assert.equal((await conductor.load(deployment)).length, 2);
  });

  it('at a wrong length answers what is missing', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim, machine, environment } = await claimed(test);
    const entry = scheduled(hexId(systemRandom), machine, 'web/web', 'letter');
    await conductor.append({ deploymentId: deployment, epoch: claim.epoch, expectedLength: 1, events: [entry] });
    assert.equal((await test.call('DELETE', `/v1/machines/${machine}`)).status, 200);
    const stored = { id: hexId(systemRandom), event: { type: 'planStored', planId: planIdOf(entry), storedAtMs: 1 } };
    const answer = await conductor.append({
      deploymentId: deployment,
      epoch: claim.epoch,
      expectedLength: 2,
      events: [stored],
    });
    assert.ok(!answer.appended && answer.why === 'length');
    assert.equal(answer.length, 3);
    assert.equal(answer.missing[0]?.type, 'planEnded');
    assert.equal((await test.call('GET', `/v1/environments/${environment}/machines`)).body.machines.length, 0);
  });

  it('keeps the letter byte for byte, and refuses one that does not fit its digest', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim, machine, machines } = await claimed(test);
    const entry = scheduled(hexId(systemRandom), machine, 'web/web', 'exact bytes');
    const forged = { ...entry, letter: Buffer.from('other bytes').toString('base64') };
    const base = { deploymentId: deployment, epoch: claim.epoch, expectedLength: 1 };
    await assert.rejects(conductor.append({ ...base, events: [forged] }), { code: 'REMOTE_ERROR' });
    await assert.rejects(conductor.append({ ...base, events: [{ ...entry, letter: undefined }] }), {
      code: 'REMOTE_ERROR',
    });
    assert.equal((await conductor.load(deployment)).length, 1);
    await conductor.append({ ...base, events: [entry] });
    const { letter, mailbox } = await conductor.letter(deployment, planIdOf(entry));
    assert.equal(Buffer.from(letter, 'base64').toString(), 'exact bytes');
    assert.equal(mailbox, machines[0]?.mailbox);
  });

  it('of an event that only users and agents bring is refused', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim } = await claimed(test);
    for (const event of [
      { type: 'accepted', action: 'deploy', stages: [] },
      { type: 'cancelRequested', graceMs: 1 },
      { type: 'exploded' },
    ]) {
      const request = { deploymentId: deployment, epoch: claim.epoch, expectedLength: 1, events: [{ id: 'x', event }] };
      await assert.rejects(conductor.append(request), { code: 'REMOTE_ERROR' }, event.type);
    }
  });

  it('that rejects the deployment shows the reason', async () => {
    await using test = await TestApi.open();
    const { conductor, deployment, claim } = await claimed(test);
    const events = [
      { id: 'a', event: { type: 'rejected', reason: 'the plan has 2 MB; at most 1 MB is allowed' } },
      { id: 'b', event: { type: 'finished', result: 'failed' } },
    ];
    await conductor.append({ deploymentId: deployment, epoch: claim.epoch, expectedLength: 1, events });
    const { body } = await test.call('GET', `/v1/deployments/${deployment}`);
    assert.deepEqual([body.state, body.reason], ['failed', 'the plan has 2 MB; at most 1 MB is allowed']);
    assert.deepEqual(await conductor.claim(deployment), { claimed: false, why: 'finished' });
  });
});

function planIdOf(entry: ReturnType<typeof scheduled>): string {
  return entry.event.type === 'planScheduled' ? entry.event.plan.planId : '';
}
