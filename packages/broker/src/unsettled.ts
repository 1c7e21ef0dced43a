import { AmqpError } from './amqp-error.js';
import type { ChannelConsumer } from './channel-consumer.js';
import type { Queue } from './queue/queue.js';
import type { QueueEntry } from './queue/ready-list.js';

/** A delivery of one channel that waits for its settlement. */
export interface UnsettledDelivery {
  /** When it was handed over, on the monotonic clock. */
  readonly atMs: number;
  readonly tag: number;
  readonly queue: Queue;
  readonly entry: QueueEntry;
  /** Undefined for the answer of `basic.get`. */
  readonly consumer: ChannelConsumer | undefined;
}

export type Settlement = 'ack' | 'requeue' | 'reject';

/** The unsettled deliveries of one channel by delivery tag, which counts up. */
export class Unsettled {
  readonly #deliveries = new Map<number, UnsettledDelivery>();
  #tag = 0;

  get size(): number {
    return this.#deliveries.size;
  }

  /** Every delivery that waits. */
  all(): Iterable<UnsettledDelivery> {
    return this.#deliveries.values();
  }

  /** A tag for a delivery that counts as settled at once. */
  nextTag(): number {
    return ++this.#tag;
  }

  /** Remembers a delivery and gives its tag. */
  add(delivery: Omit<UnsettledDelivery, 'tag'>): number {
    const tag = ++this.#tag;
    this.#deliveries.set(tag, { tag, ...delivery });
    return tag;
  }

  /**
   * Settles one delivery, or all up to a tag (0: all), and tells how many. Queues that got room serve their consumers afterwards.
   * @throws PRECONDITION_FAILED for a tag that is not unsettled.
   */
  settle(tag: number, multiple: boolean, how: Settlement): number {
    const taken = this.take(tag, multiple);
    const [only] = taken;
    if (only !== undefined && taken.length === 1) settleOne(only, how);
    else settleAll(taken, how);
    return taken.length;
  }

  /** Takes what a settlement is about out of the list, without settling it. @throws PRECONDITION_FAILED. */
  take(tag: number, multiple: boolean): UnsettledDelivery[] {
    if (!multiple) {
      const delivery = this.#deliveries.get(tag);
      if (delivery === undefined) throw unknownTag(tag);
      this.#deliveries.delete(tag);
      return [delivery];
    }
    if (tag > this.#tag || (tag !== 0 && this.#deliveries.size === 0)) throw unknownTag(tag);
    const taken: UnsettledDelivery[] = [];
    for (const [number, delivery] of this.#deliveries) {
      if (tag !== 0 && number > tag) break;
      this.#deliveries.delete(number);
      taken.push(delivery);
    }
    return taken;
  }

  /** Deliveries that were taken are unsettled again, under their tags. */
  restore(deliveries: readonly UnsettledDelivery[]): void {
    const all = [...this.#deliveries, ...deliveries.map((delivery) => [delivery.tag, delivery] as const)];
    this.#deliveries.clear();
    for (const [tag, delivery] of all.toSorted(([a], [b]) => a - b)) this.#deliveries.set(tag, delivery);
  }

  /** Gives everything back, for a channel that ends and for `basic.recover`. */
  requeueAll(): void {
    const all = [...this.#deliveries.values()];
    this.#deliveries.clear();
    settleAll(all, 'requeue');
  }
}

function settleOne({ queue, entry, consumer }: UnsettledDelivery, how: Settlement): void {
  consumer?.settled(entry);
  if (how === 'ack') queue.settle(entry);
  else if (how === 'reject') queue.reject(entry);
  else return queue.putBack([entry]);
  queue.dispatch();
}

/** Settles several deliveries, queue by queue. */
export function settleAll(deliveries: readonly UnsettledDelivery[], how: Settlement): void {
  const queues = new Map<Queue, QueueEntry[]>();
  for (const { queue, entry, consumer } of deliveries) {
    consumer?.settled(entry);
    const entries = queues.get(queue);
    if (entries === undefined) queues.set(queue, [entry]);
    else entries.push(entry);
  }
  for (const [queue, entries] of queues) {
    if (how === 'ack') for (const entry of entries) queue.settle(entry);
    else if (how === 'reject') for (const entry of entries) queue.reject(entry);
    else queue.putBack(entries);
    queue.dispatch();
  }
}

function unknownTag(tag: number): AmqpError {
  return new AmqpError('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
}
