import { sleep } from '@torcello/platform';
import type { Clock } from '@torcello/platform';

/** When the next round comes: at once, after the interval, or not any more. */
export type NextRound = 'now' | 'later' | 'never';

export interface RoundsOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly round: () => Promise<NextRound>;
  /** A round failed; the next one comes after the interval. */
  readonly onFailure: (error: unknown) => void;
  /** Default: the first round comes at once. */
  readonly isPausedFirst?: boolean;
}

/** Work that is done again and again until it is stopped. A round that failed keeps no later one from being tried. */
export class Rounds {
  readonly #options: RoundsOptions;
  readonly #stopping = new AbortController();
  #wakeUp = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  /** Aborted by `stop`. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** There is work: the pause ends, or does not begin. */
  wake(): void {
    this.#wakeUp.abort(new Error('there is work'));
  }

  /** Resolves when the round that ran is over. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the API stops'));
    this.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    if (this.#options.isPausedFirst === true) await this.#pause();
    while (!this.signal.aborted) {
      this.#wakeUp = new AbortController();
      const next = await this.#round();
      if (next === 'never') return;
      if (next === 'later' && !this.signal.aborted) await this.#pause();
    }
  }

  async #round(): Promise<NextRound> {
    try {
      return await this.#options.round();
    } catch (error) {
      this.#options.onFailure(error);
      return 'later';
    }
  }

  /** Ends early when it is woken. */
  async #pause(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const { signal } = this.#wakeUp;
    await sleep(clock, intervalMs, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
