import type { CommitLog } from './store/commit-log.js';

/** What a channel says while changes are on their way to the disk: everything in order, each when it is true. */
export class DurableAnswers {
  readonly #log: CommitLog;
  /** Each begins with an answer that waits for its commit; the others only wait for their turn. */
  readonly #groups: (() => void)[][] = [];
  #length = 0;

  constructor(log: CommitLog) {
    this.#log = log;
  }

  /** How much waits to be said. */
  get length(): number {
    return this.#length;
  }

  /** Says something when all that was changed so far is durable, and calls `onEmpty` when nothing waits any more. */
  whenDurable(say: () => void, onEmpty: () => void): void {
    this.#groups.push([say]);
    this.#length++;
    this.#log.whenDurable(this.#log.ticketOfLast, () => this.#sayNext(onEmpty));
  }

  /** Says something behind what waits. */
  afterOthers(say: () => void): void {
    const last = this.#groups.at(-1);
    if (last === undefined) return say();
    last.push(say);
    this.#length++;
  }

  /** Batches become durable in order, so it is the oldest one's turn. */
  #sayNext(onEmpty: () => void): void {
    const group = this.#groups.shift() ?? [];
    this.#length -= group.length;
    for (const say of group) say();
    if (this.#groups.length === 0) onEmpty();
  }
}
