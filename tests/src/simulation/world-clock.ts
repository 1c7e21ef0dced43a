import type { Clock, Timer } from '@torcello/platform';

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
  isCancelled: boolean;
}

/** Time of a simulated world. It stands still until it is moved, and everything that can happen at an instant does. */
export class WorldClock {
  /** 2026-01-01T00:00:00Z. */
  readonly startMs: number = 1_767_225_600_000;
  #nowMs = 0;
  #order = 0;
  /** A binary heap by instant, then by the order of the calls. */
  readonly #heap: Pending[] = [];

  get monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): Timer {
    const dueMs = this.#nowMs + Math.max(0, delayMs);
    const pending: Pending = { dueMs, order: (this.#order += 1), action, isCancelled: false };
    this.#push(pending);
    return { cancel: () => void (pending.isCancelled = true) };
  }

  /** Moves on until `isOver` or until so much time has passed. */
  async run(forMs: number, isOver: () => boolean = () => false): Promise<void> {
    const untilMs = this.#nowMs + forMs;
    await quiet();
    while (!isOver()) {
      const next = this.#pop(untilMs);
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.action();
      await quiet();
    }
    if (!isOver()) this.#nowMs = untilMs;
  }

  #push(pending: Pending): void {
    const heap = this.#heap;
    let at = heap.push(pending) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && isBefore(pending, heap[parent]); parent = (at - 1) >> 1) {
      heap[at] = heap[parent] as Pending;
      at = parent;
    }
    heap[at] = pending;
  }

  /** The next that is due by then and was not cancelled. */
  #pop(untilMs: number): Pending | undefined {
    for (;;) {
      const [first] = this.#heap;
      if (first === undefined || (first.dueMs > untilMs && !first.isCancelled)) return undefined;
      const last = this.#heap.pop() as Pending;
      if (this.#heap.length > 0) this.#sink(last);
      if (!first.isCancelled) return first;
    }
  }

  #sink(pending: Pending): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const child = heap[left + 1] !== undefined && isBefore(heap[left + 1] as Pending, heap[left]) ? left + 1 : left;
      const smaller = heap[child];
      if (smaller === undefined || isBefore(pending, smaller)) break;
      heap[at] = smaller;
      at = child;
    }
    heap[at] = pending;
  }
}

function isBefore(one: Pending, other: Pending | undefined): boolean {
  return other !== undefined && (one.dueMs < other.dueMs || (one.dueMs === other.dueMs && one.order < other.order));
}

/** Resolves when nothing is left to do without the clock: no promise, no tick and no turn of the event loop waits. */
export async function quiet(): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (process.getActiveResourcesInfo().includes('Immediate'));
}

/**
 * A process of the world: it has its own wall clock, can be frozen, and ends without a word. What a dead one has begun
 * never goes on: its timers do not fire, and nobody answers it.
 */
export class Life {
  readonly name: string;
  readonly clock: Clock;
  readonly #world: WorldClock;
  readonly #held: (() => void)[] = [];
  readonly #onDeath: (() => void)[] = [];
  #isAlive = true;
  #isFrozen = false;
  #offsetMs = 0;

  constructor(name: string, world: WorldClock) {
    this.name = name;
    this.#world = world;
    this.clock = {
      now: () => Math.floor(world.startMs + world.monotonicMs + this.#offsetMs),
      monotonicMs: () => world.monotonicMs,
      after: (delayMs, action) => world.after(delayMs, () => this.do(action)),
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Its wall clock is off by so much from now on. */
  setClock(offsetMs: number): void {
    this.#offsetMs = offsetMs;
  }

  /** Does it when the process runs: at once, after the thaw, or never. */
  do(action: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isFrozen) this.#held.push(action);
    else action();
  }

  /** As SIGSTOP, and SIGCONT after so long. */
  freeze(forMs: number): void {
    this.#isFrozen = true;
    this.#world.after(forMs, () => {
      this.#isFrozen = false;
      for (const action of this.#held.splice(0)) this.do(action);
    });
  }

  onDeath(action: () => void): void {
    this.#onDeath.push(action);
  }

  die(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    for (const action of this.#onDeath.splice(0)) action();
  }
}
