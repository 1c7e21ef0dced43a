import type { ContentCommand } from '@torcello/amqp091';
import type { Delivery } from '@torcello/messaging';
import type { ChannelPool } from './channel-pool.js';
import type { Channel } from './channel.js';
import { AmqpDelivery } from './delivery.js';
import { Settlement } from './settlement.js';

/**
 * Fetches single messages. What is fetched from one queue shares a channel until all of it is settled, so that however
 * many messages are in hand, they cost no more channels than there are queues; and an error of one queue hits no other.
 */
export class Fetcher {
  readonly #pool: ChannelPool;
  readonly #lines = new Map<string, Line>();

  constructor(pool: ChannelPool) {
    this.#pool = pool;
  }

  /** The oldest message of the queue, or undefined. @throws MessagingError as the broker said it. */
  async get(queue: string): Promise<Delivery | undefined> {
    const line = this.#lines.get(queue) ?? this.#open(queue);
    line.waiting += 1;
    try {
      const { channel, settlement } = await line.ready;
      const request = { name: 'basic.get', queue } as const;
      const answer = await channel.requestContent(request, 'basic.get-ok', 'basic.get-empty');
      if (answer.method.name === 'basic.get-empty') return undefined;
      return new AmqpDelivery(answer as ContentCommand, settlement, () => this.#letGo(queue, line));
    } catch (error) {
      this.#drop(queue, line);
      throw error;
    } finally {
      line.waiting -= 1;
      this.#letGo(queue, line);
    }
  }

  #open(queue: string): Line {
    const ready = this.#pool.take().then((channel) => {
      const settlement = new Settlement(channel);
      channel.listen({ onFlush: () => settlement.flush(), onEnd: () => this.#drop(queue, line) });
      line.opened = { channel, settlement };
      return line.opened;
    });
    const line: Line = { ready, waiting: 0, opened: undefined };
    this.#lines.set(queue, line);
    return line;
  }

  /** Nothing is under way and nothing in hand: the channel is free. */
  #letGo(queue: string, line: Line): void {
    const { opened } = line;
    if (opened === undefined || line.waiting > 0 || opened.settlement.unsettledCount > 0) return;
    if (!this.#drop(queue, line)) return;
    opened.settlement.flush();
    void this.#pool.give(opened.channel);
  }

  /** The next message of the queue takes another channel. False: it was dropped before. */
  #drop(queue: string, line: Line): boolean {
    if (this.#lines.get(queue) !== line) return false;
    return this.#lines.delete(queue);
  }
}

interface Line {
  readonly ready: Promise<OpenLine>;
  /** Requests under way. */
  waiting: number;
  opened: OpenLine | undefined;
}

interface OpenLine {
  readonly channel: Channel;
  readonly settlement: Settlement;
}
