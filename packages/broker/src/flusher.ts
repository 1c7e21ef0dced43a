/** Something that gathers output during a turn of the event loop. */
export interface Flushable {
  flush(): void;
}

/** Flushes everything that has output once a turn: one write for each connection, whoever caused it. */
export class Flusher {
  #waiting = new Set<Flushable>();
  readonly #turns: (() => void)[] = [];

  add(flushable: Flushable): void {
    if (this.#waiting.size === 0) setImmediate(() => this.#flush());
    this.#waiting.add(flushable);
  }

  /** Does long work in a turn of its own, after those that asked before: whatever comes in meanwhile is served in between. */
  inTurn(action: () => void): void {
    if (this.#turns.push(action) === 1) setImmediate(() => this.#nextTurn());
  }

  #nextTurn(): void {
    const action = this.#turns[0];
    try {
      action?.();
    } finally {
      this.#turns.shift();
      if (this.#turns.length > 0) setImmediate(() => this.#nextTurn());
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const flushable of waiting) flushable.flush();
  }
}
