import { letterKindHeader, type PlanLetter } from '@torcello/contracts';
import { type Mailboxes, isMessagingError } from '@torcello/messaging';
import type { Clock, Logger, Random } from '@torcello/platform';
import { conductorLimits } from '../limits.js';
import { announce } from '../diagnostics.js';
import type { Lease } from '../lease.js';
import { retryDelayMs } from '../retry-delay.js';

/** Where the exact bytes of a plan are: just written, or asked of the API after a takeover. */
export type FindLetter = (planId: string) => Promise<{ readonly mailbox: string; readonly bytes: Uint8Array }>;

/** What became of a plan's letter. Undefined as long as it has to be tried again. */
export type Posting =
  | { readonly planId: string; readonly isStored: true; readonly storedAtMs: number }
  | { readonly planId: string; readonly isStored: false; readonly reason: string };

export interface PosterOptions {
  readonly mailboxes: Mailboxes;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly find: FindLetter;
}

interface Attempts {
  readonly failures: number;
  readonly againAtMs: number;
  /** Since when there is no such mailbox (monotonic). */
  readonly unroutableSinceMs: number | undefined;
}

/** Puts letters into mailboxes, each as often as it takes; a letter that must wait does not hold up the others. */
export class Poster {
  readonly #options: PosterOptions;
  readonly #attempts = new Map<string, Attempts>();

  constructor(options: PosterOptions) {
    this.#options = options;
  }

  /** The letters whose time to be tried has come. */
  due(plans: readonly PlanLetter[]): readonly PlanLetter[] {
    const now = this.#options.clock.monotonicMs();
    return plans.filter((plan) => (this.#attempts.get(plan.planId)?.againAtMs ?? 0) <= now);
  }

  /** Until the first of these letters is due. */
  waitMs(plans: readonly PlanLetter[]): number {
    const now = this.#options.clock.monotonicMs();
    return Math.min(...plans.map((plan) => (this.#attempts.get(plan.planId)?.againAtMs ?? now) - now));
  }

  /** Puts them, many at a time, and tells of each one that came to an end. @throws LeaseEndedError */
  async post(plans: readonly PlanLetter[], onEnd: (posting: Posting) => void): Promise<void> {
    const waiting = plans.values();
    const work = async (): Promise<void> => {
      for (const { planId } of waiting) {
        const posting = await this.#put(planId);
        if (posting !== undefined) onEnd(posting);
      }
    };
    await Promise.all(Array.from({ length: conductorLimits.putsInFlightMax.value }, work));
  }

  async #put(planId: string): Promise<Posting | undefined> {
    const { lease, mailboxes, find } = this.#options;
    const { mailbox, bytes } = await find(planId);
    lease.check();
    announce('posting', lease.deploymentId, planId);
    try {
      const letter = { id: planId, body: bytes, headers: { [letterKindHeader]: 'plan' } };
      const { storedAtMs } = await mailboxes.put(mailbox, letter, { signal: lease.signal });
      announce('posted', lease.deploymentId, planId);
      this.#attempts.delete(planId);
      return { planId, isStored: true, storedAtMs };
    } catch (error) {
      lease.signal.throwIfAborted();
      return this.#afterFailure(planId, error);
    }
  }

  #afterFailure(planId: string, error: unknown): Posting | undefined {
    if (!isMessagingError(error)) throw error;
    const { clock, random, logger, lease } = this.#options;
    const now = clock.monotonicMs();
    const before = this.#attempts.get(planId);
    const unroutableSinceMs = error.code === 'UNROUTABLE' ? (before?.unroutableSinceMs ?? now) : undefined;
    const patienceMs = conductorLimits.unroutablePatienceMs.value;
    if (unroutableSinceMs !== undefined && now - unroutableSinceMs >= patienceMs) {
      return { planId, isStored: false, reason: 'the machine has no mailbox (any more): it was deleted' };
    }
    if (!error.retryable) return { planId, isStored: false, reason: `${error.code}: ${error.message}` };
    const failures = (before?.failures ?? 0) + 1;
    this.#attempts.set(planId, { failures, againAtMs: now + retryDelayMs(failures, random), unroutableSinceMs });
    logger.warn('a plan could not be put into its mailbox, trying again', {
      deploymentId: lease.deploymentId,
      planId,
      failures,
      error,
    });
    return undefined;
  }
}
