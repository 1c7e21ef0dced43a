import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLetter } from './support/letters.js';
import { World, exampleFolder } from './support/world.js';
import { filesIn, zip } from './support/zip.js';

const application = `
properties: { type: object, additionalProperties: true }
machines: { web: {} }
deploy:
  - role: web
    batch: 2
    failuresMax: 1
    gate:
      soak: 90s
      steps:
        - { name: alive, command: ["true"], env: { WHO: "\${{ machine.name }}" } }
    steps:
      - { name: restart, command: [reboot], reboot: expected }
      - { name: start, command: ["true"] }
`;
const archive = zip({ ...filesIn(exampleFolder('hello-web')), 'application.yaml': application }, { isStored: true });
const order = { id: 'd1', example: 'hello-web', machines: { web: 5 }, archive } as const;

/** Ends every open plan that is in its mailbox, and lets the conductor go on. */
async function endAll(
  world: World,
  outcomeOf: (machine: string) => 'succeeded' | 'failed',
): Promise<readonly string[]> {
  const released = world.points.filter(({ point }) => point === 'released').length;
  const open = world.api.open('d1');
  for (const { planId, machine } of open) {
    world.api.write('d1', { type: 'planEnded', planId, outcome: outcomeOf(machine) });
  }
  await world.api.hint('d1');
  await world.until(() => world.points.filter(({ point }) => point === 'released').length > released, 'parked');
  return open.map(({ stage, machine }) => `${stage.replace('d1-service/', '')} ${machine.replace('d1-web-id-', '')}`);
}

async function begin(): Promise<World> {
  const world = await World.start();
  await world.conductor('one');
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  return world;
}

test('batches and the gates between them run one after the other', async () => {
  await using world = await begin();
  const order: (readonly string[])[] = [];
  while (world.api.events('d1').at(-1)?.type !== 'finished') order.push(await endAll(world, () => 'succeeded'));
  assert.deepEqual(order, [
    ['web#1 1', 'web#1 2'],
    ['web#1~gate 1', 'web#1~gate 2'],
    ['web#2 3', 'web#2 4'],
    ['web#2~gate 3', 'web#2~gate 4'],
    ['web#3 5'],
  ]);
  assert.deepEqual(world.api.events('d1').at(-1), { type: 'finished', result: 'succeeded' });
});

test('at the limit the roll-out stops: what was not started is not started', async () => {
  await using world = await begin();
  const first = await endAll(world, () => 'failed');
  assert.deepEqual(first, ['web#1 1', 'web#1 2']);
  assert.deepEqual(world.api.events('d1').at(-1), { type: 'finished', result: 'failed' });
  assert.equal(world.api.scheduled('d1').length, 2);
});

test('a batch gets the steps of its stage, the gate its wait and its own steps', async () => {
  await using world = await begin();
  await endAll(world, () => 'succeeded');
  const [machine] = world.model('d1').machines;
  const [batch, gate] = (await world.lettersIn(machine?.mailbox ?? '')).map(({ body }) => readLetter(body).payload);
  assert.equal(batch?.stage, 'd1-service/web#1');
  assert.deepEqual(
    batch?.steps.map(({ name, reboot }) => ({ name, reboot })),
    [
      { name: 'restart', reboot: 'expected' },
      { name: 'start', reboot: undefined },
    ],
  );
  assert.equal(gate?.stage, 'd1-service/web#1~gate');
  const [soak, alive, ...more] = gate?.steps ?? [];
  assert.equal(more.length, 0);
  assert.deepEqual(soak, {
    name: 'soak',
    files: [],
    command: ['sleep', '90'],
    env: {},
    timeoutMs: 150_000,
    onInterrupt: 'rerun',
  });
  assert.deepEqual(alive?.env, { WHO: 'web-1' });
});

test('what bounds a deployment is in the header of every plan, and lets a late one wait for its refusal', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const startByMs = world.clock.now() + 60_000;
  const replaces = { 'd1-web-id-1': ['aa', 'bb'] };
  const model = await world.deploy({ ...order, machines: { web: 2 }, bounds: { startByMs, replaces } });
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  await world.clock.advance(29 * 86_400_000);
  const [first, second] = await Promise.all(model.machines.map(({ mailbox }) => world.lettersIn(mailbox)));
  const headers = [first, second].map((letters) => readLetter(letters?.[0]?.body ?? new Uint8Array()).header);
  assert.deepEqual(
    headers.map((header) => [header.startByMs, header.replaces]),
    [
      [startByMs, ['aa', 'bb']],
      [startByMs, undefined],
    ],
  );
});

test('a plan that nobody can ever start is gone from the broker in the end', async () => {
  await using world = await World.start();
  await world.conductor('one');
  const startByMs = world.clock.now() + 60_000;
  const model = await world.deploy({ ...order, machines: { web: 1 }, bounds: { startByMs } });
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
  await world.clock.advance(31 * 86_400_000);
  assert.deepEqual(await world.lettersIn(model.machines[0]?.mailbox ?? ''), []);
});
