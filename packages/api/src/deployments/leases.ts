import type { Clock } from '@torcello/platform';

/**
 * When leases end, by the API's own monotonic clock: no wall clock that is set can end one early or keep one for ever.
 * Holder and epoch are in the deployment's row; after a restart of the API each lease gets one fresh term.
 */
export class Leases {
  /** How long a lease lasts without a renewal. */
  readonly termMs: number;
  readonly #clock: Clock;
  readonly #endsAtMs = new Map<string, number>();

  constructor(clock: Clock, termMs: number) {
    this.#clock = clock;
    this.termMs = termMs;
  }

  /** Starts a full term from now. */
  grant(deploymentId: string): void {
    this.#endsAtMs.set(deploymentId, this.#clock.monotonicMs() + this.termMs);
  }

  end(deploymentId: string): void {
    this.#endsAtMs.delete(deploymentId);
  }

  isLive(deploymentId: string): boolean {
    return (this.#endsAtMs.get(deploymentId) ?? Number.NEGATIVE_INFINITY) > this.#clock.monotonicMs();
  }

  /** Number of leases remembered: those that wait hold none. */
  get size(): number {
    return this.#endsAtMs.size;
  }
}
