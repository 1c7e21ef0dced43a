import { limits } from '../limits.js';

/** The last ids that a listener has seen, to drop repeats by (oslo 1.9). */
export class DuplicateWindow {
  readonly #ids: (string | undefined)[];
  #next = 0;

  /** @param size - ids that it remembers; default is oslo's 16. */
  constructor(size: number = limits.duplicateWindowMessages) {
    this.#ids = Array.from({ length: size });
  }

  has(id: string): boolean {
    return this.#ids.includes(id);
  }

  add(id: string): void {
    if (this.has(id)) return;
    this.#ids[this.#next] = id;
    this.#next = (this.#next + 1) % this.#ids.length;
  }

  delete(id: string): void {
    const at = this.#ids.indexOf(id);
    if (at >= 0) this.#ids[at] = undefined;
  }
}
