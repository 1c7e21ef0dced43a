import type { AbortTrigger } from '../abort.js';
import { IncomingProgress } from './incoming-progress.js';

/**
 * A call that runs: its result to await, its progress (or streamed answer) to iterate, `cancel` to end it where it runs.
 *
 * The server sends progress no faster than it is read. Awaiting the handle without having begun to read gives the
 * progress up, and so does leaving the loop: the call itself goes on. Servers of Python send none and cannot be cancelled.
 */
export interface CallHandle<T, P = unknown> extends PromiseLike<T>, AsyncIterable<P>, Disposable {
  /** Rejects with ABORTED at once; the handler's `signal` is aborted as soon as its server hears of it. */
  cancel(reason?: unknown): void;
  /** Milliseconds that the call has left. */
  remainingMs(): number;
}

export interface CallHandleSetting<T, P> {
  readonly progress: IncomingProgress<P>;
  readonly result: Promise<T>;
  readonly cancelling: AbortTrigger;
  readonly remainingMs: () => number;
}

/** @internal */
export class OpenCall<T, P> implements CallHandle<T, P> {
  readonly #setting: CallHandleSetting<T, P>;
  #isRead = false;
  #isOver = false;

  constructor(setting: CallHandleSetting<T, P>) {
    this.#setting = setting;
    const { progress, result } = setting;
    const over = (end: { readonly error?: unknown }): void => {
      this.#isOver = true;
      progress.finish(end);
    };
    result.then(
      () => over({}),
      (error: unknown) => over({ error }),
    );
  }

  remainingMs(): number {
    return this.#isOver ? 0 : this.#setting.remainingMs();
  }

  cancel(reason?: unknown): void {
    this.#setting.cancelling.abort(reason);
  }

  // eslint-disable-next-line unicorn/no-thenable -- it is what one awaits
  then<A = T, B = never>(
    onResult?: ((value: T) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!this.#isRead) this.#setting.progress.giveUp();
    return this.#setting.result.then(onResult, onError);
  }

  [Symbol.asyncIterator](): AsyncIterator<P> {
    if (this.#isRead) throw new TypeError('the progress of a call has one reader');
    this.#isRead = true;
    return this.#setting.progress[Symbol.asyncIterator]();
  }

  /** Cancels it unless it is over. */
  [Symbol.dispose](): void {
    if (!this.#isOver) this.cancel();
  }
}
