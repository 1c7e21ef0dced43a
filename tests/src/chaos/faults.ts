import { readdirSync, readFileSync } from 'node:fs';
import type { Random } from '@torcello/platform';
import type { FaultProxy, Running } from '@torcello/test-support';
import type { Stack } from '../support/stack.js';
import type { SmallDisk } from './disks.js';
import type { World } from './worlds.js';

/** A program of the fleet that is started again after it was ended. */
export interface Member {
  readonly name: string;
  readonly world: World;
  running: Running;
  start(): Promise<Running>;
}

/** A machine: its agent, and the disk that is the agent's alone. */
export interface Machine extends Member {
  readonly id: string;
  readonly disk: SmallDisk | undefined;
}

export interface FaultWorld {
  readonly stack: Stack;
  readonly proxy: FaultProxy;
  readonly conductors: readonly Member[];
  readonly agents: readonly Machine[];
  readonly broker: BrokerToStrike;
  readonly apiWorld: World;
  /** Whether clocks can be set and boot ids changed. */
  readonly hasWorlds: boolean;
  readonly random: Random;
  readonly sleep: (delayMs: number) => Promise<void>;
  /** What goes on beside other faults, until it is healed. */
  readonly healing: Promise<void>[];
  /** This machine was restarted, or had a full disk: what it ran may end badly, and must say so. */
  readonly onExcuse: (machine: Machine, what: string) => void;
}

/** The broker as the faults need it. */
export interface BrokerToStrike {
  readonly kind: 'embedded' | 'rabbit';
  readonly disk: SmallDisk | undefined;
  /** With so much left on its disk it takes no more publishes, and goes on with everything else. */
  readonly nearlyFullBytes: number | undefined;
  readonly world: World | undefined;
  pid(): number;
  /** kill -9; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Ends it as its operator would; resolves when it serves nobody any more. */
  leave(): Promise<void>;
  /** Starts it again on the same data and port. */
  restart(): Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly strike: (world: FaultWorld) => Promise<void>;
  /** Why it cannot be done here; undefined when it can. */
  readonly missing?: (world: FaultWorld) => string | undefined;
}

const noMount = 'this user may not mount a tmpfs';
const noCompiler = 'no C compiler (cc) for the shim that moves clocks';
const embeddedOnly = ({ broker }: FaultWorld): string | undefined =>
  broker.kind === 'embedded' ? undefined : 'RabbitMQ is not ours to prove';
const rabbitsLog = ({ broker }: FaultWorld): string | undefined =>
  broker.kind === 'embedded' ? undefined : 'RabbitMQ 3.10 damages the logs of its own quorum queues then';
const needsWorlds = ({ hasWorlds }: FaultWorld): string | undefined => (hasWorlds ? undefined : noCompiler);

/** Everything that is done to the programs, each with its own healing; the draw among them is the seed's. */
export const faults: readonly Fault[] = [
  { name: 'kill -9 a conductor', strike: (world) => end(world, one(world, world.conductors), 'SIGKILL') },
  { name: 'SIGTERM a conductor', strike: (world) => end(world, one(world, world.conductors), 'SIGTERM') },
  {
    name: 'stop a conductor past its lease',
    strike: (world) => freeze(world, one(world, world.conductors).running.pid, 4000),
  },
  { name: 'kill -9 an agent', strike: (world) => end(world, one(world, world.agents), 'SIGKILL') },
  { name: 'SIGTERM an agent', strike: (world) => end(world, one(world, world.agents), 'SIGTERM') },
  { name: 'stop an agent', strike: (world) => freeze(world, one(world, world.agents).running.pid, 3000) },
  { name: 'restart a machine', strike: restartMachine, missing: needsWorlds },
  {
    name: 'kill -9 the API',
    strike: async (world) => {
      await world.stack.killApi();
      await pause(world, 1500);
      await world.stack.restartApi();
    },
  },
  { name: 'stop the API', strike: (world) => freeze(world, world.stack.pids().api, 3000) },
  {
    name: 'kill -9 the broker',
    strike: async (world) => {
      await world.broker.kill();
      await pause(world, 1500);
      await world.broker.restart();
    },
  },
  {
    name: 'restart the broker',
    strike: async (world) => {
      await world.broker.leave();
      await pause(world, 1500);
      await world.broker.restart();
    },
  },
  { name: 'stop the broker', strike: (world) => freeze(world, world.broker.pid(), 3000) },
  {
    name: "cut the agents' connections",
    strike: (world) => {
      world.proxy.cut();
      return Promise.resolve();
    },
  },
  {
    name: "hold the agents' connections",
    strike: async (world) => {
      world.proxy.stall();
      await pause(world, 4000);
      world.proxy.resume();
    },
  },
  {
    name: "half-open the agents' connections",
    strike: async (world) => {
      world.proxy.halfOpen();
      await pause(world, 2000);
      world.proxy.cut();
    },
  },
  {
    name: "fill an agent's disk",
    strike: fillAgentsDisk,
    missing: ({ agents }) => (agents.some(({ disk }) => disk === undefined) ? noMount : undefined),
  },
  {
    name: "fill the broker's disk",
    strike: (world) => fillBrokersDisk(world, 0),
    missing: (world) => rabbitsLog(world) ?? (world.broker.disk === undefined ? noMount : undefined),
  },
  {
    name: "nearly fill the broker's disk",
    strike: (world) => fillBrokersDisk(world, world.broker.nearlyFullBytes ?? 0),
    missing: ({ broker }) => (broker.disk === undefined ? noMount : undefined),
  },
  {
    name: "set an agent's clock",
    strike: (world) => setClock(world, one(world, world.agents).world, 30 * dayMs),
    missing: needsWorlds,
  },
  {
    name: "set a conductor's clock",
    strike: (world) => setClock(world, one(world, world.conductors).world, dayMs),
    missing: needsWorlds,
  },
  { name: "set the API's clock", strike: (world) => setClock(world, world.apiWorld, dayMs), missing: needsWorlds },
  {
    name: "set the broker's clock",
    strike: async (world) => {
      if (world.broker.world !== undefined) await setClock(world, world.broker.world, dayMs);
    },
    missing: (world) => embeddedOnly(world) ?? needsWorlds(world),
  },
];

/** One of them, as the seed draws. */
export function one<T>(world: Pick<FaultWorld, 'random'>, all: readonly T[]): T {
  const chosen = all[Math.floor(world.random.fraction() * all.length)];
  if (chosen === undefined) throw new TypeError('there is nothing to choose from');
  return chosen;
}

const dayMs = 86_400_000;

async function end(world: FaultWorld, member: Member, signal: NodeJS.Signals): Promise<void> {
  await member.running.stop(signal);
  await pause(world, 1500);
  member.running = await member.start();
}

async function freeze(world: FaultWorld, pid: number, forMs: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await pause(world, forMs);
  process.kill(pid, 'SIGCONT');
}

/** Agent and steps are gone at once, and the machine comes back with another boot id. */
async function restartMachine(world: FaultWorld): Promise<void> {
  const machine = one(world, world.agents);
  world.onExcuse(machine, 'restarted');
  await machine.running.stop('SIGKILL');
  const home = `HOME=${machine.world.folder}`;
  for (let left = processesWith(home); left.length > 0; left = processesWith(home)) {
    for (const pid of left) kill(pid);
    await world.sleep(10);
  }
  machine.world.reboot();
  await pause(world, 1500);
  machine.running = await machine.start();
}

async function fillAgentsDisk(world: FaultWorld): Promise<void> {
  const machine = one(world, world.agents);
  const { disk } = machine;
  if (disk === undefined) return;
  world.onExcuse(machine, 'full');
  await disk.fill();
  await pause(world, 5000);
  disk.empty();
  world.onExcuse(machine, 'had been full');
  if (hasEnded(machine.running)) machine.running = await machine.start();
}

async function fillBrokersDisk(world: FaultWorld, leftBytes: number): Promise<void> {
  const { broker } = world;
  if (broker.disk === undefined) return;
  await broker.disk.fill(leftBytes);
  // RabbitMQ looks at its disk every ten seconds.
  await pause(world, broker.kind === 'rabbit' ? 20_000 : 5000);
  broker.disk.empty();
  if (!isAlive(broker.pid())) await broker.restart();
}

/** Forwards or back by up to `atMostMs`, for up to ten seconds, while other faults go on, and then to where it was. */
function setClock(world: FaultWorld, clock: World, atMostMs: number): Promise<void> {
  clock.setClock((world.random.fraction() * 2 - 1) * atMostMs);
  world.healing.push(pause(world, 10_000).then(() => clock.setClock(0)));
  return Promise.resolve();
}

function hasEnded({ child }: Running): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Processes that were started with this in their environment. */
function processesWith(mark: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => environmentOf(pid).includes(mark))
    .map(Number);
}

function environmentOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const pause = (world: FaultWorld, atMostMs: number): Promise<void> => world.sleep(world.random.fraction() * atMostMs);
