import type { Clock, Timer } from '@torcello/platform';
import type { Destination, OutgoingMessage, TopologyOptions } from '../driver.js';

/** A message in a queue, with what the broker remembers about it. */
export interface StoredMessage {
  /** Order of arrival in the whole broker; a released message goes back to its place by it. */
  readonly order: number;
  readonly message: OutgoingMessage;
  readonly destination: Destination;
  /** Monotonic instant; Infinity when it does not expire. */
  readonly expiresAtMs: number;
  deliveries: number;
}

/** Who takes messages from a queue while it has room. */
export interface QueueReader {
  readonly hasRoom: boolean;
  take(stored: StoredMessage): void;
  /** The queue is gone. */
  end(): void;
}

export interface QueueSetting {
  readonly name: string;
  readonly options: TopologyOptions;
  readonly clock: Clock;
  /** Takes what expired or was pushed out, where the queue has a dead-letter address. */
  readonly deadLetter: (stored: StoredMessage, to: Destination) => void;
}

/** One queue of the memory broker: waiting messages by priority and age, and readers in turn. */
export class MemoryQueue {
  readonly name: string;
  readonly options: TopologyOptions;
  readonly #setting: QueueSetting;
  readonly #ready: StoredMessage[] = [];
  readonly #readers: QueueReader[] = [];
  #isScheduled = false;
  #lastUsedMs: number;
  #expiry: Timer | undefined;
  /** No waiting message expires before this instant. */
  #earliestExpiryMs = Infinity;

  constructor(setting: QueueSetting) {
    this.#setting = setting;
    this.name = setting.name;
    this.options = setting.options;
    this.#lastUsedMs = setting.clock.monotonicMs();
  }

  get length(): number {
    this.#dropExpired();
    return this.#ready.length;
  }

  get readers(): number {
    return this.#readers.length;
  }

  /** Nobody used it for longer than it was given to live. */
  get isOver(): boolean {
    const expiresMs = this.options.expiresMs ?? foreignExpiryMs(this.options);
    if (expiresMs === undefined || this.#readers.length > 0) return false;
    return this.#setting.clock.monotonicMs() - this.#lastUsedMs >= expiresMs;
  }

  /** Restarts the time that an unused queue lives. */
  use(): void {
    this.#lastUsedMs = this.#setting.clock.monotonicMs();
  }

  /** False when the queue is full and refuses. */
  offer(stored: StoredMessage): boolean {
    this.#dropExpired();
    const { lengthMax = Infinity, whenFull = 'refuse' } = this.options;
    if (this.#ready.length >= lengthMax && whenFull === 'refuse') return false;
    this.#insert(stored);
    while (this.#ready.length > lengthMax) this.discard(this.#ready.shift());
    this.schedule();
    return true;
  }

  /** Back to its old place, for whoever comes next. */
  giveBack(stored: StoredMessage): void {
    this.#insert(stored);
    this.schedule();
  }

  /** Dead-letters or drops one message. */
  discard(stored: StoredMessage | undefined): void {
    const to = this.options.deadLetter;
    if (stored !== undefined && to !== undefined) this.#setting.deadLetter(stored, to);
  }

  takeOne(): StoredMessage | undefined {
    this.use();
    this.#dropExpired();
    const stored = this.#ready.shift();
    this.#armExpiry();
    return stored;
  }

  addReader(reader: QueueReader): void {
    this.#readers.push(reader);
    this.schedule();
  }

  removeReader(reader: QueueReader): void {
    const at = this.#readers.indexOf(reader);
    if (at >= 0) this.#readers.splice(at, 1);
    this.use();
    this.schedule();
  }

  /** Ends every reader and forgets every message. */
  destroy(): void {
    this.#expiry?.cancel();
    this.#ready.length = 0;
    for (const reader of this.#readers.splice(0)) reader.end();
  }

  /** Hands out what readers have room for, once the running code is done. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#handOut();
    });
  }

  #handOut(): void {
    this.#dropExpired();
    for (let reader = this.#nextReader(); reader !== undefined; reader = this.#nextReader()) {
      const stored = this.#ready.shift();
      if (stored === undefined) break;
      reader.take(stored);
    }
    this.#armExpiry();
  }

  #nextReader(): QueueReader | undefined {
    if (this.#ready.length === 0) return undefined;
    const candidates = this.options.singleReader === true ? this.#readers.slice(0, 1) : this.#readers;
    const reader = candidates.find((candidate) => candidate.hasRoom);
    if (reader !== undefined && this.options.singleReader !== true) {
      this.#readers.splice(this.#readers.indexOf(reader), 1);
      this.#readers.push(reader);
    }
    return reader;
  }

  #insert(stored: StoredMessage): void {
    let at = this.#ready.length;
    this.#earliestExpiryMs = Math.min(this.#earliestExpiryMs, stored.expiresAtMs);
    while (at > 0 && this.#comesBefore(stored, this.#ready[at - 1])) at -= 1;
    if (at === this.#ready.length) this.#ready.push(stored);
    else this.#ready.splice(at, 0, stored);
    this.#armExpiry();
  }

  #comesBefore(a: StoredMessage, b: StoredMessage | undefined): boolean {
    if (b === undefined) return false;
    const [first, second] = [this.#priority(a), this.#priority(b)];
    return first === second ? a.order < b.order : first > second;
  }

  #priority(stored: StoredMessage): number {
    return Math.min(stored.message.properties.priority ?? 0, this.options.priorityMax ?? 0);
  }

  #dropExpired(): void {
    const nowMs = this.#setting.clock.monotonicMs();
    if (nowMs < this.#earliestExpiryMs) return;
    this.#earliestExpiryMs = Infinity;
    for (let at = 0; at < this.#ready.length;) {
      const stored = this.#ready[at];
      if (stored !== undefined && stored.expiresAtMs <= nowMs) this.discard(this.#ready.splice(at, 1)[0]);
      else {
        this.#earliestExpiryMs = Math.min(this.#earliestExpiryMs, stored?.expiresAtMs ?? Infinity);
        at += 1;
      }
    }
  }

  /** Only a dead-letter address makes the moment of expiry visible; without one, looking when asked is enough. */
  #armExpiry(): void {
    if (this.options.deadLetter === undefined) return;
    this.#expiry?.cancel();
    if (this.#earliestExpiryMs === Infinity || this.#ready.length === 0) return;
    const { clock } = this.#setting;
    this.#expiry = clock.after(this.#earliestExpiryMs - clock.monotonicMs(), () => this.schedule());
  }
}

/** Of a queue declared in a foreign program's words. */
function foreignExpiryMs(options: TopologyOptions): number | undefined {
  const expiresMs = options.foreignArguments?.['x-expires'];
  return typeof expiresMs === 'number' ? expiresMs : undefined;
}
