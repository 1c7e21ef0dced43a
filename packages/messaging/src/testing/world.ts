import type { Random } from '@torcello/platform';
import { seededRandom, SimulatedClock } from '@torcello/platform/testing';
import type { Driver } from '../driver.js';
import { MemoryBroker } from '../memory/broker.js';
import { memoryDriver } from '../memory/driver.js';
import { connect } from '../transport/connect.js';
import type { Transport, TransportOptions } from '../transport/transport.js';
import { runFaults, type PlannedFault } from './fault-schedule.js';

/** A broker in memory on a clock that stands still until it is moved, and transports to it. */
export interface TestWorld extends AsyncDisposable {
  /** `await clock.advance(1_000)` moves time and lets everything happen that falls due. */
  readonly clock: SimulatedClock;
  /** Cut it, block it, let it refuse logins or swallow confirms. */
  readonly broker: MemoryBroker;
  readonly random: Random;
  /** A transport of its own; closed with the world. */
  join(options?: Partial<TransportOptions>): Promise<Transport>;
  /** Runs a schedule of faults on the clock, from now on; the answer ends it. */
  plan(faults: readonly PlannedFault[]): () => void;
}

/**
 * A world for tests: nothing outside of this process, no real time, and everything random from one seed.
 * @param options.wrap - what stands between transports and the broker, as `faulty` or a recorder.
 */
export function testWorld(
  options: { readonly seed?: number; readonly wrap?: (driver: Driver) => Driver } = {},
): TestWorld {
  const { seed = 1, wrap = (driver) => driver } = options;
  const clock = new SimulatedClock();
  const random = seededRandom(seed);
  const broker = new MemoryBroker(clock);
  const drivers = [wrap(memoryDriver({ broker }))];
  const transports: Transport[] = [];
  const endings: (() => void)[] = [];
  return {
    clock,
    broker,
    random,
    join: async (more = {}) => {
      const transport = await connect('memory:', { drivers, clock, random, ...more });
      transports.push(transport);
      return transport;
    },
    plan: (faults) => {
      const end = runFaults(faults, { clock, broker });
      endings.push(end);
      return end;
    },
    [Symbol.asyncDispose]: async () => {
      for (const end of endings) end();
      await Promise.all(transports.map((transport) => transport.close()));
    },
  };
}
