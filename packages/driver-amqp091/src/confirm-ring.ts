/**
 * What was published on one channel and not yet confirmed, by sequence number: 1, 2, 3, … A ring that grows: no map, no
 * search.
 */
export class ConfirmRing<T> {
  #slots: (T | undefined)[] = Array.from({ length: 64 });
  #mask = 63;
  /** The oldest number that may still be unconfirmed. */
  #oldest = 1;
  #next = 1;

  /** Numbers between the oldest unconfirmed one and the newest. */
  get span(): number {
    return this.#next - this.#oldest;
  }

  /** Adds the next publish and answers its number. */
  add(item: T): number {
    if (this.span > this.#mask) this.#grow();
    this.#slots[this.#next & this.#mask] = item;
    return this.#next++;
  }

  /** Takes out one number; undefined when it is not there (any more). */
  take(sequence: number): T | undefined {
    if (sequence < this.#oldest || sequence >= this.#next) return undefined;
    const item = this.#slots[sequence & this.#mask];
    this.#slots[sequence & this.#mask] = undefined;
    this.#passTaken();
    return item;
  }

  /** Takes out everything up to and including a number, oldest first. 0 stands for everything. */
  takeUpTo(sequence: number, each: (item: T) => void): void {
    const last = sequence === 0 ? this.#next - 1 : Math.min(sequence, this.#next - 1);
    for (; this.#oldest <= last; this.#oldest++) {
      const item = this.#slots[this.#oldest & this.#mask];
      this.#slots[this.#oldest & this.#mask] = undefined;
      if (item !== undefined) each(item);
    }
    this.#passTaken();
  }

  /** The first unconfirmed item, from `from` on, of which the test is true; its number comes with it. */
  find(from: number, test: (item: T) => boolean): { readonly sequence: number; readonly item: T } | undefined {
    for (let sequence = Math.max(from, this.#oldest); sequence < this.#next; sequence++) {
      const item = this.#slots[sequence & this.#mask];
      if (item !== undefined && test(item)) return { sequence, item };
    }
    return undefined;
  }

  #passTaken(): void {
    while (this.#oldest < this.#next && this.#slots[this.#oldest & this.#mask] === undefined) this.#oldest += 1;
  }

  #grow(): void {
    const larger: (T | undefined)[] = Array.from({ length: 2 * (this.#mask + 1) });
    const mask = larger.length - 1;
    for (let sequence = this.#oldest; sequence < this.#next; sequence++) {
      larger[sequence & mask] = this.#slots[sequence & this.#mask];
    }
    this.#slots = larger;
    this.#mask = mask;
  }
}
