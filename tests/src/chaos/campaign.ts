import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { seededRandom } from '@torcello/platform/testing';
import { FaultProxy } from '@torcello/test-support';
import { startStack } from '../support/stack.js';
import type { Stack } from '../support/stack.js';
import { zipFolder } from '../support/zip-folder.js';
import { brokerOf } from './brokers.js';
import type { RabbitToStrike } from './brokers.js';
import { judge } from './check.js';
import type { Findings, JudgedDeployment } from './check.js';
import { mountSmallDisk } from './disks.js';
import type { SmallDisk } from './disks.js';
import { faults, one } from './faults.js';
import type { FaultWorld, Machine, Member } from './faults.js';
import { writeChaosPackage } from './ledger.js';
import { makeWorlds } from './worlds.js';
import type { Worlds } from './worlds.js';

export interface CampaignOptions {
  readonly seed: number;
  readonly minutes: number;
  /** A RabbitMQ of its own; default: the embedded broker. Either is killed, too. */
  readonly rabbit?: RabbitToStrike;
  /** Only faults whose names hold this. Default: all. */
  readonly only?: string;
  readonly say: (line: string) => void;
}

/** What came out. */
export interface CampaignResult extends Findings {
  readonly deployments: number;
  readonly faults: number;
  /** Deployments that were not terminal within `boundMs` of their start or their resume. */
  readonly stuck: readonly string[];
  /** Deployments that ended badly because a machine was restarted or its disk was full, and were resumed. */
  readonly resumed: number;
  readonly longestMs: number;
  /** Faults that cannot be injected here, and why. */
  readonly missing: readonly string[];
}

const [environments, machinesEach, conductors] = [3, 2, 2];
/** A deployment takes about four seconds without faults; with one every second it must still end within this. */
export const boundMs = 300_000;
const agentsDisk = '24m';
/** The broker refuses publishes below 512 MiB of free space. */
const brokersDisk = '768m';

/** Real programs, real deployments one after the other in several environments, and faults as the seed draws them. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  let proxy: FaultProxy | undefined;
  let worlds: Worlds | undefined;
  let disk = options.rabbit?.disk;
  const disks: SmallDisk[] = [];
  const mount = (folder: string, size: string): SmallDisk | undefined => {
    const mounted = mountSmallDisk(folder, size);
    if (mounted !== undefined) disks.push(mounted);
    return mounted;
  };
  const stack = await startStack({
    leaseMs: 3000,
    sweepMs: 500,
    ...(options.rabbit === undefined ? {} : { transport: options.rabbit.node.url() }),
    prepare: (folder) => {
      worlds = makeWorlds(path.join(folder, 'worlds'));
      if (options.rabbit === undefined) disk = mount(path.join(folder, 'broker'), brokersDisk);
      return { broker: worlds.make('broker').env, api: worlds.make('api').env };
    },
    agentTransport: async (url) => {
      proxy = await FaultProxy.start({ host: '127.0.0.1', port: Number(new URL(url.replace(/^\w+:/, 'http:')).port) });
      return proxy.url(url);
    },
  });
  if (proxy === undefined || worlds === undefined) throw new TypeError('the stack was not prepared');
  try {
    return await rage(await inhabit(stack, { proxy, worlds, disk, mount, options }), options);
  } finally {
    await proxy.stop();
    for (const mounted of disks) mounted.unmount();
    await stack.stop();
  }
}

interface Inhabited {
  readonly world: FaultWorld;
  readonly fleets: readonly Fleet[];
  readonly excuses: Excuses;
}

interface Fleet {
  readonly environmentId: string;
  readonly machines: readonly { readonly id: string; readonly name: string; readonly joinLine: string }[];
}

/** When what was done to a machine lets a plan on it end badly. */
type Excuses = readonly { readonly machineId: string; readonly atMs: number }[];

async function inhabit(
  stack: Stack,
  made: {
    readonly proxy: FaultProxy;
    readonly worlds: Worlds;
    readonly disk: SmallDisk | undefined;
    readonly mount: typeof mountSmallDisk;
    readonly options: CampaignOptions;
  },
): Promise<Inhabited> {
  const { proxy, worlds, disk, mount, options } = made;
  const fleets = await makeFleets(stack);
  const excuses: { machineId: string; atMs: number }[] = [];
  const world: FaultWorld = {
    stack,
    proxy,
    broker: await brokerOf(stack, { rabbit: options.rabbit, disk, world: worlds.make('broker') }),
    apiWorld: worlds.make('api'),
    hasWorlds: worlds.isReal,
    conductors: await Promise.all(
      Array.from({ length: conductors }, (_, index) => {
        const [name, own] = [`conductor-${index + 1}`, worlds.make(`conductor-${index + 1}`)];
        return member({ name, world: own }, () => stack.conductor(own.env));
      }),
    ),
    agents: await Promise.all(
      fleets.flatMap((fleet) =>
        fleet.machines.map(async ({ id, joinLine }): Promise<Machine> => {
          const own = worlds.make(`agent-${id}`);
          const agentsOwn = mount(path.join(stack.folder, 'agents', id), agentsDisk);
          const base = { name: id, world: own };
          return Object.assign(await member(base, () => stack.agent(id, joinLine, own.env)), { id, disk: agentsOwn });
        }),
      ),
    ),
    random: seededRandom(options.seed),
    sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
    healing: [],
    onExcuse: ({ id }) => excuses.push({ machineId: id, atMs: performance.now() }),
  };
  return { world, fleets, excuses };
}

async function member(base: Pick<Member, 'name' | 'world'>, start: () => Promise<Member['running']>): Promise<Member> {
  const patientStart = (): Promise<Member['running']> => patiently(start);
  return { ...base, running: await patientStart(), start: patientStart };
}

async function rage(
  { world, fleets, excuses }: Inhabited,
  { minutes, only = '', say }: CampaignOptions,
): Promise<CampaignResult> {
  const { stack } = world;
  const endsAt = performance.now() + minutes * 60_000;
  const possible = faults.filter((fault) => fault.name.includes(only) && fault.missing?.(world) === undefined);
  const seen = { deployed: [] as string[], stuck: [] as string[], resumed: 0, longestMs: 0 };
  const deploying = fleets.map(async (fleet) => {
    while (performance.now() < endsAt && seen.stuck.length === 0)
      await deployOnce({ stack, fleet, excuses, seen, say });
  });
  // A failure while faults are still struck is seen when they are over.
  for (const fleet of deploying) fleet.catch(() => undefined);
  let struck = 0;
  while (performance.now() < endsAt) {
    await world.sleep(300 + world.random.fraction() * 1700);
    const fault = one(world, possible);
    say(`${((performance.now() - endsAt) / 1000 + minutes * 60).toFixed(1)}s ${fault.name}`);
    await fault.strike(world);
    struck += 1;
  }
  await Promise.all([...deploying, ...world.healing]);
  return {
    ...(await judge(stack, { deployed: seen.deployed, machinesEach })),
    deployments: seen.deployed.length,
    faults: struck,
    stuck: seen.stuck,
    resumed: seen.resumed,
    longestMs: seen.longestMs,
    missing: faults.flatMap((fault) => {
      const why = fault.missing?.(world);
      return why === undefined ? [] : [`${fault.name} (${why})`];
    }),
  };
}

interface Deploying {
  readonly stack: Stack;
  readonly fleet: Fleet;
  readonly excuses: Excuses;
  readonly seen: { readonly deployed: string[]; readonly stuck: string[]; resumed: number; longestMs: number };
  readonly say: (line: string) => void;
}

/** To its good end: where a machine was restarted or had no room, its user resumes it. */
async function deployOnce({ stack, fleet, excuses, seen, say }: Deploying): Promise<void> {
  const id = await patiently(() => deploy(stack, { fleet, isBounded: seen.deployed.length % 3 === 0 }));
  seen.deployed.push(id);
  const beganAt = performance.now();
  for (;;) {
    const [attemptAt, view] = [performance.now(), await untilEnded(stack, id)];
    seen.longestMs = Math.max(seen.longestMs, performance.now() - attemptAt);
    if (view === undefined) return void seen.stuck.push(id);
    if (view.state === 'succeeded') return;
    const bad = view.plans.filter(({ state, attempt }) => state !== 'succeeded' && attempt === lastAttempt(view));
    for (const { machine, state, reason } of bad) say(`  ${id} ${machine.name} ${state}: ${reason ?? ''}`);
    if (bad.length === 0) say(`  ${id} ${view.state}: ${view.reason ?? ''}`);
    const isExcused = (machineId: string): boolean =>
      excuses.some((excuse) => excuse.machineId === machineId && excuse.atMs > beganAt);
    if (bad.length === 0 || !bad.every(({ machine }) => isExcused(machine.id))) return;
    await patiently(() => stack.request('POST', `/v1/deployments/${id}/resume`));
    seen.resumed += 1;
  }
}

const lastAttempt = ({ plans }: JudgedDeployment): number => Math.max(...plans.map(({ attempt }) => attempt));

async function makeFleets(stack: Stack): Promise<readonly Fleet[]> {
  const [source, ledger] = [path.join(stack.folder, 'chaos-package'), path.join(stack.folder, 'ledger')];
  for (const folder of [source, ledger]) mkdirSync(folder);
  writeChaosPackage(source);
  await stack.request('POST', '/v1/catalog/packages', zipFolder(source));
  const fleets: Fleet[] = [];
  for (let number = 1; number <= environments; number += 1) {
    const { id } = await stack.request<{ id: string }>('POST', '/v1/environments', { name: `chaos-${number}` });
    const body = { role: 'node', count: machinesEach };
    const made = await stack.request<{ machines: Fleet['machines'] }>('POST', `/v1/environments/${id}/machines`, body);
    fleets.push({ environmentId: id, machines: made.machines });
  }
  return fleets;
}

const sevenDaysMs = 604_800_000;

/** @param options.isBounded - with a bound on the delivery that no clock that is set may make come true. */
async function deploy(
  stack: Stack,
  { fleet, isBounded }: { readonly fleet: Fleet; readonly isBounded: boolean },
): Promise<string> {
  const environment = `/v1/environments/${fleet.environmentId}`;
  const session = await stack.request<{ id: string }>('POST', `${environment}/configure`);
  const service = { '?': { id: 'b'.repeat(32), type: 'test.Chaos' }, ledger: path.join(stack.folder, 'ledger') };
  await stack.request('PUT', `${environment}/services`, [service], { 'x-configuration-session': session.id });
  const route = `${environment}/sessions/${session.id}/deploy`;
  const body = isBounded ? { deliverWithinMs: sevenDaysMs } : undefined;
  return (await stack.request<{ deployment: string }>('POST', route, body)).deployment;
}

/** Undefined when it did not end within its bound. */
async function untilEnded(stack: Stack, id: string): Promise<JudgedDeployment | undefined> {
  const endsAt = performance.now() + boundMs;
  while (performance.now() < endsAt) {
    const view = await patiently(() => stack.request<JudgedDeployment>('GET', `/v1/deployments/${id}`));
    if (!['queued', 'waiting', 'running'].includes(view.state)) return view;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return undefined;
}

/** Again until it works, for a minute: whoever is asked may be dead just now. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 120) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
