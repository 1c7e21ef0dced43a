import type { TextSink } from '../context.js';

const escape = '\u001b[';

/**
 * The last lines of a terminal, drawn again and again in place. What is printed above it scrolls up as usual. Nothing
 * else may write to the terminal between `draw` and `release`.
 */
export class LiveRegion {
  readonly #sink: TextSink;
  #height = 0;

  constructor(sink: TextSink) {
    this.#sink = sink;
  }

  /** Replaces the region. Lines must not be wider than the terminal. */
  draw(lines: readonly string[]): void {
    this.#sink.write(this.#erased() + lines.map((line) => `${line}\n`).join(''));
    this.#height = lines.length;
  }

  /** Prints lines above the region. The region is gone until it is drawn again. */
  printAbove(lines: readonly string[]): void {
    this.#sink.write(this.#erased() + lines.map((line) => `${line}\n`).join(''));
    this.#height = 0;
  }

  /** Leaves what is drawn on the screen; the next `draw` starts below it. */
  release(): void {
    this.#height = 0;
  }

  #erased(): string {
    return this.#height === 0 ? '' : `${escape}${this.#height}A${escape}0J`;
  }
}
