import type { Destination } from '../driver.js';
import type { Letter, OutgoingLetter, ReportedOutcome, ReportedStage } from './letter.js';
import type { LetterEnding, LetterStage } from './letter-stage.js';

/** Where the reader of a letter says how far it is, and the word that shows that it has read it. */
export interface ReceiptAddress {
  readonly to: Destination;
  readonly token: string;
}

/** What travels: also that a reader gave a letter back, which `release` says by itself. */
export type SaidStage = ReportedStage | 'released';

/** What a reader said of a letter. */
export interface ReceiptReport extends ReportedOutcome {
  readonly letter: string;
  readonly token: string;
  readonly stage: SaidStage;
  /** With `delivered` and `released`: tells one handing-out of the letter from another. */
  readonly hold?: string | undefined;
}

/** What a sender is told of the end of its letter. */
export interface LetterNotice extends ReportedOutcome {
  readonly letter: string;
  readonly mailbox: string;
  readonly how: LetterEnding;
  /** How far it came. */
  readonly stage: LetterStage;
  readonly atMs: number;
  readonly reason: string;
}

const headers = {
  exchange: 'torcello-receipts-exchange',
  key: 'torcello-receipts-key',
  token: 'torcello-letter-token',
} as const;
const receiptType = 'application/vnd.torcello.receipt+json';
const noticeType = 'application/vnd.torcello.notice+json';
const reportedStages: ReadonlySet<unknown> = new Set<SaidStage>([
  'delivered',
  'released',
  'started',
  'finished',
  'rejected',
]);

export function receiptHeaders({ to, token }: ReceiptAddress): Readonly<Record<string, unknown>> {
  return { [headers.exchange]: to.exchange, [headers.key]: to.routingKey, [headers.token]: token };
}

/** Undefined: its sender wants no receipts. */
export function receiptAddressOf(letter: Letter): ReceiptAddress | undefined {
  const [exchange, routingKey, token] = [headers.exchange, headers.key, headers.token].map(
    (name) => letter.headers[name],
  );
  if (typeof exchange !== 'string' || typeof routingKey !== 'string' || typeof token !== 'string') return undefined;
  return { to: { exchange, routingKey }, token };
}

/** The letter in which a report travels; said twice it has the same id. */
export function encodeReport(report: ReceiptReport): OutgoingLetter {
  return { id: `${report.letter}.${report.stage}`, contentType: receiptType, body: encode(report) };
}

/** Undefined when it is none; whoever may write to the mailbox of receipts may have sent it. */
export function decodeReport(letter: Letter): ReceiptReport | undefined {
  const fields = letter.contentType === receiptType ? decode(letter.body) : undefined;
  if (fields === undefined || !reportedStages.has(fields['stage'])) return undefined;
  if (typeof fields['letter'] !== 'string' || typeof fields['token'] !== 'string') return undefined;
  return {
    letter: fields['letter'],
    token: fields['token'],
    stage: fields['stage'] as SaidStage,
    ...(typeof fields['hold'] === 'string' ? { hold: fields['hold'] } : {}),
    ...outcomeOf(fields),
  };
}

export function encodeNotice(notice: LetterNotice): OutgoingLetter {
  return { id: `${notice.letter}.${notice.how}`, contentType: noticeType, body: encode(notice) };
}

/** Undefined when it is none. */
export function decodeNotice(letter: Letter): LetterNotice | undefined {
  const fields = letter.contentType === noticeType ? decode(letter.body) : undefined;
  if (fields === undefined) return undefined;
  const isWhole =
    ['letter', 'mailbox', 'how', 'stage', 'reason'].every((name) => typeof fields[name] === 'string') &&
    typeof fields['atMs'] === 'number';
  return isWhole ? ({ ...fields, ...outcomeOf(fields) } as unknown as LetterNotice) : undefined;
}

function encode(fields: ReportedOutcome): Uint8Array {
  const { result } = fields;
  const text = result === undefined ? undefined : Buffer.from(result).toString('base64');
  return new TextEncoder().encode(JSON.stringify({ ...fields, result: text }));
}

function decode(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const fields: unknown = JSON.parse(new TextDecoder().decode(body));
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function outcomeOf(fields: Readonly<Record<string, unknown>>): ReportedOutcome {
  const { outcome, result } = fields;
  return {
    ...(typeof outcome === 'string' ? { outcome } : {}),
    ...(typeof result === 'string' ? { result: new Uint8Array(Buffer.from(result, 'base64')) } : {}),
  };
}
