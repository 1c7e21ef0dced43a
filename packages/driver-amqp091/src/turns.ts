import { Fifo } from './fifo.js';

/** Lets so many be at work at a time; the others wait, first come, first served. */
export class Turns {
  readonly #max: number;
  readonly #waiting = new Fifo<() => void>();
  #atWork = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves when it is the caller's turn; it has to say `done` then. */
  async next(): Promise<void> {
    if (this.#atWork >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#atWork += 1;
  }

  done(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#atWork -= 1;
    else next();
  }
}
