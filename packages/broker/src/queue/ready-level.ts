import { ColdList } from './cold-list.js';
import type { ColdEntry } from './cold-list.js';
import type { QueueEntry } from './ready-list.js';
import { Ring } from './ring.js';

/** The queue, as the list of its waiting messages sees it. */
export interface ReadyOwner {
  /** Reads a message back from the store. @throws StoreDamage. */
  load(entry: ColdEntry): QueueEntry;
  /** Memory that messages take has grown by so many bytes, or shrunk. */
  residentChanged(bytes: number): void;
}

/** Messages read back at once: as many, or as many bytes. */
const pageLength = 64;
const pageBytes = 256 * 1024;
/** Memory of a waiting message besides its content, in bytes, roughly. */
const entryBytes = 512;

/**
 * Waiting messages of one priority, in order. The first ones are in memory; when memory is short, those behind them lie
 * on disk only, and the last ones, which may not have reached it yet, are in memory again.
 */
export class ReadyLevel {
  readonly #owner: ReadyOwner;
  #hot: Ring = new Ring();
  #cold: ColdList | undefined;
  #tail: Ring | undefined;

  constructor(owner: ReadyOwner) {
    this.#owner = owner;
  }

  get length(): number {
    return this.#hot.length + (this.#cold?.length ?? 0) + (this.#tail?.length ?? 0);
  }

  first(): QueueEntry | undefined {
    return this.#hot.first() ?? this.#firstAfterRefill();
  }

  push(entry: QueueEntry): void {
    this.#owner.residentChanged(costOf(entry));
    if (this.#cold === undefined) this.#hot.push(entry);
    else (this.#tail ??= new Ring()).push(entry);
  }

  /** Behind everything: a message that lies on disk only. */
  pushCold(entry: ColdEntry): void {
    (this.#cold ??= new ColdList()).push(entry);
  }

  /** What was taken comes back to its old place, which is before everything that is on disk only. */
  putBack(entry: QueueEntry): void {
    this.#owner.residentChanged(costOf(entry));
    this.#hot.insert(entry);
  }

  shift(): QueueEntry | undefined {
    if (this.#hot.length === 0 && this.#firstAfterRefill() === undefined) return undefined;
    const entry = this.#hot.shift();
    if (entry !== undefined) this.#owner.residentChanged(-costOf(entry));
    return entry;
  }

  /** Takes out those in memory of which that is true. */
  remove(isGone: (entry: QueueEntry) => boolean): QueueEntry[] {
    const removed = [...this.#hot.remove(isGone), ...(this.#tail?.remove(isGone) ?? [])];
    for (const entry of removed) this.#owner.residentChanged(-costOf(entry));
    return removed;
  }

  /** Lets go of what lies safely on disk. The first ones stay if there is somebody to take them soon. */
  cool(isSafe: (entry: QueueEntry) => boolean, hasReaders: boolean): void {
    if (this.#cold === undefined) {
      if (hasReaders && this.#hot.length <= pageLength) return;
      this.#tail = this.#hot;
      this.#hot = new Ring();
      for (let kept = 0; hasReaders && kept < pageLength; kept++) moveFirst(this.#tail, this.#hot);
    }
    const tail = this.#tail;
    for (let entry = tail?.first(); entry !== undefined && isSafe(entry); entry = tail?.first()) {
      tail?.shift();
      this.#owner.residentChanged(-costOf(entry));
      const { position, isRedelivered, expiresAtMs, message } = entry;
      const { bodyNumber } = message;
      this.pushCold({ position, bytes: message.body.length, isRedelivered, expiresAtMs, bodyNumber });
    }
    this.#cold ??= new ColdList();
    if (this.#cold.length === 0) this.#warm();
  }

  /** Takes everything without reading it: what is in memory, and the positions of what is not. */
  clear(): { readonly entries: QueueEntry[]; readonly cold: ColdEntry[] } {
    const entries: QueueEntry[] = [];
    const cold: ColdEntry[] = [];
    for (let entry = this.#hot.shift(); entry !== undefined; entry = this.#hot.shift()) entries.push(entry);
    for (let entry = this.#cold?.shift(); entry !== undefined; entry = this.#cold?.shift()) cold.push(entry);
    for (let entry = this.#tail?.shift(); entry !== undefined; entry = this.#tail?.shift()) entries.push(entry);
    for (const entry of entries) this.#owner.residentChanged(-costOf(entry));
    this.#cold = undefined;
    this.#tail = undefined;
    return { entries, cold };
  }

  #firstAfterRefill(): QueueEntry | undefined {
    if (this.#cold === undefined) return undefined;
    let bytes = 0;
    while (this.#hot.length < pageLength && bytes < pageBytes) {
      const cold = this.#cold.shift();
      if (cold === undefined) break;
      const entry = this.#owner.load(cold);
      this.#owner.residentChanged(costOf(entry));
      this.#hot.push(entry);
      bytes += cold.bytes;
    }
    if (this.#cold.length === 0) this.#warm();
    return this.#hot.first();
  }

  /** Nothing is on disk only: the tail follows the head. */
  #warm(): void {
    this.#cold = undefined;
    const tail = this.#tail;
    this.#tail = undefined;
    if (tail === undefined) return;
    if (this.#hot.length === 0) this.#hot = tail;
    else while (tail.length > 0) moveFirst(tail, this.#hot);
  }
}

function costOf(entry: QueueEntry): number {
  return entryBytes + entry.message.contentBytes;
}

function moveFirst(from: Ring, to: Ring): void {
  const entry = from.shift();
  if (entry !== undefined) to.push(entry);
}
