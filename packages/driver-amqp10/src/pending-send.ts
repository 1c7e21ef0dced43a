import type { AbortSignalLike, OutgoingMessage } from '@torcello/messaging';
import { aborted } from './errors.js';

/** One message on its way: waiting in this process, sent, or done. */
export class PendingSend {
  readonly message: OutgoingMessage;
  readonly settled: Promise<void>;
  /** Some of it may have left this process. */
  isSent = false;
  #isDone = false;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  readonly #signal: AbortSignalLike | undefined;
  readonly #onAbort: (() => void) | undefined;

  constructor(message: OutgoingMessage, signal: AbortSignalLike | undefined) {
    this.message = message;
    this.settled = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#signal = signal;
    if (signal === undefined) return;
    this.#onAbort = () => this.reject(aborted(signal, this.isSent));
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Nobody waits for it any more. */
  get isDone(): boolean {
    return this.#isDone;
  }

  resolve(): void {
    if (this.#finish()) this.#resolve();
  }

  reject(error: Error): void {
    if (this.#finish()) this.#reject(error);
  }

  #finish(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }
}
