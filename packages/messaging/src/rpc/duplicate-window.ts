import { limits } from '../limits.js';

/** The last ids that a listener has seen, to drop repeats by (oslo 1.9). */
export class DuplicateWindow {
  readonly #ids = new Set<string>();
  readonly #size: number;

  /** @param size - ids that it remembers; default is oslo's 16. */
  constructor(size: number = limits.duplicateWindowMessages) {
    this.#size = size;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size <= this.#size) return;
    const [oldest] = this.#ids;
    if (oldest !== undefined) this.#ids.delete(oldest);
  }

  delete(id: string): void {
    this.#ids.delete(id);
  }
}
