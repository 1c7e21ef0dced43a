import { sleep } from '@torcello/platform';
import { isMessagingError, type MessagingError } from '../errors.js';
import { Backoff } from '../transport/backoff.js';
import type { Subscription, Transport } from '../transport/transport.js';
import { letterOf, type Letter } from './letter.js';

export interface ReadOptions {
  /** Letters handed out and not yet settled, at most. Default 1. */
  readonly credit?: number;
  readonly signal?: AbortSignal;
}

/** Reads a mailbox for one `for await`; each iteration of the iterable is a reader of its own. */
export function readMailbox(transport: Transport, name: string, options: ReadOptions): AsyncIterable<Letter> {
  return { [Symbol.asyncIterator]: () => new MailboxReader(transport, name, options).letters() };
}

class MailboxReader {
  readonly #transport: Transport;
  readonly #name: string;
  readonly #credit: number;
  readonly #signal: AbortSignal | undefined;
  readonly #ending = new AbortController();
  readonly #arrived: Letter[] = [];
  #subscription: Subscription | undefined;
  #failure: MessagingError | undefined;
  #wake: () => void = () => undefined;

  constructor(transport: Transport, name: string, options: ReadOptions) {
    this.#transport = transport;
    this.#name = name;
    this.#credit = options.credit ?? 1;
    this.#signal = options.signal;
  }

  async *letters(): AsyncGenerator<Letter, void, undefined> {
    const onAbort = (): void => this.#end();
    if (this.#signal?.aborted === true) return;
    this.#signal?.addEventListener('abort', onAbort, { once: true });
    const unsubscribe = this.#transport.onState((state) => this.#onState(state));
    const keeping = this.#keepSubscribed();
    try {
      for (let letter = await this.#next(); letter !== undefined; letter = await this.#next()) yield letter;
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.#end();
      unsubscribe();
      this.#signal?.removeEventListener('abort', onAbort);
      // Before the stop, so that the broker hears of them first; what comes until it is done follows.
      for (const letter of this.#arrived.splice(0)) letter.release();
      await this.#subscription?.stop();
      await keeping;
      for (const letter of this.#arrived.splice(0)) letter.release();
    }
  }

  async #next(): Promise<Letter | undefined> {
    while (!this.#ending.signal.aborted) {
      const letter = this.#arrived.shift();
      if (letter !== undefined) return letter;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return undefined;
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
          onDelivery: (delivery) => this.#arrive(letterOf(delivery)),
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

  #arrive(letter: Letter): void {
    if (this.#ending.signal.aborted) {
      letter.release();
      return;
    }
    this.#arrived.push(letter);
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
