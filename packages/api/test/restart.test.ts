import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { memoryDriver } from '@torcello/messaging';
import { SimulatedClock } from '@torcello/platform/testing';
import { openStore } from '../src/database/store.js';
import { eventually } from './support/eventually.js';
import { FakeAgent } from './support/fake-agent.js';
import { FakeConductor } from './support/fake-conductor.js';
import { TestApi, deployShop } from './support/test-api.js';

describe('after a restart of the API', () => {
  it('a hint that was committed and never relayed goes out', async () => {
    const first = await TestApi.open();
    const { deployment } = await deployShop(first);
    await first.stop();
    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await second.attach();
    const conductor = new FakeConductor(await second.connect());
    assert.equal(await eventually('the hint', () => conductor.takeHint()), deployment);
  });

  it('a lease has one fresh term, and is taken over when nobody renews', async () => {
    const first = await TestApi.open();
    await first.attach();
    const { deployment } = await deployShop(first);
    const dead = new FakeConductor(await first.connect());
    await eventually('the hint', () => dead.takeHint());
    assert.ok((await dead.claim(deployment)).claimed);
    await first.clock.advance(25_000);
    await first.stop();
    const testClock = new SimulatedClock(Date.UTC(2020, 0, 1));
    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock });
    await second.attach();
    const other = new FakeConductor(await second.connect());
    await testClock.advance(25_000);
    assert.deepEqual(await other.claim(deployment), { claimed: false, why: 'held' });
    await testClock.advance(10_000);
    assert.equal(await eventually('the hint of the sweeper', () => other.takeHint()), deployment);
    assert.ok((await other.claim(deployment)).claimed);
  });

  it('a result that came while it was away is taken, and the receipt sent', async () => {
    const first = await TestApi.open();
    await first.attach();
    const { deployment, machines } = await deployShop(first);
    const conductor = new FakeConductor(await first.connect());
    await eventually('the hint', () => conductor.takeHint());
    await eventually('the mailbox', () =>
      conductor.boxes.inspect(machines[0]?.mailbox ?? '').then(
        () => true,
        () => false,
      ),
    );
    await conductor.workOn(deployment);
    const { plans } = (await first.call('GET', `/v1/deployments/${deployment}`)).body;
    await first.stop();
    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await new FakeAgent(await second.connect(), plans[0].machine.id).result(deployment, plans[0].planId);
    await second.attach();
    const after = new FakeConductor(await second.connect());
    assert.equal(await eventually('a hint', () => after.takeHint()), deployment);
    await after.workOn(deployment);
    assert.equal((await second.call('GET', `/v1/deployments/${deployment}`)).body.state, 'succeeded');
  });
});

describe('two thousand deployments that wait', () => {
  it('hold no lease, no memory and no hint, and one of them goes on when its result comes', async () => {
    const first = await TestApi.open({ driver: memoryDriver() });
    await first.attach();
    const { deployment, machines } = await deployShop(first);
    const conductor = new FakeConductor(await first.connect());
    await eventually('the hint', () => conductor.takeHint());
    await eventually('the mailbox', () =>
      conductor.boxes.inspect(machines[0]?.mailbox ?? '').then(
        () => true,
        () => false,
      ),
    );
    await conductor.workOn(deployment);
    const [plan] = (await first.call('GET', `/v1/deployments/${deployment}`)).body.plans;
    await first.stop();
    await copyDeployment(first.folder, deployment, 1_999);

    await using second = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    await second.attach();
    await second.clock.advance(60_000);
    const { body: health } = await second.call('GET', '/healthz');
    assert.deepEqual([health.leases, health.foldedDeployments, health.lettersWaiting], [0, 0, 0]);
    const after = new FakeConductor(await second.connect());
    assert.equal(await after.takeHint(), undefined);

    const one = `${deployment.slice(0, 24)}${'00000007'}`;
    await new FakeAgent(await second.connect(), machines[0]?.id ?? '').result(
      one,
      `${plan.planId.slice(0, 24)}00000007`,
    );
    assert.equal(await eventually('a hint for the one', () => after.takeHint()), one);
    await second.clock.advance(60_000);
    assert.equal((await second.call('GET', '/healthz')).body.leases, 0);
    assert.ok(fs.existsSync(second.folder));
  });
});

/** Copies a deployment with its history and plan, under ids that end in a number. */
async function copyDeployment(folder: string, id: string, copies: number): Promise<void> {
  const store = await openStore(folder);
  await store.write(async ({ db }) => {
    const deployment = await db.selectFrom('deployments').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    const history = await db.selectFrom('history').selectAll().where('deployment_id', '=', id).execute();
    const plan = await db.selectFrom('plans').selectAll().where('deployment_id', '=', id).executeTakeFirstOrThrow();
    const letter = await db.selectFrom('letters').selectAll().where('deployment_id', '=', id).executeTakeFirstOrThrow();
    for (let n = 1; n <= copies; n++) {
      const tail = n.toString(16).padStart(8, '0');
      const copyId = id.slice(0, 24) + tail;
      const planId = plan.plan_id.slice(0, 24) + tail;
      await db
        .insertInto('deployments')
        .values({ ...deployment, id: copyId })
        .execute();
      await db
        .insertInto('history')
        .values(
          history.map((row) => ({ ...row, deployment_id: copyId, event: row.event.replaceAll(plan.plan_id, planId) })),
        )
        .execute();
      await db
        .insertInto('plans')
        .values({ ...plan, plan_id: planId, deployment_id: copyId })
        .execute();
      await db
        .insertInto('letters')
        .values({ ...letter, plan_id: planId, deployment_id: copyId })
        .execute();
    }
  });
  await store.close();
}
