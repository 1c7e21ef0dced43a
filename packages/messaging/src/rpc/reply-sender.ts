import { hexId, sleep } from '@torcello/platform';
import type { OutgoingMessage } from '../driver.js';
import { isMessagingError } from '../errors.js';
import { limits } from '../limits.js';
import type { Transport } from '../transport/transport.js';
import { jsonProperties } from '../wire/envelope.js';
import { encodeReply, type Reply } from '../wire/reply.js';
import type { ReplyAddress } from './request.js';

/**
 * Sends answers to the callers' own queues. A queue may be missing because its owner reconnects: then the answer is
 * tried again for a while, and later answers to a queue that stayed away are dropped at once (oslo 1.10).
 */
export class ReplySender {
  readonly #transport: Transport;
  readonly #missing = new Map<string, number>();
  readonly #stopping = new AbortController();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** True when the broker took the answer; false when nobody is there to read it. @throws anything else. */
  async send(to: ReplyAddress, reply: Partial<Reply>): Promise<boolean> {
    if (this.#isKnownMissing(to.queue)) return false;
    const { clock } = this.#transport;
    const untilMs = clock.monotonicMs() + limits.replyRetryMs;
    while (!(await this.#trySend(to, reply))) {
      if (clock.monotonicMs() >= untilMs || this.#stopping.signal.aborted) {
        this.#remember(to.queue);
        return false;
      }
      await sleep(clock, limits.replyRetryDelayMs, this.#stopping.signal).catch(() => undefined);
    }
    return true;
  }

  /** Sends a sign of life; false when it did not arrive, then no other will be sent. */
  async beat(to: ReplyAddress, isAccepted: boolean): Promise<boolean> {
    return this.#trySend(to, { isEnding: false, isAccepted }).catch(() => false);
  }

  /** Missing queues are not waited for any more. */
  stop(): void {
    this.#stopping.abort();
  }

  async #trySend(to: ReplyAddress, reply: Partial<Reply>): Promise<boolean> {
    const { random } = this.#transport;
    const blank = { messageId: to.messageId, result: null, failure: undefined, isEnding: true, isAccepted: false };
    // Every attempt carries an id of its own, as oslo's servers do it.
    const body = encodeReply({ ...blank, ...reply, uniqueId: hexId(random) });
    const message: OutgoingMessage = {
      body,
      properties: jsonProperties,
      headers: {},
      persistent: true,
      ifNobody: 'fail',
    };
    try {
      // The caller's table of waiting calls drops a second copy.
      await this.#transport.publish({ exchange: '', routingKey: to.queue }, message, { resend: true });
      return true;
    } catch (error) {
      if (isMessagingError(error, 'UNROUTABLE')) return false;
      throw error;
    }
  }

  #isKnownMissing(queue: string): boolean {
    const sinceMs = this.#missing.get(queue);
    if (sinceMs === undefined) return false;
    if (this.#transport.clock.monotonicMs() - sinceMs < limits.missingReplyQueueMs) return true;
    this.#missing.delete(queue);
    return false;
  }

  #remember(queue: string): void {
    this.#missing.set(queue, this.#transport.clock.monotonicMs());
    if (this.#missing.size <= limits.missingReplyQueues) return;
    const [oldest] = this.#missing.keys();
    if (oldest !== undefined) this.#missing.delete(oldest);
  }
}
