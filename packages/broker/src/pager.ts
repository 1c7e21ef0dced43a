import type { CommitLog } from './store/commit-log.js';

/** A queue, as the pager sees it. */
export interface Pageable {
  /** Lets go of waiting messages that lie safely on disk. */
  cool(): void;
}

/**
 * Keeps the memory of waiting messages under a budget: once it is passed, a queue that takes more lets go of what lies
 * safely on disk and reads it back when somebody wants it.
 */
export class Pager {
  readonly #log: CommitLog;
  readonly #bytesMax: number;
  readonly #growing = new Set<Pageable>();
  #bytes = 0;
  #isWaiting = false;

  /** @param bytesMax - memory that waiting messages may take, in bytes. */
  constructor(log: CommitLog, bytesMax: number) {
    this.#log = log;
    this.#bytesMax = bytesMax;
  }

  /** Memory that waiting messages take, in bytes, roughly. */
  get residentBytes(): number {
    return this.#bytes;
  }

  /** The memory of a queue's waiting messages has grown by so many bytes, or shrunk. */
  changed(queue: Pageable, bytes: number): void {
    this.#bytes += bytes;
    if (bytes <= 0 || this.#bytes <= this.#bytesMax) return;
    this.#growing.add(queue);
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    queueMicrotask(() => this.#log.whenDurable(this.#log.ticketOfLast, () => this.#cool()));
  }

  #cool(): void {
    this.#isWaiting = false;
    const growing = [...this.#growing];
    this.#growing.clear();
    for (const queue of growing) queue.cool();
  }
}
