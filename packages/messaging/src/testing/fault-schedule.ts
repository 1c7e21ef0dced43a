import type { Clock, Timer } from '@torcello/platform';
import { seededRandom } from '@torcello/platform/testing';
import { MessagingError } from '../errors.js';
import type { MemoryBroker } from '../memory/broker.js';

/**
 * What goes wrong with a broker, and when.
 *
 * - `cut`: every connection breaks; they may come back at once.
 * - `away`: every connection breaks, and none is let in for `forMs`.
 * - `blocked`: publishers have to pause for `forMs`.
 * - `lostConfirms`: the next `count` publishes are stored, and their senders lose the connection before they hear of it.
 */
export type PlannedFault =
  | { readonly atMs: number; readonly what: 'cut' }
  | { readonly atMs: number; readonly what: 'away' | 'blocked'; readonly forMs: number }
  | { readonly atMs: number; readonly what: 'lostConfirms'; readonly count: number };

export interface FaultPlan {
  /** The same seed makes the same schedule. */
  readonly seed: number;
  /** Faults fall into this time, and are over with it. */
  readonly withinMs: number;
  /** How many there are of each kind. Default: one of each. */
  readonly cuts?: number;
  readonly outages?: number;
  readonly blockades?: number;
  readonly lostConfirms?: number;
  /** The longest that the broker is away or blocked. Default: a tenth of the time. */
  readonly longestMs?: number;
}

/** A schedule of faults, in the order of their instants: plain data, to be printed with a failing test. */
export function planFaults(plan: FaultPlan): readonly PlannedFault[] {
  const { seed, withinMs, cuts = 1, outages = 1, blockades = 1, lostConfirms = 1 } = plan;
  const random = seededRandom(seed);
  const longestMs = plan.longestMs ?? withinMs / 10;
  const instantMs = (beforeMs: number): number => Math.floor(random.fraction() * Math.max(0, beforeMs));
  const many = <T>(count: number, make: () => T): readonly T[] => Array.from({ length: count }, make);
  const lasting = (what: 'away' | 'blocked') => (): PlannedFault => {
    const forMs = 1 + instantMs(longestMs);
    return { atMs: instantMs(withinMs - forMs), what, forMs };
  };
  const faults: readonly PlannedFault[] = [
    ...many(cuts, () => ({ atMs: instantMs(withinMs), what: 'cut' as const })),
    ...many(outages, lasting('away')),
    ...many(blockades, lasting('blocked')),
    ...many(lostConfirms, () => ({
      atMs: instantMs(withinMs),
      what: 'lostConfirms' as const,
      count: 1 + Math.floor(random.fraction() * 3),
    })),
  ];
  return faults.toSorted((a, b) => a.atMs - b.atMs);
}

/** Lets the faults happen to a memory broker as the clock moves. The answer ends what is still to come, and all of them. */
export function runFaults(
  faults: readonly PlannedFault[],
  world: { readonly clock: Clock; readonly broker: MemoryBroker },
): () => void {
  const { clock, broker } = world;
  const timers = new Set<Timer>();
  const later = (delayMs: number, action: () => void): void => {
    const timer = clock.after(delayMs, () => {
      timers.delete(timer);
      action();
    });
    timers.add(timer);
  };
  // Two that overlap end with the later one.
  const running = { away: 0, blocked: 0 };
  const lasting = (what: 'away' | 'blocked', forMs: number): void => {
    running[what] += 1;
    turn(broker, what, true);
    later(forMs, () => {
      running[what] -= 1;
      if (running[what] === 0) turn(broker, what, false);
    });
  };
  for (const fault of faults) {
    later(fault.atMs, () => {
      if (fault.what === 'cut') broker.cut();
      else if (fault.what === 'lostConfirms') broker.swallowConfirms(fault.count);
      else lasting(fault.what, fault.forMs);
    });
  }
  return () => {
    for (const timer of timers) timer.cancel();
    turn(broker, 'away', false);
    turn(broker, 'blocked', false);
    broker.swallowConfirms(0);
  };
}

function turn(broker: MemoryBroker, what: 'away' | 'blocked', isOn: boolean): void {
  if (what === 'blocked') return broker.block(isOn);
  broker.refuse(isOn ? new MessagingError('CONNECT_FAILED', 'planned: the broker is away') : undefined);
  if (isOn) broker.cut();
}
