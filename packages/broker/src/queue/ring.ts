import type { QueueEntry } from './ready-list.js';

const ringLengthMin = 8;
/** An empty ring of more slots gives them back. */
const slotsKeptMax = 1024;

/** Entries in order of position, in an array whose length is a power of two: both ends are cheap. */
export class Ring {
  #slots: (QueueEntry | undefined)[] | undefined;
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  first(): QueueEntry | undefined {
    return this.#length === 0 ? undefined : this.#slots?.[this.#head];
  }

  push(entry: QueueEntry): void {
    const slots = this.#grown();
    slots[(this.#head + this.#length++) & (slots.length - 1)] = entry;
  }

  shift(): QueueEntry | undefined {
    const slots = this.#slots;
    if (this.#length === 0 || slots === undefined) return undefined;
    const entry = slots[this.#head];
    slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (slots.length - 1);
    this.#length--;
    if (this.#length === 0) this.#head = 0;
    if (this.#length === 0 && slots.length > slotsKeptMax) this.#slots = undefined;
    return entry;
  }

  /** Walks from the front; entries before the place move one slot forward. */
  insert(entry: QueueEntry): void {
    const slots = this.#grown();
    const index = (offset: number): number => (this.#head + offset) & (slots.length - 1);
    this.#head = index(-1);
    this.#length++;
    let at = 0;
    for (; at < this.#length - 1; at++) {
      const next = slots[index(at + 1)];
      if (next === undefined || next.position > entry.position) break;
      slots[index(at)] = next;
    }
    slots[index(at)] = entry;
  }

  /** Takes out every entry of which that is true. */
  remove(isGone: (entry: QueueEntry) => boolean): QueueEntry[] {
    const removed: QueueEntry[] = [];
    for (let left = this.#length; left > 0; left--) {
      const entry = this.shift();
      if (entry === undefined) break;
      if (isGone(entry)) removed.push(entry);
      else this.push(entry);
    }
    return removed;
  }

  #grown(): (QueueEntry | undefined)[] {
    const slots = this.#slots ?? [];
    if (this.#length < slots.length) return slots;
    const grown: (QueueEntry | undefined)[] = Array.from({ length: Math.max(ringLengthMin, this.#length * 2) });
    for (let at = 0; at < this.#length; at++) grown[at] = slots[(this.#head + at) & (slots.length - 1)];
    this.#slots = grown;
    this.#head = 0;
    return grown;
  }
}
