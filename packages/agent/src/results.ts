import type { Clock, Logger } from '@torcello/platform';
import type { Journal } from './journal.js';
import { announce } from './points.js';
import type { Uplink } from './uplink.js';
import { Wake } from './wake.js';

const publishTimeoutMs = 10_000;
const repeatMsFirst = 30_000;
const repeatMsMax = 3_600_000;
const retryMs = 5_000;

/** When a result is to be sent (again). */
interface Schedule {
  dueMs: number;
  repeatMs: number;
}

/**
 * Sends the result of every finished plan until the control plane says that it has it: at once, after every start and
 * reconnect, and again after 30 s, each time twice as long later, an hour at most. The broker keeps what it confirmed,
 * so the repeats are for a control plane that lost it, and need not fill the mailbox of one that is away.
 */
export class ResultSender {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #journal: Journal;
  readonly #uplink: Uplink;
  readonly #schedules = new Map<string, Schedule>();
  readonly #wake = new Wake();

  constructor(options: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly journal: Journal;
    readonly uplink: Uplink;
  }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#journal = options.journal;
    this.#uplink = options.uplink;
  }

  /** Sends the result of this plan now, whether it was sent, or confirmed, before or not. */
  send(planId: string): void {
    this.#schedules.set(planId, { dueMs: 0, repeatMs: repeatMsFirst });
    this.#wake.call();
  }

  /** Sends everything that has no receipt now: after a start or a reconnect. */
  sendAll(): void {
    for (const { planId } of this.#journal.book.unconfirmed()) this.send(planId);
  }

  /** Sends until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const [planId, schedule] of this.#schedules) {
        if (signal.aborted) return;
        if (schedule.dueMs <= this.#clock.monotonicMs()) await this.#sendOne(planId, schedule);
      }
      const timeoutMs = this.#nextMs();
      await this.#wake.wait({ clock: this.#clock, signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    }
  }

  async #sendOne(planId: string, schedule: Schedule): Promise<void> {
    const plan = this.#journal.book.plan(planId);
    if (plan?.result === undefined) return void this.#schedules.delete(planId);
    try {
      await this.#uplink({ kind: 'result', id: planId, body: plan.result, timeoutMs: publishTimeoutMs });
      announce('resultPublished', { planId });
      if (plan.receiptAtMs !== undefined) return this.#forget(planId, schedule);
      schedule.dueMs = this.#clock.monotonicMs() + schedule.repeatMs;
      schedule.repeatMs = Math.min(schedule.repeatMs * 2, repeatMsMax);
    } catch (error) {
      this.#logger.warn('a result could not be sent; it is sent again', { planId, error });
      schedule.dueMs = this.#clock.monotonicMs() + retryMs;
    }
  }

  /** The receipt came; unless somebody asked again meanwhile. */
  #forget(planId: string, schedule: Schedule): void {
    if (this.#schedules.get(planId) === schedule) this.#schedules.delete(planId);
  }

  /** Takes the plan off the list when its receipt has come. */
  confirmed(planId: string): void {
    this.#schedules.delete(planId);
  }

  #nextMs(): number | undefined {
    const dues = [...this.#schedules.values()].map(({ dueMs }) => dueMs);
    return dues.length === 0 ? undefined : Math.max(0, Math.min(...dues) - this.#clock.monotonicMs());
  }
}
