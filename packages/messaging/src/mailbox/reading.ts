import { sleep } from '@torcello/platform';
import type { Delivery } from '../driver.js';
import { isMessagingError, type MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { Backoff } from '../transport/backoff.js';
import type { Subscription, Transport } from '../transport/transport.js';
import { letterOf, supersededBy, type Letter, type LetterDuty } from './letter.js';
import type { ReportingOptions } from './reports.js';

export interface ReadOptions extends ReportingOptions {
  /** Letters handed out and not yet settled, at most. Default 1. */
  readonly credit?: number;
  readonly signal?: AbortSignal;
}

/** What is done with letters on their way to a reader. */
export interface ReaderDuty {
  readonly duty?: LetterDuty;
  /** Whether somebody has ended it meanwhile: then it is dropped unread. */
  readonly isOver?: (letter: Letter) => Promise<boolean>;
}

/** Reads a mailbox for one `for await`; each iteration of the iterable is a reader of its own. */
export function readMailbox(
  transport: Transport,
  name: string,
  options: ReadOptions & ReaderDuty,
): AsyncIterable<Letter> {
  return { [Symbol.asyncIterator]: () => new MailboxReader(transport, name, options).letters() };
}

interface Arrived {
  readonly delivery: Delivery;
  readonly letter: Letter;
}

class MailboxReader {
  readonly #transport: Transport;
  readonly #name: string;
  readonly #credit: number;
  readonly #signal: AbortSignal | undefined;
  readonly #ending = new AbortController();
  readonly #arrived: Arrived[] = [];
  readonly #duty: ReaderDuty;
  readonly #superseded = new Set<string>();
  #subscription: Subscription | undefined;
  #failure: MessagingError | undefined;
  #wake: () => void = () => undefined;

  constructor(transport: Transport, name: string, options: ReadOptions & ReaderDuty) {
    this.#transport = transport;
    this.#name = name;
    this.#credit = options.credit ?? 1;
    this.#signal = options.signal;
    this.#duty = options;
  }

  async *letters(): AsyncGenerator<Letter, void, undefined> {
    const onAbort = (): void => this.#end();
    if (this.#signal?.aborted === true) return;
    this.#signal?.addEventListener('abort', onAbort, { once: true });
    const unsubscribe = this.#transport.onState((state) => this.#onState(state));
    const keeping = this.#keepSubscribed();
    try {
      for (let letter = await this.#next(); letter !== undefined; letter = await this.#next()) {
        this.#duty.duty?.onHandedOut(letter);
        yield letter;
      }
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.#end();
      unsubscribe();
      this.#signal?.removeEventListener('abort', onAbort);
      // Before the stop, so that the broker hears of them first; what comes until it is done follows.
      for (const { delivery } of this.#arrived.splice(0)) delivery.release();
      await this.#subscription?.stop();
      await keeping;
      for (const { delivery } of this.#arrived.splice(0)) delivery.release();
    }
  }

  async #next(): Promise<Letter | undefined> {
    while (!this.#ending.signal.aborted) {
      const first = this.#arrived[0];
      if (first === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else if (await this.#isOver(first.letter)) this.#take(first, () => first.delivery.accept());
      else if (this.#ending.signal.aborted) return undefined;
      else if (this.#take(first, () => true)) return first.letter;
    }
    return undefined;
  }

  /** Does nothing when its connection was lost meanwhile: then it comes again. */
  #take(first: Arrived, action: () => boolean): boolean {
    if (this.#arrived[0] !== first) return false;
    this.#arrived.shift();
    return action();
  }

  /** Superseded by a letter that came here too, or ended by whoever keeps the ledger. */
  async #isOver(letter: Letter): Promise<boolean> {
    if (this.#superseded.has(letter.id)) return true;
    if (this.#duty.isOver === undefined) return false;
    return this.#duty.isOver(letter);
  }

  /** Consumes, and does so again whenever the mailbox was not there or went away. */
  async #keepSubscribed(): Promise<void> {
    const backoff = new Backoff(this.#transport.random);
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const reason = await this.#subscribe(backoff);
      if (signal.aborted) return;
      if (!isMessagingError(reason) || !this.#isWorthWaiting(reason)) return this.#end(reason);
      await sleep(this.#transport.clock, backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  /** Answers why the subscription ended, or could not begin. */
  async #subscribe(backoff: Backoff): Promise<MessagingError | undefined> {
    try {
      const subscription = await this.#transport.consume(
        { queue: this.#name },
        {
          credit: this.#credit,
          signal: this.#ending.signal,
          onDelivery: (delivery) => this.#arrive({ delivery, letter: letterOf(delivery, this.#duty.duty) }),
        },
      );
      this.#subscription = subscription;
      if (this.#ending.signal.aborted) await subscription.stop();
      backoff.reset();
      return await subscription.ended;
    } catch (error) {
      return error as MessagingError;
    }
  }

  #isWorthWaiting(reason: MessagingError): boolean {
    return reason.retryable || reason.code === 'NOT_FOUND';
  }

  #arrive(arrived: Arrived): void {
    if (this.#ending.signal.aborted) {
      arrived.delivery.release();
      return;
    }
    for (const id of supersededBy(arrived.letter)) this.#superseded.add(id);
    for (const id of this.#superseded) {
      if (this.#superseded.size <= limits.supersededLettersMax) break;
      this.#superseded.delete(id);
    }
    this.#arrived.push(arrived);
    this.#wake();
  }

  /** Letters of a lost connection come again; what was not handed out yet must not be handed out twice. */
  #onState(state: string): void {
    if (state === 'connecting') this.#arrived.length = 0;
  }

  #end(failure?: unknown): void {
    if (isMessagingError(failure)) this.#failure ??= failure;
    this.#ending.abort();
    this.#wake();
  }
}
