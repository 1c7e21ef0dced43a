import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppendRequest, DeploymentEvent } from '@torcello/contracts';
import { makeGate } from './support/gate.js';
import { World } from './support/world.js';

const order = { id: 'd1', example: 'hello-web', machines: { web: 2 } } as const;

/** The points that a deployment passes when nothing goes wrong; each is one place where a conductor may die. */
async function undisturbedPoints(): Promise<readonly string[]> {
  await using world = await World.start();
  await world.conductor('one');
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  return world.points.map(({ point }) => point);
}

const points = await undisturbedPoints();

test('a deployment passes every point of the agreed list', () => {
  assert.deepEqual(
    new Set(points),
    new Set(['reading', 'claimed', 'appending', 'appended', 'posting', 'posted', 'stored', 'released']),
  );
});

for (const [index, point] of points.entries()) {
  test(`a conductor that dies at point ${index} (${point}) is taken over: no letter is forgotten, none is different`, async () => {
    await using world = await World.start();
    const { transport } = await world.conductor('dying');
    let passed = 0;
    world.onPoint = () => {
      if (passed === index) void transport.close();
      passed += 1;
    };
    const model = await world.deploy(order);
    await world.until(() => passed > index, 'the point');
    await world.pass(20);
    world.onPoint = () => undefined;
    await world.conductor('heir');
    world.api.expire('d1');
    await world.api.hint('d1');
    await world.until(() => storedPlans(world.api.events('d1')).size === 2, 'both plans stored');

    const scheduled = world.api.events('d1').filter((event) => event.type === 'planScheduled');
    assert.equal(scheduled.length, 2, 'each machine has one plan');
    for (const { mailbox, id } of model.machines) {
      const letters = await world.plansIn(mailbox);
      assert.ok(letters.length >= 1 && letters.length <= 2, `${letters.length} letters`);
      const own = scheduled.find((event) => event.plan.machine === id);
      for (const letter of letters) {
        assert.equal(letter.id, own?.plan.planId);
        assert.equal(Buffer.from(letter.body).toString('base64'), world.api.row('d1').letters.get(letter.id));
      }
    }
  });
}

test('a holder that was replaced while it waited writes nothing any more', async () => {
  await using world = await World.start();
  await world.conductor('slow');
  const gate = makeGate();
  world.api.before = (method) => (method === 'append' ? gate.opened : undefined);
  await world.deploy(order);
  await world.until(() => world.api.seen.some(({ method }) => method === 'append'), 'the slow one appends');
  await world.conductor('quick');
  world.api.expire('d1');
  world.api.before = () => undefined;
  await world.api.hint('d1');
  await world.until(() => storedPlans(world.api.events('d1')).size === 2, 'the quick one has done it');
  const before = [...world.api.events('d1')];
  gate.open();
  await world.pass(5_000);
  assert.deepEqual(world.api.events('d1'), before);
  assert.equal(before.filter(({ type }) => type === 'planScheduled').length, 2);
  const epochs = world.api.seen.flatMap(({ method, request }) =>
    method === 'append' ? [(request as unknown as AppendRequest).epoch] : [],
  );
  assert.equal(epochs.filter((epoch) => epoch === 1).length, 1, 'fenced once, it drops everything');
});

test('a conductor whose renewals are not answered stops by its own clock, before the lease is over', async () => {
  await using world = await World.start();
  await world.conductor('cut off');
  world.api.before = (method) => (method === 'renew' ? new Promise(() => undefined) : undefined);
  await world.deploy({ ...order, withMailboxes: false });
  await world.until(() => world.points.some(({ point }) => point === 'posting'), 'it tries to post');
  await world.pass(27_100);
  const seen = world.api.seen.length;
  const tried = world.points.length;
  await world.pass(60_000);
  assert.equal(world.points.length, tried, 'no effect is tried any more');
  assert.ok(world.api.seen.slice(seen).every(({ method }) => method === 'renew'));
});

test('what hangs is given up when the lease is over, and makes room', async () => {
  await using world = await World.start();
  await world.conductor('one', 1);
  world.api.before = (method, { deploymentId }) =>
    method === 'renew' || deploymentId === 'd1' ? hangAfterClaim(method) : undefined;
  await world.deploy(order);
  await world.until(() => world.api.seen.some(({ method }) => method === 'load'), 'it hangs');
  await world.deploy({ ...order, id: 'd2' });
  await world.pass(26_000);
  assert.equal(world.api.row('d2').holder, undefined);
  await world.until(() => storedPlans(world.api.events('d2')).size === 2, 'the next one is done', 2_000);
});

test('one request renews all leases, and the work goes on past the first term', async () => {
  await using world = await World.start();
  await world.conductor('one');
  for (const id of ['d1', 'd2', 'd3']) await world.deploy({ ...order, id, withMailboxes: false });
  await world.pass(25_000);
  const renewals = world.api.seen.filter(({ method }) => method === 'renew');
  assert.ok(renewals.length >= 2 && renewals.length <= 3, `${renewals.length} renewals`);
  const leases = renewals[0]?.request['leases'] as readonly unknown[] | undefined;
  assert.equal(leases?.length, 3);
  await world.pass(30_000);
  for (const id of ['d1', 'd2', 'd3']) assert.equal(world.api.events(id).at(-1)?.type, 'finished');
});

test('a conductor that is stopped gives its leases back at once', async () => {
  await using world = await World.start();
  const { conductor } = await world.conductor('leaving');
  await world.deploy({ ...order, withMailboxes: false });
  await world.until(() => world.points.some(({ point }) => point === 'posting'), 'it is at work');
  assert.equal(world.api.row('d1').holder, 'leaving');
  let isStopped = false;
  void conductor.stop().then(() => (isStopped = true));
  await world.until(() => isStopped, 'it stops', 1_000);
  assert.equal(world.api.row('d1').holder, undefined);
  await world.conductor('heir');
  await world.api.hint('d1');
  await world.until(() => world.api.row('d1').holder === 'heir', 'the next one has it', 1_000);
});

test('an event that this conductor cannot act on is left to one that can', async () => {
  await using world = await World.start();
  await world.conductor('old');
  world.api.before = (method) => {
    if (method === 'load') world.api.write('d1', { type: 'paused' } as unknown as DeploymentEvent);
  };
  await world.deploy(order);
  await world.until(() => world.api.seen.some(({ method }) => method === 'load'), 'it loads');
  await world.pass(5_000);
  assert.equal(world.api.counts()['append'], undefined);
});

function hangAfterClaim(method: string): Promise<never> | undefined {
  return method === 'claim' ? undefined : new Promise(() => undefined);
}

function storedPlans(events: readonly DeploymentEvent[]): ReadonlySet<string> {
  return new Set(events.flatMap((event) => (event.type === 'planStored' ? [event.planId] : [])));
}
