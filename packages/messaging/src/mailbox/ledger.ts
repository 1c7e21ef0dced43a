import type { Destination } from '../driver.js';
import type { LetterEnd, ReachedStages } from './letter-stage.js';

/**
 * What a broker cannot tell about a mailbox: who opened and claimed it, how long it lives, when its reader was last heard
 * of, and what became of each letter. In memory and in a file here; a program may keep it in its own database.
 *
 * A ledger stores records and decides nothing. Every record carries a revision that grows by one with each change:
 * `save` and `saveLetter` write only over the revision before, so that several programs may share a ledger. Every promise
 * settles when the fact is as durable as the ledger is. `ledgerConformance` of the testing entry says what a ledger has to
 * do, sentence by sentence.
 */
export interface MailboxLedger {
  find(name: string): Promise<MailboxRecord | undefined>;
  /** Writes the record if revision `record.revision - 1` is what is there (0: nothing); answers whether it did. */
  save(record: MailboxRecord): Promise<boolean>;
  /** Forgets a mailbox. Its letters stay, with their receipts. */
  remove(name: string): Promise<void>;
  /** Letters of a mailbox that have no end, oldest first. */
  letters(name: string): Promise<readonly LetterRecord[]>;
  /** Number and size of the letters of a mailbox that have no end and were not delivered. */
  usage(name: string): Promise<{ readonly letters: number; readonly bytes: number }>;
  findLetter(id: string): Promise<LetterRecord | undefined>;
  /** As `save`. */
  saveLetter(record: LetterRecord): Promise<boolean>;
  /**
   * Names of mailboxes whose end is due at this instant or has begun; ids of letters that were not delivered in time, and
   * of those that ended and whose sender was not told yet.
   */
  due(nowMs: number): Promise<{ readonly mailboxes: readonly string[]; readonly letters: readonly string[] }>;
  /** Forgets letters whose end is older, and whose sender was told. Answers how many. */
  forget(endedBeforeMs: number): Promise<number>;
}

export interface MailboxRecord {
  readonly name: string;
  readonly revision: number;
  readonly openedAtMs: number;
  /** Undefined: it lives until it is closed. */
  readonly lifetimeMs: number | undefined;
  /** What starts its lifetime again. */
  readonly renewedBy: 'reader' | 'nothing';
  readonly lengthMax: number | undefined;
  readonly bytesMax: number | undefined;
  /** Where letters go that nobody read until its end. */
  readonly deadLetter: Destination | undefined;
  /** Its reader's latest contact. */
  readonly contactAtMs: number | undefined;
  /** Set once its end has begun. */
  readonly closingReason: string | undefined;
  /** A token that was given out and not used yet. */
  readonly token: ClaimToken | undefined;
  /** Whoever claimed it last. */
  readonly claim: MailboxClaim | undefined;
}

export interface ClaimToken {
  /** SHA-256 of the token, hexadecimal: a ledger that leaks lets nobody in. */
  readonly hash: string;
  readonly expiresAtMs: number;
}

export interface MailboxClaim {
  readonly mailbox: string;
  readonly owner: string;
  /** Grows with every claim: what carries an older one comes from an owner that was replaced. */
  readonly epoch: number;
  readonly claimedAtMs: number;
  /** Of the token that was used. */
  readonly tokenHash: string;
}

export interface LetterRecord {
  /** One letter in the whole ledger has it. */
  readonly id: string;
  readonly mailbox: string;
  readonly revision: number;
  readonly reached: ReachedStages;
  readonly end: LetterEnd | undefined;
  /** When its reader gave it back, while it waits again. */
  readonly releasedAtMs?: number | undefined;
  /** The handing-out in which its reader has it. */
  readonly heldBy?: string | undefined;
  /** Undefined: as long as its mailbox. */
  readonly expiresAtMs: number | undefined;
  /** Of its body. */
  readonly sizeBytes: number;
  /** SHA-256 of its body, hexadecimal: the same id with another body is another letter. */
  readonly digest: string;
  /** The letter itself, until its end: to put it again, and for the inventory. */
  readonly copy: LetterCopy | undefined;
  /** How often it was put. */
  readonly puts: number;
  /** What its reader has to know to say something about it. */
  readonly token: string;
  readonly supersededBy: string | undefined;
  /** What its reader said with `finished` or `rejected`. */
  readonly outcome: LetterOutcome | undefined;
  /** Where its sender wants to hear of its end. */
  readonly tell: Destination | undefined;
  readonly isTold: boolean;
}

export interface LetterCopy {
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly priority: number | undefined;
}

export interface LetterOutcome {
  /** A word of the reader's own, as `ok` or `failed`. */
  readonly outcome: string | undefined;
  readonly result: Uint8Array | undefined;
}

/** When the end of a mailbox is due; Infinity: never by itself. */
export function endDueAtMs(record: MailboxRecord): number {
  if (record.lifetimeMs === undefined) return Infinity;
  const sinceMs = record.renewedBy === 'reader' ? (record.contactAtMs ?? record.openedAtMs) : record.openedAtMs;
  return sinceMs + record.lifetimeMs;
}
