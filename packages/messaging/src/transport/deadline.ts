import type { Clock, Timer } from '@torcello/platform';
import { AbortTrigger, type AbortSignalLike } from '../abort.js';
import { isMessagingError, MessagingError } from '../errors.js';

/**
 * The time that one operation has, joined with the signals that may end it. Everything that the operation waits for gets
 * `signal`; whatever comes out of that goes through `translate`, which tells "too late" from "given up".
 */
export class Deadline implements Disposable {
  readonly timeoutMs: number;
  readonly #clock: Clock;
  readonly #dueMs: number;
  readonly #outers: readonly (AbortSignalLike | undefined)[];
  readonly #trigger = new AbortTrigger();
  readonly #timer: Timer | undefined;
  #isOver = false;

  /** @param timeoutMs - Infinity: only the signals end it. */
  constructor(clock: Clock, timeoutMs: number, ...outers: readonly (AbortSignalLike | undefined)[]) {
    this.#clock = clock;
    this.timeoutMs = timeoutMs;
    this.#dueMs = clock.monotonicMs() + timeoutMs;
    this.#outers = outers;
    for (const outer of outers) {
      if (outer?.aborted === true) this.#trigger.abort(outer.reason);
      outer?.addEventListener('abort', this.#onOuterAbort, { once: true });
    }
    if (timeoutMs !== Infinity) this.#timer = clock.after(timeoutMs, () => this.#expire());
  }

  get signal(): AbortSignalLike {
    return this.#trigger;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** At least 0. */
  get remainingMs(): number {
    return Math.max(0, this.#dueMs - this.#clock.monotonicMs());
  }

  /** What the operation failed with, for its caller. `doing` completes the sentence "gave up …". */
  translate(error: unknown, doing: string): unknown {
    if (!isMessagingError(error, 'ABORTED')) return error;
    const details = { ...error.details, timeoutMs: this.timeoutMs };
    if (this.#isOver)
      return new MessagingError('TIMEOUT', `${doing} took longer than ${this.timeoutMs} ms`, { details });
    return new MessagingError('ABORTED', `${doing} was given up`, {
      cause: this.#trigger.reason,
      details: error.details,
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    for (const outer of this.#outers) outer?.removeEventListener('abort', this.#onOuterAbort);
  }

  readonly #onOuterAbort = (): void =>
    this.#trigger.abort(this.#outers.find((outer) => outer?.aborted === true)?.reason);

  #expire(): void {
    this.#isOver = true;
    this.#trigger.abort();
  }
}

/** Rejects with ABORTED once the signal is aborted; for racing against work that takes no signal. */
export function whenAborted(signal: AbortSignalLike): { readonly promise: Promise<never>; readonly stop: () => void } {
  let stop = (): void => undefined;
  const promise = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(abortedError(signal));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    stop = (): void => signal.removeEventListener('abort', onAbort);
  });
  promise.catch(() => undefined);
  return { promise, stop };
}

/** Waits for `work` no longer than the signal allows. The work itself goes on. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignalLike): Promise<T> {
  const abort = whenAborted(signal);
  try {
    return await Promise.race([work, abort.promise]);
  } finally {
    abort.stop();
  }
}

export function abortedError(signal: AbortSignalLike): MessagingError {
  return new MessagingError('ABORTED', 'the operation was given up', { cause: signal.reason });
}
