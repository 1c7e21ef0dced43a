import { SimulatedClock, seededRandom } from '@torcello/platform/testing';
import { connect, memoryDriver, type Transport } from '../../src/index.js';
import { MemoryBroker } from '../../src/memory/broker.js';

/** A memory broker on a clock that stands still, and transports to it. */
export interface World {
  readonly clock: SimulatedClock;
  readonly broker: MemoryBroker;
  join(): Promise<Transport>;
}

export function makeWorld(): World {
  const clock = new SimulatedClock();
  const broker = new MemoryBroker(clock);
  const random = seededRandom(7);
  const drivers = [memoryDriver({ broker })];
  return { clock, broker, join: () => connect('memory:', { drivers, clock, random }) };
}

/** Lets everything that can happen without the clock happen. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (body: Uint8Array): string => new TextDecoder().decode(body);
