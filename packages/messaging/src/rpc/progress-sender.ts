import { MessagingError } from '../errors.js';
import type { ReplyAddress } from './request.js';
import type { ReplySender } from './reply-sender.js';

/** Sends the progress of one running call, no faster than its caller reads. */
export class ProgressSender {
  readonly #to: ReplyAddress;
  readonly #sender: ReplySender;
  readonly #signal: AbortSignal;
  readonly #sending = new Set<Promise<boolean>>();
  #next = 0;
  #allowed: number;
  #wake: () => void = () => undefined;
  #turn: Promise<void> = Promise.resolve();

  /** @param signal - aborted when the caller wants no more; then `report` rejects. */
  constructor(to: ReplyAddress, sender: ReplySender, signal: AbortSignal) {
    this.#to = to;
    this.#sender = sender;
    this.#signal = signal;
    this.#allowed = to.progressWindow ?? 0;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** The caller takes so many pieces in all. */
  allow(total: number): void {
    this.#allowed = Math.max(this.#allowed, total);
    this.#wake();
  }

  /** Resolves when the piece is on its way; before, it waits until the caller has room. @throws ABORTED */
  report(value: unknown): Promise<void> {
    const sent = this.#turn.then(() => this.#report(value));
    this.#turn = sent.catch(() => undefined);
    return sent;
  }

  /** Resolves when everything that was reported is with the broker, so that the answer comes after it. */
  async flush(): Promise<void> {
    await this.#turn;
    await Promise.all(this.#sending);
  }

  async #report(value: unknown): Promise<void> {
    while (this.#next >= this.#allowed && !this.#signal.aborted) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#signal.aborted) {
      throw new MessagingError('ABORTED', 'the caller wants no more', { cause: this.#signal.reason });
    }
    const sending = this.#send({ isEnding: false, progressAt: this.#next, result: value });
    this.#next += 1;
    this.#sending.add(sending);
    void sending.finally(() => this.#sending.delete(sending));
  }

  /** The caller puts pieces in order by number and drops doubles, so each may be tried again. */
  async #send(piece: Parameters<ReplySender['send']>[1]): Promise<boolean> {
    try {
      const outcome = await this.#sender.send(this.#to, piece);
      return outcome === 'missing' ? await this.#sender.keepTrying(this.#to, piece) : outcome === 'sent';
    } catch {
      // The answer itself fails in the same way, and is reported.
      return false;
    }
  }
}
