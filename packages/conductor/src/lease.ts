import { setMaxListeners } from 'node:events';
import type { Clock, Timer } from '@torcello/platform';
import { Wakeup } from './wakeup.js';

/** Why work on a deployment ended before it was done. */
export class LeaseEndedError extends Error {
  readonly code: 'LEASE_LOST' | 'HANDED_OVER' | 'FENCED';
  constructor(code: LeaseEndedError['code'], message: string) {
    super(message);
    this.name = 'LeaseEndedError';
    this.code = code;
  }
}

export interface LeaseTerms {
  readonly deploymentId: string;
  readonly epoch: number;
  readonly leaseMs: number;
  /** Monotonic instant before which the lease did not begin. */
  readonly sinceMs: number;
}

/** The last tenth of a lease is not used: an effect that was begun may still be on its way. */
const safeFraction = 0.9;

/**
 * The right to act on one deployment, as this conductor sees it. It ends by this process's own monotonic clock, before
 * the API would say so; then everything that was going on under it is aborted.
 */
export class Lease {
  readonly deploymentId: string;
  readonly epoch: number;
  readonly leaseMs: number;
  /** Rung when the history has grown, or may have. */
  readonly news: Wakeup = new Wakeup();
  /** How much of the history its work has taken in. */
  seenLength = 0;
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  #untilMs: number;
  #timer: Timer | undefined;

  constructor(terms: LeaseTerms, clock: Clock) {
    this.deploymentId = terms.deploymentId;
    this.epoch = terms.epoch;
    this.leaseMs = terms.leaseMs;
    this.#clock = clock;
    // Every letter on its way listens to it.
    setMaxListeners(0, this.#abort.signal);
    this.#untilMs = terms.sinceMs + terms.leaseMs * safeFraction;
    this.#watch();
  }

  /** Aborted when the lease is over; its reason is a `LeaseEndedError`. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** When it should be renewed: with two thirds of it left for a second try. */
  get renewAtMs(): number {
    return this.#untilMs - this.leaseMs * (safeFraction - 1 / 3);
  }

  /** To be called right before every effect: timers of a process that slept are late. @throws LeaseEndedError */
  check(): void {
    if (this.#clock.monotonicMs() >= this.#untilMs) this.end('LEASE_LOST', 'the lease was not renewed in time');
    this.signal.throwIfAborted();
  }

  /** The API granted another term in answer to a request of this instant. */
  renewed(sentAtMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, sentAtMs + this.leaseMs * safeFraction);
  }

  end(code: LeaseEndedError['code'], message: string): void {
    this.#timer?.cancel();
    if (!this.signal.aborted) this.#abort.abort(new LeaseEndedError(code, message));
  }

  /** The work is done: nothing is to be aborted any more. */
  close(): void {
    this.#timer?.cancel();
  }

  #watch(): void {
    const leftMs = this.#untilMs - this.#clock.monotonicMs();
    if (leftMs <= 0) return this.end('LEASE_LOST', 'the lease was not renewed in time');
    this.#timer = this.#clock.after(leftMs, () => this.#watch());
  }
}
