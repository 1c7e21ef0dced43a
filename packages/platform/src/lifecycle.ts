/**
 * What everything that runs has in common. `start` resolves when it serves; `stop` resolves only when nothing of it is
 * running any more, may be called in any state and any number of times, and never rejects because of a second call.
 */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Runs promises in the background for one owner. The one named place where a promise is neither awaited nor returned:
 * a failure goes to `onFailure`, and `settled` resolves when nothing is left.
 */
export class Background {
  readonly #running = new Set<Promise<void>>();
  readonly #onFailure: (what: string, error: unknown) => void;

  constructor(onFailure: (what: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Starts `work` and forgets it; `what` names it in the report of a failure. */
  run(what: string, work: () => Promise<unknown>): void {
    const running: Promise<void> = (async () => {
      try {
        await work();
      } catch (error) {
        this.#onFailure(what, error);
      }
    })();
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** Resolves when no work is running, also none that was started meanwhile. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
