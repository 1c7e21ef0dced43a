import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { readLetter } from './support/letters.js';
import { World, exampleFolder, exampleModel } from './support/world.js';
import { filesIn, zip } from './support/zip.js';

const order = { id: 'd1', example: 'hello-web', machines: { web: 2 } } as const;
const names = { first: 'files', second: 'start' } as const;

/** Two machines: one succeeded, the other failed at its second step. */
async function failed(): Promise<World> {
  const world = await World.start();
  await world.conductor('one');
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  const [good, bad] = world.api.scheduled('d1');
  world.api.write('d1', { type: 'planEnded', planId: good?.planId ?? '', outcome: 'succeeded' });
  const end = { type: 'planEnded', planId: bad?.planId ?? '', outcome: 'failed', failedStep: names.second } as const;
  world.api.write('d1', end);
  await world.api.hint('d1');
  await world.untilEvent('d1', 'finished');
  await world.until(() => world.points.filter(({ point }) => point === 'released').length === 2, 'given back');
  for (const { mailbox } of world.model('d1').machines) await world.lettersIn(mailbox);
  return world;
}

/** The package of the example with a change, as a corrected one. */
function corrected(change: (yaml: string) => string): { readonly archive: Uint8Array; readonly digest: string } {
  const files = filesIn(exampleFolder(order.example));
  const archive = zip({ ...files, 'application.yaml': change(String(files['application.yaml'])) }, { isStored: true });
  return { archive, digest: createHash('sha256').update(archive).digest('hex') };
}

function fixed(world: World, change: (yaml: string) => string): ReturnType<typeof exampleModel>['model'] {
  const { archive, digest } = corrected(change);
  const { model } = exampleModel({ ...order, archive });
  world.archives.set('/packages/fixed', archive);
  const services = model.services.map((service) => ({
    ...service,
    package: { id: 'corrected', digest, path: '/packages/fixed' },
  }));
  return { ...model, services };
}

test('a resume plans the failed machine only, from the failed step on', async () => {
  await using world = await failed();
  world.api.resume('d1');
  await world.api.hint('d1');
  await world.until(() => world.api.scheduled('d1').length === 3, 'one more plan');
  const plan = world.api.scheduled('d1')[2];
  assert.equal(plan?.fromStep, names.second);
  assert.equal(plan?.machine, world.model('d1').machines[1]?.id);
  await world.until(() => world.points.filter(({ point }) => point === 'released').length === 3, 'parked again');
  const [letter, ...more] = await world.lettersIn(world.model('d1').machines[1]?.mailbox ?? '');
  assert.equal(more.length, 0);
  const { payload } = readLetter(letter?.body ?? new Uint8Array());
  assert.equal(payload.steps[0]?.name, names.second);
  assert.ok(payload.steps.every(({ name }) => name !== names.first));
});

test('a resume with a corrected package uses that package', async () => {
  await using world = await failed();
  const model = fixed(world, (yaml) => yaml.replace('inputs.port + machine.index', 'inputs.port + machine.index + 7'));
  world.api.resume('d1', model);
  await world.api.hint('d1');
  await world.until(() => world.points.filter(({ point }) => point === 'released').length === 3, 'parked again');
  const [letter] = await world.lettersIn(world.model('d1').machines[1]?.mailbox ?? '');
  const { payload } = readLetter(letter?.body ?? new Uint8Array());
  assert.equal(payload.steps[0]?.env['PORT'], String(8200 + 1 + 7));
});

test('a corrected package without the failed step is rejected, and says so', async () => {
  await using world = await failed();
  const isStep = new RegExp(`name: ${names.second}\\b`);
  world.api.resume(
    'd1',
    fixed(world, (yaml) => yaml.replace(isStep, 'name: launch')),
  );
  await world.api.hint('d1');
  await world.until(() => world.api.events('d1').filter(({ type }) => type === 'finished').length === 2, 'over again');
  const rejected = world.api.events('d1').at(-2);
  assert.match(rejected?.type === 'rejected' ? rejected.reason : '', /has no step "start", with which it was to go on/);
  assert.equal(world.api.scheduled('d1').length, 2);
});

test('a claim that does not show the corrected package plans nothing', async () => {
  await using world = await failed();
  const before = world.model('d1');
  world.api.resume(
    'd1',
    fixed(world, (yaml) => `${yaml}\n`),
  );
  world.api.replaceModel('d1', before);
  await world.api.hint('d1');
  await world.pass(5_000);
  assert.equal(world.api.scheduled('d1').length, 2);
  assert.equal(world.api.counts()['append'], 3, 'plans, outcomes and the end of the first attempt');
});

test('a resume that is heard of under an old claim is left to a new claim', async () => {
  await using world = await failed();
  const claims = world.api.counts()['claim'] ?? 0;
  world.api.resume('d1');
  let isWritten = false;
  world.api.after = (method) => {
    if (method !== 'claim' || isWritten) return;
    isWritten = true;
    world.api.write('d1', { type: 'finished', result: 'failed' });
    world.api.resume('d1');
  };
  await world.api.hint('d1');
  await world.until(() => world.points.filter(({ point }) => point === 'claimed').length === 3, 'claimed');
  await world.pass(1_000);
  assert.equal(world.api.scheduled('d1').length, 2, 'nothing was planned from the old model');
  assert.equal(world.api.row('d1').holder, undefined, 'and it was given back');
  await world.api.hint('d1');
  await world.until(() => world.api.scheduled('d1').length === 3, 'one more plan');
  assert.equal(world.api.counts()['claim'], claims + 2);
});
