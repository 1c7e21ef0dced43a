import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessagingError, memoryDriver } from '@torcello/messaging';
import { MemoryBroker } from '@torcello/messaging/testing';
import { SimulatedClock } from '@torcello/platform/testing';
import { eventually } from './support/eventually.js';
import { FakeConductor } from './support/fake-conductor.js';
import { TestApi, deployShop } from './support/test-api.js';

/** More than the five that end a deployment. */
const rounds = 7;
/** After so long a lease is over that nobody renews. */
const leaseOverMs = 31_000;

async function assertAlive(test: TestApi, deployment: string): Promise<void> {
  const view = await test.view(deployment);
  assert.deepEqual([view.finishedAt, view.reason], [undefined, undefined], view.state);
}

describe('holders that vanish within seconds of their claim', () => {
  it('end a deployment at the fifth in a row', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const { deployment } = await deployShop(test);
    const [first, second] = [new FakeConductor(await test.connect()), new FakeConductor(await test.connect())];
    for (let time = 0; time < 5; time++) {
      // A process that died comes back under another name.
      assert.ok((await new FakeConductor(await test.connect()).claim(deployment)).claimed, `claim ${time}`);
      await assertAlive(test, deployment);
      await test.clock.advance(leaseOverMs);
    }
    assert.deepEqual(await first.claim(deployment), { claimed: false, why: 'finished' });
    assert.equal((await test.view(deployment)).reason, 'poison');
    // Somebody who has looked at it may have it tried again, from nought.
    assert.equal((await test.call('POST', `/v1/deployments/${deployment}/resume`)).status, 200);
    assert.ok((await first.claim(deployment)).claimed);
    await test.clock.advance(leaseOverMs);
    assert.ok((await second.claim(deployment)).claimed);
  });

  it('count nothing where they live on: they were slow or stopped, and let their leases end', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const { deployment } = await deployShop(test);
    const slow = [new FakeConductor(await test.connect()), new FakeConductor(await test.connect())];
    for (let time = 0; time < 2 * rounds; time++) {
      assert.ok((await slow[time % 2]?.claim(deployment))?.claimed, `claim ${time}`);
      await test.clock.advance(leaseOverMs);
    }
    await assertAlive(test, deployment);
  });

  it('count no more once they are heard of again, for whatever deployment it is', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const [{ deployment }, other] = [await deployShop(test), await deployShop(test, { name: 'other' })];
    const holders: FakeConductor[] = [];
    const vanish = async (): Promise<void> => {
      const holder = new FakeConductor(await test.connect());
      assert.ok((await holder.claim(deployment)).claimed, 'one more claims it');
      holders.push(holder);
      await test.clock.advance(leaseOverMs);
    };
    for (let time = 0; time < 4; time++) await vanish();
    await holders[1]?.claim(other.deployment);
    await vanish();
    await vanish();
    await assertAlive(test, deployment);
    const last = new FakeConductor(await test.connect());
    assert.deepEqual(await last.claim(deployment), { claimed: false, why: 'finished' });
  });

  it('count nothing where they gave the deployment back: a hand-over, a stop for an upgrade', async () => {
    await using test = await TestApi.open();
    await test.attach();
    const { deployment } = await deployShop(test);
    for (let time = 0; time < rounds; time++) {
      const conductor = new FakeConductor(await test.connect());
      const claim = await conductor.claim(deployment);
      assert.ok(claim.claimed, `claim ${time}`);
      await conductor.release(deployment, claim.epoch, claim.length);
    }
    // One that does vanish is the first, not the last.
    const last = new FakeConductor(await test.connect());
    for (let time = 0; time < 2; time++) {
      assert.ok((await last.claim(deployment)).claimed);
      await test.clock.advance(leaseOverMs);
    }
    await assertAlive(test, deployment);
  });

  it('count nothing where the API was started anew meanwhile', async () => {
    let test = await TestApi.open();
    await test.attach();
    const { deployment } = await deployShop(test);
    for (let time = 0; time < rounds; time++) {
      const conductor = new FakeConductor(await test.connect());
      assert.ok((await conductor.claim(deployment)).claimed, `claim ${time}`);
      await test.stop();
      test = await TestApi.open({ folder: test.folder, driver: test.driver, testClock: test.clock });
      await test.attach();
      await test.clock.advance(leaseOverMs);
    }
    await assertAlive(test, deployment);
    await test[Symbol.asyncDispose]();
  });

  it('count nothing where the broker was away meanwhile: their renewals could not come', async () => {
    const testClock = new SimulatedClock();
    const broker = new MemoryBroker(testClock);
    await using test = await TestApi.open({ testClock, driver: memoryDriver({ broker }) });
    const link = await test.attach();
    const { deployment } = await deployShop(test);
    for (let time = 0; time < rounds; time++) {
      const conductor = new FakeConductor(await test.connect());
      assert.ok((await conductor.claim(deployment)).claimed, `claim ${time}`);
      broker.refuse(new MessagingError('CONNECT_FAILED', 'the broker is away'));
      broker.cut();
      await eventually('the link is down', () => link.state !== 'connected');
      await test.clock.advance(leaseOverMs);
      broker.refuse(undefined);
      await eventually('the link is up', async () => {
        await test.clock.advance(1_000);
        return link.state === 'connected';
      });
      await test.clock.advance(leaseOverMs);
    }
    await assertAlive(test, deployment);
  });
});
