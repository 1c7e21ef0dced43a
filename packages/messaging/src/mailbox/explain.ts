import { isMessagingError } from '../errors.js';
import type { LedgerDesk } from './ledger-desk.js';
import { endDueAtMs, type LetterRecord, type MailboxRecord } from './ledger.js';
import { hasReached, stageOf, type LetterEnd, type LetterStage, type ReachedStages } from './letter-stage.js';
import { deskOf, type Office } from './office.js';

/** Why a letter is where it is. */
export interface Explanation {
  readonly id: string;
  readonly state: ExplainedState;
  /** One sentence for people. */
  readonly text: string;
  /** What changes it, for people. */
  readonly next: string;
  readonly mailbox: string | undefined;
  readonly stage: LetterStage | undefined;
  readonly reached: ReachedStages;
  readonly end: LetterEnd | undefined;
  /** Since when it is so, and when that ends by itself at the latest; undefined: nobody knows, or never. */
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  /** Letters that were put before it and wait too. */
  readonly inFront: number | undefined;
  readonly readers: number | undefined;
  readonly readerHeardOfAtMs: number | undefined;
}

/**
 * - `unknown`: the ledger has never heard of it, or has forgotten it.
 * - `notStored`: the broker has not confirmed it yet; whether it has it is not known.
 * - `waitsForReader`: nobody reads its mailbox.
 * - `waitsInLine`: its mailbox is read, and others are in front of it or in hand.
 * - `inHand`: its reader has it and has not begun.
 * - `running`: its reader has begun.
 * - `mailboxEnds`: the end of its mailbox has begun.
 * - `ended`: see `end`.
 */
export type ExplainedState =
  | 'unknown'
  | 'notStored'
  | 'waitsForReader'
  | 'waitsInLine'
  | 'inHand'
  | 'running'
  | 'mailboxEnds'
  | 'ended';

/** Why a letter is where it is, out of the ledger and, where the broker can be asked, of the mailbox itself. */
export async function explainLetter(office: Office, id: string): Promise<Explanation> {
  const desk = deskOf(office, 'explaining a letter');
  const record = await desk.ledger.findLetter(id);
  if (record === undefined) return explainNothing(id);
  const mailbox = await desk.ledger.find(record.mailbox);
  const readers = record.end === undefined ? await readersOf(office, record.mailbox) : undefined;
  const isWaiting = record.end === undefined && !isTaken(record);
  const inFront = isWaiting ? await countInFront(desk, record) : undefined;
  const { state, text, next } = judge(record, mailbox, { readers, inFront });
  return {
    id,
    state,
    text,
    next,
    mailbox: record.mailbox,
    stage: stageOf(record.reached),
    reached: record.reached,
    end: record.end,
    sinceMs: record.end?.atMs ?? record.releasedAtMs ?? record.reached[stageOf(record.reached)],
    untilMs: record.end === undefined ? untilMs(record, mailbox) : undefined,
    inFront,
    readers,
    readerHeardOfAtMs: mailbox?.contactAtMs,
  };
}

interface Facts {
  readonly readers: number | undefined;
  readonly inFront: number | undefined;
}
type Judgement = Pick<Explanation, 'state' | 'text' | 'next'>;

function judge(record: LetterRecord, mailbox: MailboxRecord | undefined, { readers, inFront }: Facts): Judgement {
  const { end, reached, mailbox: name } = record;
  if (end !== undefined) return ended(record, end);
  if (mailbox?.closingReason !== undefined) {
    const text = `the end of mailbox "${name}" has begun: ${mailbox.closingReason}`;
    return { state: 'mailboxEnds', text, next: 'its sender is told as soon as the mailbox is gone' };
  }
  if (reached.started !== undefined && record.releasedAtMs === undefined) {
    return { state: 'running', text: 'its reader has begun', next: 'its reader says what it came to' };
  }
  if (reached.delivered !== undefined && record.releasedAtMs === undefined) {
    const text = 'its reader has it and has not begun';
    return { state: 'inHand', text, next: 'its reader begins; until then it can be superseded or withdrawn' };
  }
  if (reached.stored === undefined) {
    const text = 'the broker has not confirmed it; nobody knows whether it is stored';
    return { state: 'notStored', text, next: 'putting it again, with the same id' };
  }
  return waits(record, mailbox, { readers, inFront });
}

function waits(record: LetterRecord, mailbox: MailboxRecord | undefined, { readers, inFront }: Facts): Judgement {
  const name = record.mailbox;
  const since = releasedText(record);
  if (readers === 0) {
    const heard = mailbox?.contactAtMs === undefined ? 'and nobody ever did' : 'now';
    const text = `${since}it waits in mailbox "${name}", which nobody reads ${heard}`;
    return { state: 'waitsForReader', text, next: 'a reader of the mailbox starts' };
  }
  const text = `${since}it waits in mailbox "${name}" behind ${inFront ?? 'some'} others`;
  return { state: 'waitsInLine', text, next: 'its reader takes those in front of it' };
}

/** It was given back, before the words that it waits. */
function releasedText({ releasedAtMs, reached }: LetterRecord): string {
  if (releasedAtMs === undefined) return '';
  const how = reached.started === undefined ? '' : ', although it had begun';
  return `its reader gave it back at ${new Date(releasedAtMs).toISOString()}${how}; `;
}

function ended({ reached }: LetterRecord, { how, reason, atMs }: LetterEnd): Judgement {
  const later = reached.finished !== undefined && how !== 'finished' ? '; it was run all the same' : '';
  const text = `it ended as ${how} at ${new Date(atMs).toISOString()}: ${reason}${later}`;
  return { state: 'ended', text, next: how === 'refused' ? 'putting it again, with the same id' : 'nothing' };
}

function explainNothing(id: string): Explanation {
  return {
    id,
    state: 'unknown',
    text: `the ledger knows no letter "${id}": it was never put, or forgotten since`,
    next: 'putting it',
    mailbox: undefined,
    stage: undefined,
    reached: {},
    end: undefined,
    sinceMs: undefined,
    untilMs: undefined,
    inFront: undefined,
    readers: undefined,
    readerHeardOfAtMs: undefined,
  };
}

/** Its reader has it. */
function isTaken({ reached, releasedAtMs }: LetterRecord): boolean {
  return releasedAtMs === undefined && hasReached(reached, 'delivered');
}

function untilMs(record: LetterRecord, mailbox: MailboxRecord | undefined): number | undefined {
  const ownMs = isTaken(record) ? Infinity : (record.expiresAtMs ?? Infinity);
  const ms = Math.min(ownMs, mailbox === undefined ? Infinity : endDueAtMs(mailbox));
  return ms === Infinity ? undefined : ms;
}

/** Priorities are not looked at: what came in later may still be read first. */
async function countInFront(desk: LedgerDesk, { mailbox, id }: LetterRecord): Promise<number> {
  const open = await desk.ledger.letters(mailbox);
  const before = open.slice(
    0,
    open.findIndex((letter) => letter.id === id),
  );
  return before.filter((letter) => !isTaken(letter)).length;
}

async function readersOf(office: Office, queue: string): Promise<number | undefined> {
  if (!office.transport.capabilities.inspects) return undefined;
  try {
    return (await office.transport.inspect({ queue })).consumers;
  } catch (error) {
    if (isMessagingError(error)) return error.code === 'NOT_FOUND' ? 0 : undefined;
    throw error;
  }
}
