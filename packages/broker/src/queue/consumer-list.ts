import type { QueueEntry } from './ready-list.js';

/** What a queue knows of one of its consumers. */
export interface QueueConsumer {
  readonly tag: string;
  /** Deliveries count as settled at once. */
  readonly isSettledAtOnce: boolean;
  /** Nobody else may consume from the queue. */
  readonly isExclusive: boolean;
  /** Among consumers that can take a message the higher one gets it. Default 0. */
  readonly priority: number;
  /** Whether prefetch, limits and the socket leave room for one more delivery. */
  canTake(): boolean;
  deliver(entry: QueueEntry): void;
  /** The queue ended; nothing comes any more. */
  onQueueEnd(): void;
}

/** The consumers of one queue and whose turn it is. */
export class ConsumerList {
  readonly #isSingleActive: boolean;
  readonly #consumers: QueueConsumer[] = [];
  #turn = 0;
  #hasPriorities = false;

  /** @param isSingleActive - only one consumer at a time receives; the next in line takes over when it goes. */
  constructor(isSingleActive: boolean) {
    this.#isSingleActive = isSingleActive;
  }

  get length(): number {
    return this.#consumers.length;
  }

  get hasExclusive(): boolean {
    return this.#consumers.some((consumer) => consumer.isExclusive);
  }

  add(consumer: QueueConsumer): void {
    this.#consumers.push(consumer);
    this.#hasPriorities ||= consumer.priority !== 0;
  }

  /** False when it was not there. */
  remove(consumer: QueueConsumer): boolean {
    const at = this.#consumers.indexOf(consumer);
    if (at < 0) return false;
    this.#consumers.splice(at, 1);
    if (at < this.#turn) this.#turn--;
    return true;
  }

  clear(): QueueConsumer[] {
    this.#turn = 0;
    return this.#consumers.splice(0);
  }

  /** The consumer that gets the next message, undefined when nobody can take one. */
  next(): QueueConsumer | undefined {
    if (this.#isSingleActive) return this.#active();
    const { length } = this.#consumers;
    let best: QueueConsumer | undefined;
    let bestAt = 0;
    for (let step = 0; step < length; step++) {
      const at = (this.#turn + step) % length;
      const consumer = this.#consumers[at];
      if (consumer === undefined || !consumer.canTake()) continue;
      if (best === undefined || consumer.priority > best.priority) {
        best = consumer;
        bestAt = at;
      }
      if (!this.#hasPriorities) break;
    }
    if (best !== undefined) this.#turn = (bestAt + 1) % length;
    return best;
  }

  #active(): QueueConsumer | undefined {
    const first = this.#consumers[0];
    return first?.canTake() === true ? first : undefined;
  }
}
