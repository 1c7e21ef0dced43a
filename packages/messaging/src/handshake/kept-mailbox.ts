import { Background, type Clock, type Logger } from '@torcello/platform';
import { isMessagingError } from '../errors.js';
import { runInScope } from '../rpc/call-scope.js';
import type { KeptLetter, LetterStore } from './letter-store.js';
import type { Verdict } from './posting.js';

/** A reader that has said that it runs. */
export interface Announcement {
  /** Names who reads for good, whatever process it is. */
  readonly owner: string;
  /** Server name of the process, where it is called. */
  readonly server: string;
  /** Names this one time of reading. */
  readonly consumer: string;
}

export interface KeptMailboxOptions {
  readonly name: string;
  readonly store: LetterStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Calls a reader with a letter; `isLast`: it reads no more after this one. */
  readonly hand: (
    reader: Announcement,
    letter: KeptLetter,
    signal: AbortSignal,
  ) => Promise<{ readonly verdict: Verdict; readonly isLast: boolean }>;
  /** A reader that said nothing for so long is forgotten. */
  readonly silenceMsMax: number;
}

interface Reader extends Announcement {
  heardAtMs: number;
  isServed: boolean;
  isWoken: boolean;
  readonly ending: AbortController;
  /** Resolves when nothing is handed to it just now. */
  serving: Promise<void>;
  /** The same of the reader whose place it took: what that one had in hand comes first. */
  readonly before: Promise<void>;
}

/** One mailbox at its keeper's: each reader that runs is called with one letter at a time, in the order of their arrival. */
export class KeptMailbox {
  readonly #options: KeptMailboxOptions;
  readonly #background: Background;
  readonly #readers = new Map<string, Reader>();
  readonly #inHand = new Set<number>();
  /** Readers take letters one after the other, so that no two get the same. */
  #taking: Promise<unknown> = Promise.resolve();

  constructor(options: KeptMailboxOptions) {
    this.#options = options;
    const { name: mailbox } = options;
    this.#background = new Background((what, error) => options.logger.error(what, { mailbox, error }));
  }

  get readers(): number {
    return this.#readers.size;
  }

  get isIdle(): boolean {
    return this.#readers.size === 0 && this.#inHand.size === 0;
  }

  /** "I am running." Takes the place of whatever the same owner read with before. */
  announce({ owner, server, consumer }: Announcement): void {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#readers.get(owner);
    if (known?.consumer === consumer) known.heardAtMs = nowMs;
    else {
      known?.ending.abort(new Error('another process reads in its place'));
      const rest = { isServed: false, isWoken: false, ending: new AbortController(), serving: Promise.resolve() };
      const before = known?.serving.catch(() => undefined) ?? Promise.resolve();
      this.#readers.set(owner, { owner, server, consumer, heardAtMs: nowMs, before, ...rest });
    }
    this.wake();
  }

  leave({ owner, consumer }: Pick<Announcement, 'owner' | 'consumer'>): void {
    if (this.#readers.get(owner)?.consumer === consumer) this.#readers.delete(owner);
  }

  /** There may be something to hand out. */
  wake(): void {
    this.#forgetSilent(this.#options.clock.monotonicMs());
    for (const reader of this.#readers.values()) {
      reader.isWoken = true;
      if (reader.isServed) continue;
      reader.isServed = true;
      // Whoever brought the news may be in a hurry; the letters are not.
      const scope = { remainingMs: () => undefined, traceparent: undefined };
      reader.serving = runInScope(scope, () => this.#serve(reader));
      this.#background.run('handing out letters failed', () => reader.serving);
    }
  }

  /** The oldest letter that nobody has in hand, for this program itself. */
  take(): Promise<KeptLetter | undefined> {
    const { store, name, clock } = this.#options;
    const taking = this.#taking.then(async () => {
      const letter = await store.next(name, [...this.#inHand], clock.now());
      if (letter !== undefined) this.#inHand.add(letter.sequence);
      return letter;
    });
    this.#taking = taking.catch(() => undefined);
    return taking;
  }

  async settle({ sequence, id }: KeptLetter, verdict: Verdict): Promise<void> {
    const { store, logger, name: mailbox } = this.#options;
    try {
      if (verdict === 'release') await store.markHandedOut(sequence);
      else await store.remove(sequence);
      if (verdict === 'reject') logger.warn('a letter was rejected by its reader and dropped', { mailbox, letter: id });
    } finally {
      this.#inHand.delete(sequence);
    }
    if (verdict === 'release') this.wake();
  }

  /** Calls nobody any more; letters in hand stay in the store. */
  async stop(): Promise<void> {
    for (const reader of this.#readers.values()) reader.ending.abort(new Error('the keeper stops'));
    this.#readers.clear();
    await this.#background.settled();
  }

  async #serve(reader: Reader): Promise<void> {
    try {
      await reader.before;
      while (this.#isThere(reader)) {
        reader.isWoken = false;
        const letter = await this.take();
        if (letter !== undefined) await this.#hand(reader, letter);
        else if (!reader.isWoken) return;
      }
    } finally {
      reader.isServed = false;
    }
  }

  async #hand(reader: Reader, letter: KeptLetter): Promise<void> {
    const { hand, logger, name: mailbox } = this.#options;
    if (!this.#isThere(reader)) return this.#putBack(letter);
    let verdict: Verdict = 'release';
    try {
      const answer = await hand(reader, letter, reader.ending.signal);
      verdict = answer.verdict;
      if (answer.isLast) this.leave(reader);
    } catch (error) {
      this.leave(reader);
      // It may have got the letter; whoever says next that it runs gets it again.
      const isReplaced = reader.ending.signal.aborted || isMessagingError(error, 'CLOSED');
      if (!isReplaced) logger.warn('a reader did not answer', { mailbox, reader: reader.owner, error });
    } finally {
      await this.settle(letter, verdict);
    }
  }

  /** Nobody has seen it. */
  #putBack({ sequence }: KeptLetter): void {
    this.#inHand.delete(sequence);
    this.wake();
  }

  #isThere(reader: Reader): boolean {
    return this.#readers.get(reader.owner) === reader && !reader.ending.signal.aborted;
  }

  #forgetSilent(nowMs: number): void {
    for (const [owner, { heardAtMs, isServed }] of this.#readers) {
      if (!isServed && nowMs - heardAtMs > this.#options.silenceMsMax) this.#readers.delete(owner);
    }
  }
}
