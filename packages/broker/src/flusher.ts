/** Something that gathers output during a turn of the event loop. */
export interface Flushable {
  flush(): void;
}

/** Flushes everything that has output once a turn: one write for each connection, whoever caused it. */
export class Flusher {
  #waiting = new Set<Flushable>();

  add(flushable: Flushable): void {
    if (this.#waiting.size === 0) setImmediate(() => this.#flush());
    this.#waiting.add(flushable);
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const flushable of waiting) flushable.flush();
  }
}
