/**
 * What ends an operation early: the part of `AbortSignal` that operations need. Every `AbortSignal` is one; the library
 * makes lighter ones for its own deadlines, because it needs one for every message.
 */
export interface AbortSignalLike {
  readonly aborted: boolean;
  /** Why; undefined until it is aborted. */
  readonly reason: unknown;
  /** The listener is called once, unless it is removed before; never when the signal is aborted already. */
  addEventListener(type: 'abort', listener: () => void, options: { readonly once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** A signal with any number of listeners and none of the cost of an `EventTarget`. */
export class AbortTrigger implements AbortSignalLike {
  #isAborted = false;
  #reason: unknown;
  /** Most have one listener at a time, or none: those need no list. */
  #only: (() => void) | undefined;
  #others: (() => void)[] | undefined;

  get aborted(): boolean {
    return this.#isAborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Calls every listener, the first time. */
  abort(reason?: unknown): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    this.#only?.();
    for (let next = this.#others?.shift(); next !== undefined; next = this.#others?.shift()) next();
    this.#only = this.#others = undefined;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#isAborted) return;
    if (this.#only === undefined && (this.#others === undefined || this.#others.length === 0)) this.#only = listener;
    else (this.#others ??= []).push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#only === listener) this.#only = undefined;
    else if (this.#others !== undefined) {
      // The oldest goes first, mostly: it is found at once.
      const at = this.#others.indexOf(listener);
      if (at >= 0) this.#others.splice(at, 1);
    }
  }
}
