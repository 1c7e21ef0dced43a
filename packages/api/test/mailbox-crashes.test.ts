import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { connect, mailboxes, memoryDriver } from '@torcello/messaging';
import type { Delivery, Driver, Transport } from '@torcello/messaging';
import { silentLogger, systemRandom } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';
import { Owners } from '../src/access/owners.js';
import type { Context } from '../src/context.js';
import { openStore } from '../src/database/store.js';
import type { Store } from '../src/database/store.js';
import { FoldedDeployments } from '../src/deployments/folded.js';
import { History } from '../src/deployments/history.js';
import { Leases } from '../src/deployments/leases.js';
import { Presence } from '../src/machines/presence.js';
import { MailboxKeeper } from '../src/mailboxes/keeper.js';
import { Notices } from '../src/notices.js';
import { eventually } from './support/eventually.js';
import { FakeConductor } from './support/fake-conductor.js';
import { declared, enrol } from './support/posted.js';
import { TestApi, stagedShop } from './support/test-api.js';

const lifetimeMs = 60_000;

/** Counts everything that a process does to the world, and lets it die before the n-th of it. */
class Fate {
  readonly #dieAt: number;
  #steps = 0;
  isDead = false;

  constructor(dieAt: number) {
    this.#dieAt = dieAt;
  }

  async before<T>(act: () => Promise<T>): Promise<T> {
    this.step();
    return act();
  }

  step(): void {
    this.#steps += 1;
    if (this.#steps >= this.#dieAt) this.isDead = true;
    if (this.isDead) throw new Error('the process is dead');
  }
}

/** Data and broker as a process left them that had posted three plans and was stopped. */
interface Left {
  readonly folder: string;
  readonly clock: SimulatedClock;
  readonly nowMs: number;
  readonly machines: readonly { readonly id: string; readonly mailbox: string }[];
}

/** Nobody ever joined as the first machine; the second joined and is silent; the third took its letter and is silent. */
async function leave(): Promise<{ readonly left: Left; readonly test: TestApi }> {
  const test = await TestApi.open();
  await test.attach();
  const shop = await stagedShop(test, { machines: 3 });
  await declared(test, shop.environment);
  for (const machine of shop.machines.slice(1)) await enrol(test, shop.environment, machine.id);
  await test.clock.advance(1_000);
  await test.call('POST', `/v1/environments/${shop.environment}/sessions/${shop.session}/deploy`);
  const conductor = new FakeConductor(await test.connect());
  await conductor.workOn(String(await eventually('a hint', () => conductor.takeHint())));
  await test.stop();
  const left = { folder: test.folder, clock: test.clock, nowMs: test.clock.now(), machines: shop.machines };
  return { left, test };
}

/** One life of the part of the API that ends mailboxes. */
async function live(
  of: { readonly folder: string; readonly driver: Driver; readonly clock: SimulatedClock },
  fate: Fate,
  until: (store: Store) => Promise<boolean>,
): Promise<void> {
  const { folder, driver, clock } = of;
  const store = await openStore(folder);
  const transport = await connect('memory://test/', { drivers: [driver], clock });
  const mortal: Pick<Store, 'db' | 'write' | 'close'> = {
    db: store.db,
    write: (work) => fate.before(() => store.write(work)),
    close: () => store.close(),
  };
  const world = { clock, random: systemRandom, logger: silentLogger, notices: new Notices(), owners: Owners.none() };
  const context: Context = { ...world, store: mortal as Store };
  const presence = new Presence({ clock, heartbeatMs: 1_000, unknownAfterMissed: 2, lostAfterMissed: 10 });
  presence.linkIsUp();
  const [folded, leases] = [new FoldedDeployments(10), new Leases(clock, 30_000)];
  const history = new History({ context, folded, leases, hintExpiresMs: 5_000, mailboxGraceMs: 1_000 });
  const keeper = new MailboxKeeper({
    ...{ context, history, presence, lifetimeMs, settleMs: 5_000 },
    transport: () => watched(transport, fate),
  });
  keeper.start();
  await eventually('its end', async () => {
    await clock.advance(1_000);
    return fate.isDead || (await until(store));
  });
  await keeper.stop();
  await transport.close();
  await store.close();
}

function watched(transport: Transport, fate: Fate): Transport {
  const own: Pick<Transport, 'get' | 'delete' | 'publish'> = {
    get: (...given) =>
      fate.before(async () => {
        const delivery = await transport.get(...given);
        return delivery && settling(delivery, fate);
      }),
    delete: (...given) => fate.before(() => transport.delete(...given)),
    publish: (...given) => fate.before(() => transport.publish(...given)),
  };
  return new Proxy(transport, {
    get: (target, key) => {
      const found: unknown = Reflect.get(own, key) ?? Reflect.get(target, key, target);
      return typeof found === 'function' ? found.bind(target) : found;
    },
  });
}

function settling(delivery: Delivery, fate: Fate): Delivery {
  const { message, destination, redelivered, earlierDeliveries } = delivery;
  const accept = (): boolean => {
    fate.step();
    return delivery.accept();
  };
  const [release, reject] = [() => delivery.release(), () => delivery.reject()];
  return { message, destination, redelivered, earlierDeliveries, accept, release, reject };
}

async function isSettled(store: Store): Promise<boolean> {
  const ends = await store.db.selectFrom('mailbox_ends').select('state').execute();
  const events = await store.db.selectFrom('events').select('id').execute();
  return ends.length === 3 && ends.every(({ state }) => state === 'settled') && events.length === 0;
}

/** The broker as it was left: the letters of the first two machines still lie in their mailboxes. */
async function brokerOf(left: Left, clock: SimulatedClock): Promise<Driver> {
  const driver = memoryDriver();
  const transport = await connect('memory://test/', { drivers: [driver], clock });
  const boxes = mailboxes(transport);
  const store = await openStore(left.folder);
  const letters = await store.db.selectFrom('letters').selectAll().execute();
  await store.close();
  for (const { mailbox } of left.machines) await boxes.open(mailbox);
  for (const { mailbox, plan_id: id, body } of letters) {
    if (mailbox !== left.machines[2]?.mailbox)
      await boxes.put(mailbox, { id, body, headers: { 'torcello-kind': 'plan' } });
  }
  await transport.close();
  return driver;
}

/** What listeners were told, and what is left at the broker. */
async function toldBy(driver: Driver, clock: SimulatedClock, left: Left) {
  const transport = await connect('memory://test/', { drivers: [driver], clock });
  const told = new Map<string, { readonly eventId: string; readonly became: readonly unknown[] }[]>();
  for (;;) {
    const delivery = await transport.get({ queue: 'notifications.warn' });
    if (delivery === undefined) break;
    delivery.accept();
    const outer = JSON.parse(Buffer.from(delivery.message.body).toString()) as { 'oslo.message': string };
    const { payload } = JSON.parse(outer['oslo.message']) as {
      payload: { mailbox: string; eventId: string; letters: readonly { became?: unknown }[] };
    };
    const event = { eventId: payload.eventId, became: payload.letters.map(({ became }) => became) };
    told.set(payload.mailbox, [...(told.get(payload.mailbox) ?? []), event]);
  }
  for (const { mailbox } of left.machines) {
    await assert.rejects(transport.inspect({ queue: mailbox }), { code: 'NOT_FOUND' });
  }
  await transport.close();
  return told;
}

describe('an API that dies while it ends mailboxes', () => {
  it('goes on where it was, at whichever step it died, and every plan and event is told', async () => {
    const { left, test } = await leave();
    await using _folder = test;
    let deaths = 0;
    for (let dieAt = 1; ; dieAt++) {
      const copy = temporaryFolder('mailbox-crash');
      fs.copyFileSync(path.join(left.folder, 'torcello.sqlite'), path.join(copy.path, 'torcello.sqlite'));
      const clock = new SimulatedClock(left.nowMs + lifetimeMs);
      const driver = await brokerOf({ ...left, folder: copy.path }, clock);
      const fate = new Fate(dieAt);
      await live({ folder: copy.path, driver, clock }, fate, isSettled);
      if (fate.isDead) {
        deaths += 1;
        await live({ folder: copy.path, driver, clock }, new Fate(Infinity), isSettled);
      }
      const store = await openStore(copy.path);
      const plans = await store.db
        .selectFrom('plans')
        .innerJoin('machines', 'machines.id', 'plans.machine_id')
        .select('outcome')
        .orderBy('machines.place')
        .execute();
      await store.close();
      const says = `died at step ${dieAt}`;
      assert.deepEqual(
        plans.map(({ outcome }) => outcome),
        ['expired', 'expired', null],
        says,
      );
      const told = await toldBy(driver, clock, left);
      for (const [place, { mailbox }] of left.machines.entries()) {
        const events = told.get(mailbox) ?? [];
        assert.equal(new Set(events.map(({ eventId }) => eventId)).size, 1, `${says}, events of ${place}`);
        assert.deepEqual(events[0]?.became, [place === 2 ? 'unknown' : 'expired'], says);
      }
      copy.remove();
      if (!fate.isDead) break;
    }
    assert.ok(deaths > 15, `only ${deaths} steps`);
  });
});
