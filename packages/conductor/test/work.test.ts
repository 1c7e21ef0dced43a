import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mailboxes } from '@torcello/messaging';
import { type DeploymentEvent, tasksMailbox } from '@torcello/contracts';
import { makeGate } from './support/gate.js';
import { World, exampleFolder } from './support/world.js';
import { filesIn, zip } from './support/zip.js';

const order = { id: 'd1', example: 'hello-web', machines: { web: 3 } } as const;

test('a deployment of hello-web becomes three signed plans in three mailboxes, and is parked', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const model = await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  const types = world.api.events('d1').map(({ type }) => type);
  assert.deepEqual(types, ['accepted', ...repeat(3, 'planScheduled'), ...repeat(3, 'planStored')]);
  for (const machine of model.machines) {
    const [letter, ...more] = await world.plansIn(machine.mailbox);
    assert.equal(more.length, 0);
    assert.equal(Buffer.from(letter?.body ?? []).toString('base64'), world.api.row('d1').letters.get(letter?.id ?? ''));
  }
  assert.deepEqual(world.api.counts(), { claim: 1, load: 1, append: 2, release: 1 });
});

test('when the last plan has ended, the next hint finishes the deployment', async () => {
  await using world = await World.start();
  await world.conductor('one');
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  endPlans(world, 'd1', 'succeeded');
  await world.api.hint('d1');
  await world.untilEvent('d1', 'finished');
  assert.deepEqual(world.api.events('d1').at(-1), { type: 'finished', result: 'succeeded' });
});

test('two roles: web is planned when db has ended, and not before', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const properties = { dbPort: 8400, webPort: 8300, dbHost: '127.0.0.1', host: '127.0.0.1' };
  await world.deploy({ id: 'd1', example: 'two-roles', machines: { db: 1, web: 2 }, properties });
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  assert.deepEqual(scheduledMachines(world), ['d1-db-id-1']);
  endPlans(world, 'd1', 'succeeded');
  await world.api.hint('d1');
  await world.until(() => world.points.filter(({ point }) => point === 'released').length === 2, 'parked again');
  assert.deepEqual(scheduledMachines(world), ['d1-db-id-1', 'd1-web-id-1', 'd1-web-id-2']);
});

test('900 machines: a few appends carry all plans and outcomes, and one claim, load and release', async () => {
  await using world = await World.start();
  await world.conductor('one');
  await world.deploy({ ...order, machines: { web: 900 } });
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  const events = world.api.events('d1');
  assert.equal(events.length, 1 + 900 + 900);
  const planned = new Set(events.flatMap((event) => (event.type === 'planScheduled' ? [event.plan.machine] : [])));
  assert.equal(planned.size, 900);
  const { append, ...rest } = world.api.counts();
  assert.ok(append !== undefined && append <= 14, `${append} appends`);
  assert.deepEqual(rest, { claim: 1, load: 1, release: 1 });
  assert.equal(world.points.filter(({ point }) => point === 'posting').length, 900, 'each letter is put once');
  assert.equal(world.downloads, 1);
});

test('two conductors share the work, and neither takes more than it may', async () => {
  await using world = await World.start();
  await world.conductor('one', 2);
  await world.conductor('two', 2);
  const gate = makeGate();
  world.api.before = (method) => (method === 'append' ? gate.opened : undefined);
  const ids = ['d1', 'd2', 'd3', 'd4', 'd5', 'd6'];
  for (const id of ids) await world.deploy({ ...order, id, machines: { web: 1 } });
  await world.until(() => ids.filter((id) => world.api.row(id).holder !== undefined).length === 4, 'four are taken');
  await world.pass(200);
  const holders = ids.map((id) => world.api.row(id).holder);
  for (const name of ['one', 'two']) assert.equal(holders.filter((holder) => holder === name).length, 2, name);
  const { messages } = await mailboxes(world.apiTransport).inspect(tasksMailbox);
  assert.equal(messages, 2, 'the hints that nobody has room for wait in the mailbox');
  gate.open();
  await world.until(() => ids.every((id) => stored(world, id) === 1), 'all six are in the mailboxes');
});

test('a hint for a deployment that somebody holds is settled', async () => {
  await using world = await World.start();
  await world.conductor('one');
  await world.deploy({ ...order, withMailboxes: false });
  await world.until(() => world.points.some(({ point }) => point === 'posting'), 'it is at work');
  await world.conductor('two');
  await world.api.hint('d1');
  await world.until(() => world.api.counts()['claim'] === 2, 'the other one asks');
  await world.pass(100);
  assert.equal((await mailboxes(world.apiTransport).inspect(tasksMailbox)).messages, 0);
  assert.equal(world.api.row('d1').epoch, 1);
});

test('a hint that nobody can read is dropped, and does not stop the others', async () => {
  await using world = await World.start();
  await world.conductor('one');
  for (const text of ['', '{', '[]', 'null', '{"deploymentId":5}']) {
    await mailboxes(world.apiTransport).put(tasksMailbox, { id: `bad-${text}`, body: new TextEncoder().encode(text) });
  }
  await world.deploy(order);
  await world.until(() => stored(world, 'd1') === 3, 'the good one is done');
});

test('an answer that is lost changes nothing: the same events are written once', async () => {
  await using world = await World.start();
  await world.conductor('one');
  let lost = 0;
  world.api.after = (method) => {
    if (method !== 'append' || lost >= 2) return;
    lost += 1;
    if (lost === 1) return new Promise(() => undefined);
    throw new Error('disk trouble');
  };
  await world.deploy(order);
  await world.until(() => stored(world, 'd1') === 3, 'all are in the mailboxes');
  assert.equal(world.api.events('d1').length, 7);
});

test('a lost answer to a claim is no lost lease', async () => {
  await using world = await World.start();
  await world.conductor('one');
  let lost = 0;
  world.api.after = (method) => {
    if (method !== 'claim' || lost > 0) return;
    lost += 1;
    return new Promise(() => undefined);
  };
  await world.deploy(order);
  await world.until(() => stored(world, 'd1') === 3, 'all are in the mailboxes');
  assert.equal(world.api.row('d1').epoch, 1);
});

test('somebody else writes in between: what happened is written behind it, what was decided is decided again', async () => {
  await using world = await World.start();
  await world.conductor('one');
  let appends = 0;
  world.api.before = (method) => {
    if (method !== 'append') return;
    appends += 1;
    // Just before the outcomes are written, one of the plans ends already.
    if (appends === 2) endPlans(world, 'd1', 'succeeded', 1);
  };
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  assert.equal(stored(world, 'd1'), 3);
  assert.equal(world.api.events('d1').filter(({ type }) => type === 'planEnded').length, 1);
  assert.equal(world.api.counts()['load'], 1, 'the refusal itself brought what was missing');
});

test('news that comes with the release is looked at before the lease goes', async () => {
  await using world = await World.start();
  await world.conductor('one');
  let releases = 0;
  world.api.before = (method) => {
    if (method !== 'release') return;
    releases += 1;
    if (releases === 1) endPlans(world, 'd1', 'succeeded');
  };
  await world.deploy(order);
  await world.untilEvent('d1', 'finished');
  assert.equal(world.api.row('d1').epoch, 1);
});

test('a mailbox that comes late gets its letter; the others do not wait for it', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const model = await world.deploy({ ...order, withMailboxes: false });
  const [first, second, third] = model.machines.map(({ mailbox }) => mailbox);
  const boxes = mailboxes(world.apiTransport);
  for (const mailbox of [second, third]) await boxes.open(mailbox ?? '');
  await world.until(() => stored(world, 'd1') === 2, 'two are stored', 2_000);
  await world.pass(5_000);
  await boxes.open(first ?? '');
  await world.until(() => stored(world, 'd1') === 3, 'the third is stored', 12_000);
});

test('a machine without a mailbox fails its plan after a while, and says why', async () => {
  await using world = await World.start();
  await world.conductor('one');
  await world.deploy({ ...order, withMailboxes: false });
  await world.untilEvent('d1', 'finished');
  const ends = world.api.events('d1').flatMap((event) => (event.type === 'planEnded' ? [event] : []));
  assert.equal(ends.length, 3);
  for (const end of ends) {
    assert.equal(end.outcome, 'failed');
    assert.match(end.reason ?? '', /no mailbox/);
  }
});

test('the doorbell ends a wait: a plan that ended meanwhile is not posted any more', async () => {
  await using world = await World.start();
  await world.conductor('one');
  await world.deploy({ ...order, machines: { web: 1 }, withMailboxes: false });
  await world.until(() => world.points.filter(({ point }) => point === 'posting').length === 5, 'it waits longer');
  endPlans(world, 'd1', 'failed');
  await world.api.ringDoorbell('d1');
  await world.until(() => world.api.events('d1').at(-1)?.type === 'finished', 'it is finished', 200);
});

test('a package that cannot be made into plans rejects the deployment before anything is put', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const files = filesIn(exampleFolder('hello-web'));
  const definition = String(files['application.yaml']).replace(
    'inputs.port + machine.index',
    'inputs.prot + machine.index',
  );
  const archive = zip({ ...files, 'application.yaml': definition }, { isStored: true });
  await world.deploy({ ...order, archive });
  await world.untilEvent('d1', 'finished');
  const [, rejected, finished, ...more] = world.api.events('d1');
  assert.equal(more.length, 0);
  assert.deepEqual(finished, { type: 'finished', result: 'failed' });
  assert.equal(rejected?.type, 'rejected');
  assert.match(
    rejected?.type === 'rejected' ? rejected.reason : '',
    /^io\.torcello\.Example \(d1-service\): application\.yaml:\d+:\d+: \$\{\{ inputs\.prot \+ machine\.index \}\}: No such key: prot; /,
  );
});

test('a stage that can only run later is checked too, before the first one starts', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const files = filesIn(exampleFolder('two-roles'));
  const archive = zip({ ...files, 'files/web.json.liquid': '{{ inputs.nowhere }}' }, { isStored: true });
  const properties = { dbPort: 8400, webPort: 8300, dbHost: '127.0.0.1', host: '127.0.0.1' };
  await world.deploy({ id: 'd1', example: 'two-roles', machines: { db: 1, web: 2 }, properties, archive });
  await world.untilEvent('d1', 'finished');
  assert.deepEqual(
    world.api.events('d1').map(({ type }) => type),
    ['accepted', 'rejected', 'finished'],
  );
});

test('a plan over its size limit rejects the deployment and names the limit', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const files = filesIn(exampleFolder('hello-web'));
  const archive = zip({ ...files, 'files/server.mjs': 'x'.repeat(900_000) }, { isStored: true });
  await world.deploy({ ...order, archive });
  await world.untilEvent('d1', 'finished');
  const [, rejected] = world.api.events('d1');
  assert.match(rejected?.type === 'rejected' ? rejected.reason : '', /the plan for web-1 has \d+ bytes.*planBytesMax/);
});

test('a package that cannot be fetched just now is asked for again', async () => {
  await using world = await World.start();
  await world.conductor('one');
  world.beforeDownload = () => {
    if (world.downloads < 4) throw new Error('connection refused');
  };
  await world.deploy(order);
  await world.until(() => stored(world, 'd1') === 3, 'all are in the mailboxes');
  assert.equal(world.downloads, 4);
});

test('a package with another digest rejects the deployment', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const model = await world.deploy(order);
  world.archives.set(model.services[0]?.package.path ?? '', zip({ 'application.yaml': 'machines: {}' }));
  await world.untilEvent('d1', 'rejected');
  const [, rejected] = world.api.events('d1');
  assert.match(rejected?.type === 'rejected' ? rejected.reason : '', /digest/);
});

function endPlans(world: World, deploymentId: string, outcome: 'succeeded' | 'failed', atMost: number = 10_000): void {
  const plans = world.api.events(deploymentId).flatMap((event) => (event.type === 'planScheduled' ? [event.plan] : []));
  for (const { planId } of plans.slice(0, atMost))
    world.api.write(deploymentId, { type: 'planEnded', planId, outcome });
}

function scheduledMachines(world: World): readonly string[] {
  return world.api.events('d1').flatMap((event) => (event.type === 'planScheduled' ? [event.plan.machine] : []));
}

function stored(world: World, deploymentId: string): number {
  return world.api.events(deploymentId).filter(({ type }) => type === 'planStored').length;
}

function repeat(count: number, type: DeploymentEvent['type']): readonly string[] {
  return Array.from({ length: count }, () => type);
}
