import type { Random } from '@torcello/platform';
import type { FaultProxy, Running } from '@torcello/test-support';
import type { Stack } from '../support/stack.js';

/** A program of the fleet that is started again after it was ended. */
export interface Member {
  readonly name: string;
  running: Running;
  start(): Promise<Running>;
}

export interface FaultWorld {
  readonly stack: Stack;
  readonly proxy: FaultProxy;
  readonly conductors: readonly Member[];
  readonly agents: readonly Member[];
  /** False on a broker that is not ours to kill. */
  readonly ownsBroker: boolean;
  readonly random: Random;
  readonly sleep: (delayMs: number) => Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly strike: (world: FaultWorld) => Promise<void>;
}

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
      if (!world.ownsBroker) return;
      await world.stack.killBroker();
      await pause(world, 1500);
      await world.stack.restartBroker();
    },
  },
  {
    name: 'stop the broker',
    strike: async (world) => {
      const { broker } = world.stack.pids();
      if (broker !== undefined) await freeze(world, broker, 3000);
    },
  },
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
];

/** One of them, as the seed draws. */
export function one<T>(world: Pick<FaultWorld, 'random'>, all: readonly T[]): T {
  const chosen = all[Math.floor(world.random.fraction() * all.length)];
  if (chosen === undefined) throw new TypeError('there is nothing to choose from');
  return chosen;
}

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

const pause = (world: FaultWorld, atMostMs: number): Promise<void> => world.sleep(world.random.fraction() * atMostMs);
