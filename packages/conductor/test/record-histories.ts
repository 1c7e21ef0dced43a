/**
 * Makes the recorded histories in packages/contracts/test/histories anew, each by a run of the conductor:
 *
 *   node --import tsx --conditions=source packages/conductor/test/record-histories.ts
 *
 * A later release keeps the old ones and adds its own: what was decided once must be decided again in a replay.
 */
import { writeFileSync } from 'node:fs';
import {
  type DeploymentEvent,
  type Outcome,
  type PlanLetter,
  apply,
  decide,
  emptyDeployment,
} from '@torcello/contracts';
import { World, exampleFolder } from './support/world.js';
import { filesIn, zip } from './support/zip.js';

const release = '0.1.0';
const twoRoles = {
  id: 'd1',
  example: 'two-roles',
  machines: { db: 1, web: 3 },
  properties: { dbPort: 8400, webPort: 8300, dbHost: '127.0.0.1', host: '127.0.0.1' },
} as const;
const rollOutOf = (yaml: string): string =>
  yaml.replace('  - role: web\n', '  - role: web\n    batch: 2\n    failuresMax: 1\n    gate: { soak: 10s }\n');
const files = filesIn(exampleFolder('hello-web'));
const rollOutArchive = zip(
  { ...files, 'application.yaml': rollOutOf(String(files['application.yaml'])) },
  { isStored: true },
);
const wrongYaml = String(files['application.yaml']).replace('inputs.port +', 'inputs.prot +');
const wrongArchive = zip({ ...files, 'application.yaml': wrongYaml }, { isStored: true });
const rollOut = { id: 'd1', example: 'hello-web', machines: { web: 7 }, archive: rollOutArchive } as const;

type End = Omit<Extract<DeploymentEvent, { type: 'planEnded' }>, 'type' | 'planId'>;
const succeeded: End = { outcome: 'succeeded' };
const failed: End = { outcome: 'failed', reason: 'step "start": exit code 3', failedStep: 'start' };
const because = (outcome: Outcome, reason: string): End => ({ outcome, reason });

const scenarios: Readonly<Record<string, (world: World) => Promise<void>>> = {
  success: async (world) => {
    await begin(world, twoRoles);
    await toTheEnd(world, () => succeeded);
  },
  failure: async (world) => {
    await begin(world, twoRoles);
    await toTheEnd(world, ({ machine }) => (machine.endsWith('web-id-2') ? failed : succeeded));
  },
  'failure-of-a-need': async (world) => {
    await begin(world, twoRoles);
    await toTheEnd(world, () => because('interrupted', 'the machine died in the middle'));
  },
  cancel: async (world) => {
    await begin(world, twoRoles);
    await turn(world, () => succeeded);
    await turn(world, ({ machine }) => (machine.endsWith('1') ? succeeded : undefined), {
      type: 'cancelRequested',
      graceMs: 10_000,
    });
    late(world, because('cancelled', 'never started'));
  },
  resume: async (world) => {
    await begin(world, twoRoles);
    await toTheEnd(world, ({ machine }) => (machine.endsWith('web-id-2') ? failed : succeeded));
    world.api.resume('d1');
    await turn(world, () => undefined);
    await toTheEnd(world, () => succeeded);
  },
  'resume-after-cancel': async (world) => {
    await begin(world, twoRoles);
    await turn(world, () => undefined, { type: 'cancelRequested', graceMs: 0 });
    late(world, because('cancelled', 'never started'));
    world.api.resume('d1');
    await turn(world, () => undefined);
    await toTheEnd(world, () => succeeded);
  },
  supersede: async (world) => {
    await begin(world, twoRoles);
    await turn(world, () => undefined, { type: 'supersedeRequested', by: 'd2' });
    late(world, because('superseded', 'a newer plan took its place'));
  },
  'roll-out': async (world) => {
    await begin(world, rollOut);
    await toTheEnd(world, ({ machine, stage }) =>
      machine.endsWith('3') && !stage.endsWith('gate') ? failed : succeeded,
    );
  },
  'roll-out-stopped-at-its-limit': async (world) => {
    await begin(world, rollOut);
    await toTheEnd(world, ({ machine }) => (/[34]$/.test(machine) ? failed : succeeded));
  },
  expired: async (world) => {
    await begin(world, twoRoles);
    await turn(world, () => succeeded);
    await toTheEnd(world, () => because('expired', 'not delivered'));
  },
  'destroy-without-the-lost': async (world) => {
    await begin(world, { ...twoRoles, action: 'destroy' });
    await turn(world, ({ machine }) => (machine.endsWith('web-id-2') ? undefined : succeeded));
    for (const { planId } of world.api.open('d1'))
      world.api.write('d1', { type: 'leftAlone', planId, reason: 'left alone: lost' });
    await toTheEnd(world, () => succeeded);
  },
  rejected: async (world) => {
    await world.deploy({ ...rollOut, archive: wrongArchive });
    await world.until(() => isOver(world), 'over');
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  await using world = await World.start();
  await world.conductor('one');
  await run(world);
  const events = world.api.events('d1');
  const decisions = events.map((_, place) => decide(events.slice(0, place + 1).reduce(apply, emptyDeployment)));
  const lines = (items: readonly unknown[]): string => items.map((item) => `    ${JSON.stringify(item)}`).join(',\n');
  const text = `{\n  "release": "${release}",\n  "events": [\n${lines(events)}\n  ],\n  "decisions": [\n${lines(decisions)}\n  ]\n}\n`;
  writeFileSync(new URL(`../../contracts/test/histories/${release}-${name}.json`, import.meta.url), text);
}

async function begin(world: World, order: Parameters<World['deploy']>[0]): Promise<void> {
  await world.deploy(order);
  await world.until(() => world.points.some(({ point }) => point === 'released'), 'parked');
}

/** Agents end plans as `endOf` says, perhaps a user writes something, and the conductor does what follows. */
async function turn(
  world: World,
  endOf: (plan: PlanLetter) => End | undefined,
  alsoWritten?: DeploymentEvent,
): Promise<void> {
  const released = world.points.filter(({ point }) => point === 'released').length;
  for (const plan of world.api.open('d1')) {
    const end = endOf(plan);
    if (end !== undefined) world.api.write('d1', { type: 'planEnded', planId: plan.planId, ...end });
  }
  if (alsoWritten !== undefined) world.api.write('d1', alsoWritten);
  await world.api.hint('d1');
  await world.until(() => world.points.filter(({ point }) => point === 'released').length > released, 'parked');
}

async function toTheEnd(world: World, endOf: (plan: PlanLetter) => End): Promise<void> {
  while (!isOver(world)) await turn(world, endOf);
}

/** Answers of agents that come after the end. */
function late(world: World, end: End): void {
  for (const { planId } of world.api.open('d1')) world.api.write('d1', { type: 'planEnded', planId, ...end });
}

function isOver(world: World): boolean {
  return world.api.events('d1').at(-1)?.type === 'finished';
}
