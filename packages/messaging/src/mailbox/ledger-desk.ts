import { MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import type { LetterOutcome, LetterRecord, MailboxLedger, MailboxRecord } from './ledger.js';
import { hasReached, type LetterEnding, type LetterStage } from './letter-stage.js';

/** Changes of a ledger that mean something, each made over whatever others change at the same time. */
export class LedgerDesk {
  readonly ledger: MailboxLedger;

  constructor(ledger: MailboxLedger) {
    this.ledger = ledger;
  }

  /**
   * Changes a mailbox; `edit` answers undefined where nothing is to be done. Answers the record as it is then, or
   * undefined when there is none.
   */
  async changeMailbox(
    name: string,
    edit: (record: MailboxRecord) => Partial<MailboxRecord> | undefined,
  ): Promise<MailboxRecord | undefined> {
    for (let tries = 0; tries < limits.ledgerTriesMax; tries += 1) {
      const record = await this.ledger.find(name);
      const changes = record === undefined ? undefined : edit(record);
      if (record === undefined || changes === undefined) return record;
      const next = { ...record, ...changes, revision: record.revision + 1 };
      if (await this.ledger.save(next)) return next;
    }
    throw contended(`mailbox "${name}"`);
  }

  /** As `changeMailbox`. */
  async changeLetter(
    id: string,
    edit: (record: LetterRecord) => Partial<LetterRecord> | undefined,
  ): Promise<LetterRecord | undefined> {
    for (let tries = 0; tries < limits.ledgerTriesMax; tries += 1) {
      const record = await this.ledger.findLetter(id);
      const changes = record === undefined ? undefined : edit(record);
      if (record === undefined || changes === undefined) return record;
      const next = { ...record, ...changes, revision: record.revision + 1 };
      if (await this.ledger.saveLetter(next)) return next;
    }
    throw contended(`letter "${id}"`);
  }

  /** A stage was reached; the first time counts. */
  reach(id: string, stage: LetterStage, atMs: number): Promise<LetterRecord | undefined> {
    return this.changeLetter(id, ({ reached, releasedAtMs }) => {
      if (reached[stage] !== undefined) return undefined;
      // Who begins with it, has it.
      const isTaken = stage === 'started' && releasedAtMs !== undefined;
      return { reached: { ...reached, [stage]: atMs }, ...(isTaken ? { releasedAtMs: undefined } : {}) };
    });
  }

  /** Its reader has it, for the first time or once more. */
  deliver(id: string, { atMs, hold }: Handing): Promise<LetterRecord | undefined> {
    return this.changeLetter(id, ({ reached, releasedAtMs, heldBy }) => {
      const isNews = reached.delivered === undefined || releasedAtMs !== undefined || heldBy !== hold;
      const delivered = reached.delivered ?? atMs;
      return isNews ? { reached: { ...reached, delivered }, releasedAtMs: undefined, heldBy: hold } : undefined;
    });
  }

  /**
   * Its reader gave it back, unless another one has it by now: it waits again. That it was begun once stays true.
   */
  release(id: string, { atMs, hold }: Handing): Promise<LetterRecord | undefined> {
    return this.changeLetter(id, ({ end, reached, heldBy }) => {
      if (end !== undefined || (heldBy !== undefined && heldBy !== hold)) return undefined;
      const { delivered: _gone, ...waiting } = reached;
      return { reached: reached.started === undefined ? waiting : reached, releasedAtMs: atMs, heldBy: undefined };
    });
  }

  /**
   * Ends a letter, unless it has an end: the first stays. `onlyBefore` says how far it may have come at most; whether it
   * was ended by this is told by its `end`.
   */
  end(id: string, ending: Ending): Promise<LetterRecord | undefined> {
    const { how, atMs, reason, onlyBefore, outcome, supersededBy } = ending;
    return this.changeLetter(id, (record) => {
      if (record.end !== undefined) return undefined;
      if (onlyBefore !== undefined && hasReached(record.reached, onlyBefore)) return undefined;
      const reached =
        how === 'finished' ? { ...record.reached, finished: record.reached.finished ?? atMs } : record.reached;
      const over = { copy: undefined, releasedAtMs: undefined, heldBy: undefined };
      return { reached, end: { how, atMs, reason }, outcome: outcome ?? record.outcome, supersededBy, ...over };
    });
  }
}

/** One handing-out of a letter. */
export interface Handing {
  readonly atMs: number;
  /** Tells it from others of the same letter; undefined: its reader does not say. */
  readonly hold: string | undefined;
}

export interface Ending {
  readonly how: LetterEnding;
  readonly atMs: number;
  readonly reason: string;
  readonly onlyBefore?: LetterStage;
  readonly outcome?: LetterOutcome;
  readonly supersededBy?: string;
}

function contended(what: string): MessagingError {
  const details = { isContended: true, triesMax: limits.ledgerTriesMax };
  return new MessagingError('TIMEOUT', `${what} was changed by others ${limits.ledgerTriesMax} times meanwhile`, {
    details,
  });
}
