import { isMuranoQueue, letterKindHeader } from '@torcello/contracts';
import { type Mailboxes, type OutgoingLetter, isMessagingError } from '@torcello/messaging';
import type { Clock, Logger, Random } from '@torcello/platform';
import { announce } from '../diagnostics.js';
import type { Lease } from '../lease.js';
import { conductorLimits } from '../limits.js';
import { retryDelayMs } from '../retry-delay.js';
import { type FoundLetter, type WantedLetter, messageId } from './letters.js';

/** What became of a letter. */
export type Posting =
  | { readonly letter: WantedLetter; readonly isStored: true; readonly storedAtMs: number }
  | { readonly letter: WantedLetter; readonly isStored: false; readonly reason: string };

export interface PosterOptions {
  readonly mailboxes: Mailboxes;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What a poster asks about a letter. */
export interface LetterSource {
  readonly find: (letter: WantedLetter) => Promise<FoundLetter | 'needsNone' | undefined>;
  /** False: the history has moved on, and it need not be put any more. */
  readonly isWanted: (letter: WantedLetter) => boolean;
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
  readonly #source: LetterSource;
  readonly #attempts = new Map<string, Attempts>();

  constructor(options: PosterOptions, source: LetterSource) {
    this.#options = options;
    this.#source = source;
  }

  /** The letters whose time to be tried has come. */
  due(letters: readonly WantedLetter[]): readonly WantedLetter[] {
    const now = this.#options.clock.monotonicMs();
    return letters.filter((letter) => (this.#attempts.get(messageId(letter))?.againAtMs ?? 0) <= now);
  }

  /** Until the first of these letters is due. */
  waitMs(letters: readonly WantedLetter[]): number {
    const now = this.#options.clock.monotonicMs();
    return Math.min(...letters.map((letter) => (this.#attempts.get(messageId(letter))?.againAtMs ?? now) - now));
  }

  /** Puts them, many at a time, and tells of each one that came to an end. @throws LeaseEndedError */
  async post(letters: readonly WantedLetter[], onEnd: (posting: Posting) => void): Promise<void> {
    const waiting = letters.values();
    const work = async (): Promise<void> => {
      for (const letter of waiting) {
        if (!this.#source.isWanted(letter)) continue;
        const posting = await this.#put(letter);
        if (posting !== undefined) onEnd(posting);
      }
    };
    await Promise.all(Array.from({ length: conductorLimits.putsInFlightMax.value }, work));
  }

  /** Undefined as long as it has to be tried again. */
  async #put(letter: WantedLetter): Promise<Posting | undefined> {
    const { lease, mailboxes } = this.#options;
    const { kind, planId } = letter;
    const found = await this.#source.find(letter);
    if (found === undefined) return { letter, isStored: false, reason: 'the machine was deleted' };
    if (found === 'needsNone') return { letter, isStored: true, storedAtMs: this.#options.clock.now() };
    lease.check();
    announce(kind === 'plan' ? 'posting' : 'cancelPosting', lease.deploymentId, planId);
    try {
      const { storedAtMs } = await mailboxes.put(found.mailbox, this.#outgoing(letter, found), {
        signal: lease.signal,
      });
      announce(kind === 'plan' ? 'posted' : 'cancelPosted', lease.deploymentId, planId);
      this.#attempts.delete(messageId(letter));
      return { letter, isStored: true, storedAtMs };
    } catch (error) {
      lease.signal.throwIfAborted();
      return this.#afterFailure(letter, error);
    }
  }

  /** A plan that may not start any more is kept for long all the same: its agent owes the answer that it came too late. */
  #outgoing(letter: WantedLetter, { mailbox, bytes, startByMs }: FoundLetter): OutgoingLetter {
    // As Murano's engine sends it (section 1.3).
    if (isMuranoQueue(mailbox)) return { id: messageId(letter), body: bytes, contentType: 'text/plain' };
    const outgoing = { id: messageId(letter), body: bytes, headers: { [letterKindHeader]: letter.kind } };
    if (startByMs === undefined) return outgoing;
    const leftMs = Math.max(0, startByMs - this.#options.clock.now());
    const expiresMs = Math.min(leftMs + conductorLimits.latePlanKeptMs.value, conductorLimits.planExpiryMsMax.value);
    return { ...outgoing, expiresMs };
  }

  #afterFailure(letter: WantedLetter, error: unknown): Posting | undefined {
    if (!isMessagingError(error)) throw error;
    const { clock, random, logger, lease } = this.#options;
    const id = messageId(letter);
    const now = clock.monotonicMs();
    const before = this.#attempts.get(id);
    const unroutableSinceMs = error.code === 'UNROUTABLE' ? (before?.unroutableSinceMs ?? now) : undefined;
    // Where there is no mailbox there is no plan in it that a cancel could meet.
    const patienceMs = letter.kind === 'cancel' ? 0 : conductorLimits.unroutablePatienceMs.value;
    if (unroutableSinceMs !== undefined && now - unroutableSinceMs >= patienceMs) {
      return { letter, isStored: false, reason: 'the machine has no mailbox (any more): it was deleted' };
    }
    if (!error.retryable) return { letter, isStored: false, reason: `${error.code}: ${error.message}` };
    const failures = (before?.failures ?? 0) + 1;
    this.#attempts.set(id, { failures, againAtMs: now + retryDelayMs(failures, random), unroutableSinceMs });
    logger.warn('a letter could not be put into its mailbox, trying again', {
      deploymentId: lease.deploymentId,
      letter: id,
      failures,
      error,
    });
    return undefined;
  }
}
