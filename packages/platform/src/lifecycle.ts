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
  #running = 0;
  #idleListeners: (() => void)[] = [];
  readonly #onFailure: (what: string, error: unknown) => void;

  constructor(onFailure: (what: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Starts `work` and forgets it; `what` names it in the report of a failure. */
  run(what: string, work: () => Promise<unknown>): void {
    this.#running += 1;
    const fail = (error: unknown): void => this.#end(what, { error });
    try {
      work().then(() => this.#end(what), fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Resolves when no work is running, also none that was started meanwhile. */
  async settled(): Promise<void> {
    while (this.#running > 0) await new Promise<void>((resolve) => this.#idleListeners.push(resolve));
  }

  #end(what: string, failure?: { readonly error: unknown }): void {
    try {
      if (failure !== undefined) this.#onFailure(what, failure.error);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) for (const tell of this.#idleListeners.splice(0)) tell();
    }
  }
}
