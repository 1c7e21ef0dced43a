import type { Clock, Timer } from '../clock.js';

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
}

/** A clock that stands still until it is moved by hand. Timers fire in the order of their instants. */
export class SimulatedClock implements Clock {
  #elapsedMs = 0;
  #order = 0;
  #startMs: number;
  readonly #pending = new Set<Pending>();

  /** @param startMs - the wall-clock instant at which it stands; default 2026-01-01T00:00:00Z. */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** Sets the wall clock forward, or back below 0; the monotonic clock does not notice. */
  set(byMs: number): void {
    this.#startMs += byMs;
  }

  after(delayMs: number, action: () => void): Timer {
    const pending: Pending = { dueMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, action };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Number of timers that wait. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Moves time forward, firing what falls due, and lets promises settle after each timer. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + byMs;
    await settlePromises();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#pending.delete(next);
      this.#elapsedMs = next.dueMs;
      next.action();
      await settlePromises();
    }
    this.#elapsedMs = untilMs;
    await settlePromises();
  }

  #next(untilMs: number): Pending | undefined {
    const due = [...this.#pending].filter((pending) => pending.dueMs <= untilMs);
    return due.toSorted((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
  }
}

/** Lets every promise that can settle now settle, by giving the event loop one full turn. */
function settlePromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
