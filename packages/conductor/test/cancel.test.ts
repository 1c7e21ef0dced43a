import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CancelPayload, letterKindHeader } from '@torcello/contracts';
import { mailboxes } from '@torcello/messaging';
import { readLetter } from './support/letters.js';
import { World } from './support/world.js';

const order = { id: 'd1', example: 'hello-web', machines: { web: 2 } } as const;
const cancelRequested = { type: 'cancelRequested', graceMs: 1500 } as const;

/** A deployment whose two plans are in their mailboxes, and somebody who wants it to end. */
async function cancelling(): Promise<World> {
  const world = await World.start();
  await world.conductor('first');
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  world.points.length = 0;
  world.api.write('d1', cancelRequested);
  return world;
}

async function undisturbedPoints(): Promise<readonly string[]> {
  await using world = await cancelling();
  await world.api.hint('d1');
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'over');
  return world.points.map(({ point }) => point);
}

const points = await undisturbedPoints();

test('a cancel becomes a signed letter in every mailbox with an open plan, and the deployment is cancelled', async () => {
  await using world = await cancelling();
  const [first, second] = world.api.scheduled('d1');
  assert.ok(first !== undefined && second !== undefined);
  world.api.write('d1', { type: 'planEnded', planId: first.planId, outcome: 'succeeded' });
  await world.api.hint('d1');
  await world.untilEvent('d1', 'finished');
  const events = world.api.events('d1').slice(-2);
  assert.deepEqual(events, [
    { type: 'cancelStored', planId: second.planId },
    { type: 'finished', result: 'cancelled' },
  ]);
  const boxes = world.model('d1').machines.map(({ mailbox }) => mailbox);
  const letters = await Promise.all(boxes.map((box) => world.lettersIn(box)));
  assert.deepEqual(
    letters.map((all) => all.map(({ id }) => id)),
    [[first.planId], [second.planId, `cancel-${second.planId}`]],
  );
  const cancel = letters[1]?.[1];
  assert.ok(cancel !== undefined);
  assert.equal(cancel.headers[letterKindHeader], 'cancel');
  const { header, payload } = readLetter<CancelPayload>(cancel.body);
  assert.deepEqual(payload, { format: 'torcello/1', planId: second.planId, graceMs: 1500 });
  const { kid, ...rest } = header;
  assert.equal(kid.length, 16);
  assert.deepEqual(rest, {
    kind: 'cancel',
    planId: second.planId,
    deploymentId: 'd1',
    machineId: second.machine,
    mailbox: boxes[1],
    enrolment: 1,
    epoch: 2,
  });
});

test('a mailbox that is gone holds up no cancel', async () => {
  await using world = await cancelling();
  const [gone] = world.model('d1').machines;
  await mailboxes(world.apiTransport).delete(gone?.mailbox ?? '');
  await world.api.hint('d1');
  await world.until(() => world.api.events('d1').at(-1)?.type === 'finished', 'it is over', 1_000);
  assert.equal(world.api.events('d1').filter(({ type }) => type === 'cancelStored').length, 2);
});

test('a cancel waits for the broker, and then goes out', async () => {
  await using world = await cancelling();
  let cuts = 0;
  world.onPoint = ({ point }) => {
    if (point !== 'cancelPosting' || cuts >= 2) return;
    cuts += 1;
    world.broker.cut();
  };
  await world.api.hint('d1');
  await world.untilEvent('d1', 'finished');
  assert.equal(cuts, 2);
  assert.equal(world.api.events('d1').filter(({ type }) => type === 'cancelStored').length, 2);
});

test('a cancel that comes while plans are put stops the rest of them; each open plan gets its cancel', async () => {
  await using world = await World.start();
  await world.conductor('one');
  let posted = 0;
  world.onPoint = ({ point }) => {
    if (point === 'posted') posted += 1;
    if (posted === 70) world.api.write('d1', cancelRequested);
  };
  await world.deploy({ ...order, machines: { web: 900 } });
  await world.untilEvent('d1', 'finished');
  assert.ok(posted < 900, `${posted} plans were put`);
  const scheduled = world.api.scheduled('d1').length;
  assert.equal(world.api.events('d1').filter(({ type }) => type === 'cancelStored').length, scheduled);
});

test('a superseded deployment posts nothing more and is over', async () => {
  await using world = await World.start();
  await world.conductor('one');
  await world.deploy({ ...order, withMailboxes: false });
  await world.until(() => world.points.some(({ point }) => point === 'posting'), 'it tries to post');
  world.api.write('d1', { type: 'supersedeRequested', by: 'newer' });
  await world.api.ringDoorbell('d1');
  await world.untilEvent('d1', 'finished');
  assert.deepEqual(world.api.events('d1').at(-1), { type: 'finished', result: 'superseded' });
});

test('a cancel passes every point of the agreed list', () => {
  const passed = [
    'reading',
    'claimed',
    'cancelPosting',
    'cancelPosted',
    'cancelStored',
    'finishing',
    'finished',
    'released',
  ];
  assert.deepEqual(new Set(points), new Set(passed));
});

for (const [index, point] of points.entries()) {
  test(`a conductor that dies at point ${index} (${point}) of a cancel is taken over: every machine is told`, async () => {
    await using world = await cancelling();
    let passed = 0;
    world.onPoint = () => {
      if (passed === index) void world.transportOf('first').close();
      passed += 1;
    };
    await world.api.hint('d1');
    await world.until(() => passed > index, 'the point');
    await world.pass(20);
    world.onPoint = () => undefined;
    await world.conductor('heir');
    world.api.expire('d1');
    await world.api.hint('d1');
    await world.until(() => world.api.events('d1').at(-1)?.type === 'finished', 'it is over');
    const events = world.api.events('d1');
    assert.deepEqual(events.at(-1), { type: 'finished', result: 'cancelled' });
    assert.equal(events.filter(({ type }) => type === 'finished').length, 1);
    assert.equal(new Set(events.flatMap((event) => (event.type === 'cancelStored' ? [event.planId] : []))).size, 2);
    for (const { mailbox } of world.model('d1').machines) {
      const [plan, ...cancels] = await world.lettersIn(mailbox);
      assert.ok(cancels.length >= 1 && cancels.length <= 2, `${cancels.length} cancels`);
      for (const { id, body } of cancels) {
        assert.equal(id, `cancel-${plan?.id}`);
        assert.equal(readLetter<CancelPayload>(body).payload.planId, plan?.id);
      }
    }
  });
}
