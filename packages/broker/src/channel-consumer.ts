import type { ConsumerAbout } from './connection-about.js';
import type { QueueConsumer } from './queue/consumer-list.js';
import type { Queue } from './queue/queue.js';
import type { QueueEntry } from './queue/ready-list.js';

/** What a consumer needs of its channel. */
export interface ConsumerChannel {
  /** Whether channel and socket can take one more delivery. */
  readonly hasRoom: boolean;
  outstanding: number;
  deliver(consumer: ChannelConsumer, entry: QueueEntry): void;
  consumerEnded(consumer: ChannelConsumer): void;
}

/** One `basic.consume`: its credit, and where its deliveries go. */
export class ChannelConsumer implements QueueConsumer {
  readonly tag: string;
  readonly queue: Queue;
  readonly isSettledAtOnce: boolean;
  readonly isExclusive: boolean;
  readonly priority: number;
  readonly #channel: ConsumerChannel;
  readonly #unsettledMax: number;
  readonly #unsettledBytesMax: number;
  #unsettled = 0;
  #unsettledBytes = 0;

  constructor(
    channel: ConsumerChannel,
    wish: {
      readonly tag: string;
      readonly queue: Queue;
      readonly noAck: boolean;
      readonly isExclusive: boolean;
      readonly priority: number;
    },
    credit: { readonly unsettledMax: number; readonly unsettledBytesMax: number },
  ) {
    this.tag = wish.tag;
    this.queue = wish.queue;
    this.isSettledAtOnce = wish.noAck;
    this.isExclusive = wish.isExclusive;
    this.priority = wish.priority;
    this.#channel = channel;
    this.#unsettledMax = credit.unsettledMax;
    this.#unsettledBytesMax = credit.unsettledBytesMax;
  }

  /** For people. */
  get about(): ConsumerAbout {
    const { tag, queue, isSettledAtOnce, isExclusive, priority } = this;
    return { tag, queue: queue.name, isSettledAtOnce, isExclusive, priority, prefetch: this.#unsettledMax };
  }

  canTake(): boolean {
    const hasCredit = this.#unsettled < this.#unsettledMax && this.#unsettledBytes < this.#unsettledBytesMax;
    return (this.isSettledAtOnce || hasCredit) && this.#channel.hasRoom;
  }

  deliver(entry: QueueEntry): void {
    if (!this.isSettledAtOnce) {
      this.#unsettled++;
      this.#channel.outstanding++;
      this.#unsettledBytes += entry.message.contentBytes;
    }
    this.#channel.deliver(this, entry);
  }

  /** One of its deliveries was settled or given back. */
  settled(entry: QueueEntry): void {
    this.#unsettled--;
    this.#channel.outstanding--;
    this.#unsettledBytes -= entry.message.contentBytes;
  }

  onQueueEnd(): void {
    this.#channel.consumerEnded(this);
  }
}
