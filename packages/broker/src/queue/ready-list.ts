import type { PendingChange } from '../store/commit-log.js';
import type { ColdEntry } from './cold-list.js';
import type { Message } from './message.js';
import { ReadyLevel } from './ready-level.js';
import type { ReadyOwner } from './ready-level.js';

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

/** The messages of a queue that wait, in order of priority and then of position. */
export class ReadyList {
  readonly #owner: ReadyOwner;
  readonly #priorityMax: number;
  readonly #levels: (ReadyLevel | undefined)[] = [];
  #length = 0;
  #bytes = 0;

  /** @param priorityMax - 0 for a queue without priorities. */
  constructor(owner: ReadyOwner, priorityMax: number) {
    this.#owner = owner;
    this.#priorityMax = priorityMax;
  }

  get length(): number {
    return this.#length;
  }

  /** Sum of the bodies, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  push(entry: QueueEntry): void {
    this.#level(entry.priority).push(entry);
    this.#count(entry, 1);
  }

  /** A message that lies on disk only, behind everything of its priority. */
  pushCold(entry: ColdEntry, priority: number): void {
    this.#level(priority).pushCold(entry);
    this.#length++;
    this.#bytes += entry.bytes;
  }

  /** Puts an entry back to its old place. */
  putBack(entry: QueueEntry): void {
    this.#level(entry.priority).putBack(entry);
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

  /** The first entry of each priority: where expiry looks. */
  heads(): QueueEntry[] {
    return this.#levels.flatMap((level) => level?.first() ?? []);
  }

  /** Takes exactly this entry if it is at the head of its priority. */
  shiftHead(entry: QueueEntry): boolean {
    const level = this.#level(entry.priority);
    if (level.first() !== entry) return false;
    level.shift();
    this.#count(entry, -1);
    return true;
  }

  /** Takes out those in memory of which that is true. */
  remove(isGone: (entry: QueueEntry) => boolean): QueueEntry[] {
    const removed = this.#levels.flatMap((level) => level?.remove(isGone) ?? []);
    for (const entry of removed) this.#count(entry, -1);
    return removed;
  }

  /** Takes everything without reading what is on disk only. */
  clear(): { readonly entries: QueueEntry[]; readonly cold: ColdEntry[] } {
    const all = this.#levels.flatMap((level) => level?.clear() ?? []);
    this.#length = 0;
    this.#bytes = 0;
    return { entries: all.flatMap(({ entries }) => entries), cold: all.flatMap(({ cold }) => cold) };
  }

  /** Lets go of what lies safely on disk; see `ReadyLevel.cool`. */
  cool(isSafe: (entry: QueueEntry) => boolean, hasReaders: boolean): void {
    for (const level of this.#levels) level?.cool(isSafe, hasReaders);
  }

  #level(priority: number): ReadyLevel {
    if (priority > this.#priorityMax) throw new TypeError(`priority ${priority} is above the highest of the queue`);
    while (this.#levels.length <= priority) this.#levels.push(undefined);
    const there = this.#levels[priority];
    if (there !== undefined) return there;
    const level = new ReadyLevel(this.#owner);
    this.#levels[priority] = level;
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
