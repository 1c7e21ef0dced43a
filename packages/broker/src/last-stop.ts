import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Broker } from './broker.js';
import { writeDurably } from './durable-file.js';

/** A queue that held messages when its broker was stopped. */
export interface StoppedQueue {
  readonly vhost: string;
  readonly queue: string;
  readonly messages: number;
  /** Whether the queue outlives the broker. */
  readonly isKept: boolean;
}

const fileName = 'last-stop.json';

/**
 * What a broker holds right before it stops, when nobody has anything taken away yet: what is not durable is gone
 * afterwards, and nobody could tell any more what it was.
 */
export function heldAtStop({ vhosts }: Broker): StoppedQueue[] {
  return [...vhosts.values()].flatMap(({ name: vhost, queues }) =>
    Array.from(queues.values(), ({ name: queue, isKept, readyCount, unsettledCount }) => {
      return { vhost, queue, isKept, messages: readyCount + unsettledCount };
    }).filter(({ messages, isKept }) => messages > 0 || !isKept),
  );
}

export function writeLastStop(folder: string, held: readonly StoppedQueue[]): void {
  writeDurably(join(folder, fileName), `${JSON.stringify(held)}\n`);
}

/** To be called at a start: what was known counts no more. */
export function forgetLastStop(folder: string): void {
  rmSync(join(folder, fileName), { force: true });
}

/** Undefined when the last end was none that was orderly. */
export function readLastStop(folder: string): readonly StoppedQueue[] | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, fileName), 'utf8')) as readonly StoppedQueue[];
  } catch {
    return undefined;
  }
}
