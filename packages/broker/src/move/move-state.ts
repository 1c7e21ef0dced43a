import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from '../durable-file.js';

/** How messages of a queue reach it and nothing else. */
export interface Way {
  readonly exchange: string;
  readonly routingKey: string;
}

/** A queue that is being moved: what a move that was cut short left on the target. */
export interface QueueUnderway {
  readonly vhost: string;
  readonly queue: string;
  /** Bindings that exist for the time of the move only. */
  readonly ways: readonly Way[];
}

/** Ways of a queue that were taken away. */
export interface ClosedWays extends QueueUnderway {
  /** Wall-clock instant, milliseconds since 1970. */
  readonly atMs: number;
}

/** What a move must know of the one before it, which may have been killed at any instant. */
export interface MoveState {
  /** The target, without its password. */
  readonly target: string;
  /** Wall-clock instants, milliseconds since 1970. */
  readonly begunAtMs: number;
  readonly finishedAtMs?: number;
  /** By virtual host: exchanges whose bindings stand there for good. */
  readonly bound: Readonly<Record<string, readonly string[]>>;
  readonly underway?: QueueUnderway | undefined;
  /** Those of the last minute: a target that is killed may come back with bindings that it had taken away. */
  readonly closed?: readonly ClosedWays[];
}

/** Keeps the state of a move. `save` returns when it is durable. */
export interface MoveMemory {
  load(): MoveState | undefined;
  save(state: MoveState): void;
}

const fileName = 'move.json';

/** The memory of a data folder's moves, a file in it. */
export function moveMemory(folder: string): MoveMemory {
  const file = join(folder, fileName);
  return {
    load: () => {
      try {
        return JSON.parse(readFileSync(file, 'utf8')) as MoveState;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    save: (state) => writeDurably(file, `${JSON.stringify(state)}\n`),
  };
}
