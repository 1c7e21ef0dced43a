import { limits } from '../limits.js';

/**
 * The caller's end of a call's progress: puts pieces in order, holds at most a window of them, and lets the server send
 * more as they are read. Nobody reads: nothing more comes. Given up: everything is dropped as it comes.
 */
export class IncomingProgress<P> implements AsyncIterable<P> {
  /** Tells the server how many pieces it may send in all. */
  onAllow: (total: number) => void = () => undefined;
  readonly #early = new Map<number, P>();
  readonly #items: P[] = [];
  #expected = 0;
  #taken = 0;
  #allowed: number = limits.progressWindow;
  #isUnwanted = false;
  #end: { readonly error?: unknown } | undefined;
  #wake: () => void = () => undefined;

  /** A piece came; one that came before, or beyond what was allowed, is dropped. */
  add(at: number, value: P): void {
    if (at < this.#expected || at >= this.#allowed || this.#end !== undefined) return;
    this.#early.set(at, value);
    for (; this.#early.has(this.#expected); this.#expected += 1) {
      this.#items.push(this.#early.get(this.#expected) as P);
      this.#early.delete(this.#expected);
    }
    if (this.#isUnwanted) this.#drop();
    this.#wake();
  }

  /** Nobody will read it, or not any more. */
  giveUp(): void {
    this.#isUnwanted = true;
    this.#drop();
    this.#wake();
  }

  /** The call is over; what came before can still be read. */
  finish(end: { readonly error?: unknown }): void {
    this.#end ??= end;
    this.#wake();
  }

  /** Ends with the call, and throws what the call failed with. For one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<P, void, undefined> {
    try {
      for (;;) {
        for (let isThere = this.#items.length > 0; isThere; isThere = this.#items.length > 0) {
          const item = this.#items.shift() as P;
          this.#taken += 1;
          this.#allowMore();
          yield item;
        }
        if (this.#end !== undefined) break;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      if ('error' in this.#end) throw this.#end.error;
    } finally {
      this.giveUp();
    }
  }

  #drop(): void {
    this.#taken += this.#items.length;
    this.#items.length = 0;
    this.#allowMore();
  }

  /** In steps of half a window, so that the word about it does not cost more than what it is about. */
  #allowMore(): void {
    if (this.#end !== undefined || this.#allowed - this.#taken > limits.progressWindow / 2) return;
    this.#allowed = this.#taken + limits.progressWindow;
    this.onAllow(this.#allowed);
  }
}
