import type { Random } from '@torcello/platform';
import { limits } from '../limits.js';

/** Waits that double with every failure, between half and the whole of each so that a fleet does not come back as one. */
export class Backoff {
  readonly #random: Random;
  #failures = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The wait before the next try, in milliseconds. */
  nextMs(): number {
    const fullMs = Math.min(limits.retryDelayMsFirst * 2 ** this.#failures, limits.retryDelayMsMax);
    this.#failures = Math.min(this.#failures + 1, 30);
    return fullMs * (0.5 + 0.5 * this.#random.fraction());
  }

  /** It worked: the next failure counts as the first. */
  reset(): void {
    this.#failures = 0;
  }
}
