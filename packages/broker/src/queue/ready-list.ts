import type { PendingChange } from '../store/commit-log.js';
import type { Message } from './message.js';

/** One message in one queue, ready or handed out. */
export interface QueueEntry {
  readonly message: Message;
  /** Place in the queue; a returned entry goes back there. */
  readonly position: number;
  /** Priority it is served with, already cut to the queue's highest. */
  readonly priority: number;
  /** Instant of its end on the monotonic clock, in milliseconds. */
  readonly expiresAtMs: number | undefined;
  /** Somebody may have seen it before. */
  isRedelivered: boolean;
  /** How often it came back. */
  returns: number;
  /** Set while it lies on disk or on its way there. */
  stored: PendingChange | undefined;
}

/**
 * The messages of a queue that wait, in order of priority and then of position. A ring for each priority: both ends
 * are cheap, and a returned entry is put back by its position, which is near the front.
 */
export class ReadyList {
  readonly #levels: Ring[];
  #length = 0;
  #bytes = 0;

  /** @param priorityMax - 0 for a queue without priorities. */
  constructor(priorityMax: number) {
    this.#levels = Array.from({ length: priorityMax + 1 }, () => new Ring());
  }

  get length(): number {
    return this.#length;
  }

  /** Sum of the bodies, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  push(entry: QueueEntry): void {
    this.#level(entry).push(entry);
    this.#count(entry, 1);
  }

  /** Puts an entry back to its old place. */
  putBack(entry: QueueEntry): void {
    this.#level(entry).insert(entry);
    this.#count(entry, 1);
  }

  /** The entry to be served next. */
  first(): QueueEntry | undefined {
    for (let priority = this.#levels.length - 1; priority >= 0; priority--) {
      const entry = this.#levels[priority]?.first();
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** Takes the entry to be served next. */
  shift(): QueueEntry | undefined {
    for (let priority = this.#levels.length - 1; priority >= 0; priority--) {
      const entry = this.#levels[priority]?.shift();
      if (entry !== undefined) return this.#counted(entry);
    }
    return undefined;
  }

  /** Takes the entry that an overflowing queue drops: the oldest of the lowest priority. */
  shiftLowest(): QueueEntry | undefined {
    for (const level of this.#levels) {
      const entry = level.shift();
      if (entry !== undefined) return this.#counted(entry);
    }
    return undefined;
  }

  /** The first entry of each priority: where expiry looks. */
  heads(): QueueEntry[] {
    return this.#levels.flatMap((level) => level.first() ?? []);
  }

  /** Takes exactly this entry if it is at the head of its priority. */
  shiftHead(entry: QueueEntry): boolean {
    const level = this.#level(entry);
    if (level.first() !== entry) return false;
    level.shift();
    this.#count(entry, -1);
    return true;
  }

  /** Takes everything, in order. */
  clear(): QueueEntry[] {
    const all: QueueEntry[] = [];
    for (let entry = this.shift(); entry !== undefined; entry = this.shift()) all.push(entry);
    return all;
  }

  #level(entry: QueueEntry): Ring {
    const level = this.#levels[entry.priority];
    if (level === undefined) throw new TypeError(`priority ${entry.priority} is above the highest of the queue`);
    return level;
  }

  #counted(entry: QueueEntry): QueueEntry {
    this.#count(entry, -1);
    return entry;
  }

  #count(entry: QueueEntry, sign: 1 | -1): void {
    this.#length += sign;
    this.#bytes += sign * entry.message.body.length;
  }
}

const ringLengthMin = 8;

/** A double-ended queue in an array whose length is a power of two. */
class Ring {
  #slots: (QueueEntry | undefined)[] = [];
  #head = 0;
  #length = 0;

  first(): QueueEntry | undefined {
    return this.#length === 0 ? undefined : this.#slots[this.#head];
  }

  push(entry: QueueEntry): void {
    this.#grow();
    this.#slots[this.#index(this.#length++)] = entry;
  }

  shift(): QueueEntry | undefined {
    if (this.#length === 0) return undefined;
    const entry = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = this.#index(1);
    this.#length--;
    if (this.#length === 0 && this.#slots.length > 1024) this.#slots = [];
    if (this.#length === 0) this.#head = 0;
    return entry;
  }

  /** Walks from the front; entries before the place move one slot forward. */
  insert(entry: QueueEntry): void {
    this.#grow();
    this.#head = this.#index(-1);
    this.#length++;
    let at = 0;
    for (; at < this.#length - 1; at++) {
      const next = this.#slots[this.#index(at + 1)];
      if (next === undefined || next.position > entry.position) break;
      this.#slots[this.#index(at)] = next;
    }
    this.#slots[this.#index(at)] = entry;
  }

  #index(offset: number): number {
    return (this.#head + offset) & (this.#slots.length - 1);
  }

  #grow(): void {
    if (this.#length < this.#slots.length) return;
    const grown: (QueueEntry | undefined)[] = Array.from({ length: Math.max(ringLengthMin, this.#length * 2) });
    for (let at = 0; at < this.#length; at++) grown[at] = this.#slots[this.#index(at)];
    this.#slots = grown;
    this.#head = 0;
  }
}
