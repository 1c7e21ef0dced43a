import { hexId, sleep } from '@torcello/platform';
import type { OutgoingMessage } from '../driver.js';
import { isMessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { ownController } from '../transport/own-signal.js';
import type { Transport } from '../transport/transport.js';
import type { Reply } from '../wire/reply.js';
import type { ReplyAddress } from './request.js';

type Outcome = 'sent' | 'missing' | 'gone';

/**
 * Sends answers to the callers' own queues. A queue may be missing because its owner reconnects: then the answer is
 * tried again for a while, and later answers to a queue that stayed away are dropped at once (oslo 1.10).
 */
export class ReplySender {
  readonly #transport: Transport;
  readonly #missing = new Map<string, number>();
  readonly #stopping = ownController();
  #waiting = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * `sent` when the broker took the answer. `missing`: the queue is not there, and `keepTrying` is worth a while.
   * `gone`: it has been missing for so long that nobody will come back for it. @throws anything else, also at once.
   */
  send(to: ReplyAddress, reply: Partial<Reply>): Promise<Outcome> {
    if (this.#isKnownMissing(to.queue)) return Promise.resolve('gone');
    return this.#publish(to, reply).then(whenSent, whenRefused);
  }

  /** Tries until the queue is there again; false when it stayed away, or too many answers wait like this one. */
  async keepTrying(to: ReplyAddress, reply: Partial<Reply>): Promise<boolean> {
    const { clock } = this.#transport;
    const untilMs = clock.monotonicMs() + limits.replyRetryMs;
    if (this.#waiting >= limits.waitingRepliesMax) return false;
    this.#waiting += 1;
    try {
      while (clock.monotonicMs() < untilMs && !this.#stopping.signal.aborted) {
        await sleep(clock, limits.replyRetryDelayMs, this.#stopping.signal).catch(() => undefined);
        if (await this.#trySend(to, reply)) return true;
      }
    } finally {
      this.#waiting -= 1;
    }
    this.#remember(to.queue);
    return false;
  }

  /** Sends a sign of life; false when it did not arrive, then no other will be sent. */
  async beat(to: ReplyAddress, more: Pick<Partial<Reply>, 'isAccepted' | 'steerAt'> = {}): Promise<boolean> {
    return this.#trySend(to, { isEnding: false, ...more }).catch(() => false);
  }

  /** Missing queues are not waited for any more. */
  stop(): void {
    this.#stopping.abort();
  }

  async #trySend(to: ReplyAddress, reply: Partial<Reply>): Promise<boolean> {
    return (await this.#publish(to, reply).then(whenSent, whenRefused)) === 'sent';
  }

  #publish(to: ReplyAddress, reply: Partial<Reply>): Promise<void> {
    const wired = this.#transport.wire.reply({
      messageId: to.messageId,
      result: reply.result ?? null,
      failure: reply.failure,
      isEnding: reply.isEnding ?? true,
      isAccepted: reply.isAccepted ?? false,
      progressAt: reply.progressAt,
      steerAt: reply.steerAt,
      // Every attempt carries an id of its own, as oslo's servers do it.
      uniqueId: hexId(this.#transport.random),
      monitorMs: to.monitorMs,
    });
    const message: OutgoingMessage = { ...wired, ifNobody: 'fail' };
    // The caller's table of waiting calls drops a second copy.
    return this.#transport.publish({ exchange: '', routingKey: to.queue }, message, { resend: true });
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

function whenSent(): Outcome {
  return 'sent';
}

function whenRefused(error: unknown): Outcome {
  if (isMessagingError(error, 'UNROUTABLE')) return 'missing';
  throw error;
}
