import type { Clock } from '@torcello/platform';
import { Wakeup } from '../wakeup.js';
import type { History, NewEvent } from './history.js';

/** So many outcomes are written at once at most, and none waits longer than this for company. */
const outcomesPerAppend = 200;
const outcomeWaitMs = 50;

/** Writes outcomes to the history while more of them come in: few appends, and none that waits for the last letter. */
export class Outcomes {
  readonly #history: History;
  readonly #clock: Clock;
  readonly #written: (events: readonly NewEvent[]) => void;
  readonly #more = new Wakeup();
  #pending: NewEvent[] = [];
  #isComplete = false;

  /** @param written - told after each append. */
  constructor(history: History, clock: Clock, written: (events: readonly NewEvent[]) => void) {
    this.#history = history;
    this.#clock = clock;
    this.#written = written;
  }

  add(event: NewEvent): void {
    this.#pending.push(event);
    if (this.#pending.length === 1 || this.#pending.length >= outcomesPerAppend) this.#more.ring();
  }

  /** No more come: `writeAll` ends when all are written. */
  complete(): void {
    this.#isComplete = true;
    this.#more.ring();
  }

  async writeAll(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#gather(signal);
      signal.throwIfAborted();
      const batch = this.#pending.splice(0, outcomesPerAppend);
      if (batch.length === 0) return;
      await this.#history.record(batch);
      this.#written(batch);
    }
  }

  /** Waits for the first outcome, and then a moment for others. */
  async #gather(signal: AbortSignal): Promise<void> {
    while (!this.#isComplete && this.#pending.length === 0 && !signal.aborted) {
      await this.#more.wait(this.#clock, Number.POSITIVE_INFINITY, signal);
    }
    const untilMs = this.#clock.monotonicMs() + outcomeWaitMs;
    while (!this.#isComplete && this.#pending.length < outcomesPerAppend && !signal.aborted) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0) return;
      await this.#more.wait(this.#clock, leftMs, signal);
    }
  }
}
