import { createHash } from 'node:crypto';
import { hexId } from '@torcello/platform';
import type { Destination } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import type { OperationOptions } from '../transport/transport.js';
import type { LedgerDesk } from './ledger-desk.js';
import type { LetterRecord, MailboxRecord } from './ledger.js';
import { defaultContentType, type OutgoingLetter, type Receipt, type SupersededLetter } from './letter.js';
import { stageOf } from './letter-stage.js';
import { destinationOf, tellSenderSoon, type Office } from './office.js';
import { publishLetter } from './publish-letter.js';
import { receiptHeaders } from './receipt-wire.js';

/** One letter on its way into a mailbox that the ledger knows. */
export interface Putting {
  readonly office: Office;
  readonly desk: LedgerDesk;
  readonly record: MailboxRecord;
  readonly letter: OutgoingLetter;
  readonly options: OperationOptions;
}

/**
 * Puts a letter with a ledger: written down first, stored second, so that what is stored is always known. A letter that is
 * stored already is not put again.
 * @throws EXPIRED, QUOTA_EXCEEDED, PRECONDITION_FAILED, and what the publish throws.
 */
export async function putRecorded(putting: Putting): Promise<Receipt> {
  const { office, letter, record } = putting;
  refuseAtItsEnd(record);
  const known = await accept(putting);
  const storedAtMs = known.reached.stored ?? (await store(putting, known));
  if (letter.supersedes === undefined) return { id: letter.id, storedAtMs };
  const superseded: SupersededLetter[] = [];
  for (const id of letter.supersedes) superseded.push(await supersede(office, putting.desk, { id, by: letter.id }));
  return { id: letter.id, storedAtMs, superseded };
}

/** Puts a letter once more, byte for byte. @throws EXPIRED when it has ended; NOT_FOUND. */
export async function redeliver(
  office: Office,
  desk: LedgerDesk,
  id: string,
  options: OperationOptions,
): Promise<Receipt> {
  const known = await desk.ledger.findLetter(id);
  if (known === undefined)
    throw new MessagingError('NOT_FOUND', `the ledger knows no letter "${id}"`, { details: { id } });
  if (known.end !== undefined || known.copy === undefined) {
    const details = { id, end: known.end };
    throw new MessagingError('EXPIRED', `letter "${id}" has ended: ${known.end?.reason ?? 'no copy'}`, { details });
  }
  const record = await desk.ledger.find(known.mailbox);
  if (record === undefined)
    throw new MessagingError('NOT_FOUND', `mailbox "${known.mailbox}" is not open`, { details: { id } });
  refuseAtItsEnd(record);
  const { copy, expiresAtMs } = known;
  const leftMs = expiresAtMs === undefined ? undefined : expiresAtMs - office.clock.now();
  if (leftMs !== undefined && leftMs <= 0)
    throw new MessagingError('EXPIRED', `letter "${id}" is past its time`, { details: { id } });
  const letter: OutgoingLetter = {
    id,
    body: copy.body,
    contentType: copy.contentType,
    headers: copy.headers,
    ...(copy.priority === undefined ? {} : { priority: copy.priority }),
    ...(leftMs === undefined ? {} : { expiresMs: leftMs }),
  };
  return { id, storedAtMs: await store({ office, desk, record, letter, options }, known) };
}

/** A refusal of the broker by its right name. */
export function refusal(error: unknown, name: string, lengthMax: number | undefined): unknown {
  if (!isMessagingError(error, 'NOT_CONFIRMED') || lengthMax === undefined) return error;
  return quotaExceeded(name, { lengthMax }, error);
}

function refuseAtItsEnd({ name, closingReason }: MailboxRecord): void {
  if (closingReason === undefined) return;
  const details = { mailbox: name, reason: closingReason };
  throw new MessagingError('EXPIRED', `mailbox "${name}" is at its end: ${closingReason}`, { details });
}

/** Writes the letter down, or finds it written down. */
async function accept({ office, desk, record, letter }: Putting): Promise<LetterRecord> {
  const fresh = freshRecord(office, record, letter);
  for (;;) {
    const known = await desk.ledger.findLetter(letter.id);
    if (known !== undefined) refuseAnother(known, fresh);
    if (known !== undefined && known.end?.how !== 'refused') return known;
    const next = { ...fresh, revision: (known?.revision ?? 0) + 1, puts: known?.puts ?? 0 };
    if (await desk.ledger.saveLetter(next)) {
      await refuseBeyondQuota(desk, record, letter, office);
      return next;
    }
  }
}

function freshRecord(office: Office, { name }: MailboxRecord, letter: OutgoingLetter): LetterRecord {
  const { id, body, contentType = defaultContentType, headers = {}, priority, expiresMs, tell } = letter;
  const nowMs = office.clock.now();
  return {
    id,
    mailbox: name,
    revision: 1,
    reached: { accepted: nowMs },
    end: undefined,
    expiresAtMs: expiresMs === undefined ? undefined : nowMs + expiresMs,
    sizeBytes: body.length,
    digest: createHash('sha256').update(body).digest('hex'),
    copy: { body: new Uint8Array(body), contentType, headers, priority },
    puts: 0,
    token: hexId(office.transport.random),
    supersededBy: undefined,
    outcome: undefined,
    tell: tell === undefined ? undefined : destinationOf(tell),
    isTold: false,
  };
}

function refuseAnother(known: LetterRecord, wanted: LetterRecord): void {
  if (known.mailbox === wanted.mailbox && known.digest === wanted.digest) return;
  const side = ({ mailbox, digest }: LetterRecord): object => ({ mailbox, digest });
  const details = { id: known.id, wanted: side(wanted), found: side(known) };
  throw new MessagingError('PRECONDITION_FAILED', `another letter has the id "${known.id}"`, { details });
}

/** After it was counted in, so that two at once cannot both be the last one. */
async function refuseBeyondQuota(
  desk: LedgerDesk,
  { name, bytesMax }: MailboxRecord,
  letter: OutgoingLetter,
  office: Office,
): Promise<void> {
  if (bytesMax === undefined) return;
  const { bytes } = await desk.ledger.usage(name);
  if (bytes <= bytesMax) return;
  await desk.end(letter.id, { how: 'refused', atMs: office.clock.now(), reason: 'the mailbox is full' });
  throw quotaExceeded(name, { bytesMax, bytes: bytes - letter.body.length, letterBytes: letter.body.length });
}

async function store(putting: Putting, known: LetterRecord): Promise<number> {
  const { office, desk, record, letter, options } = putting;
  const { receipts, clock, transport } = office;
  const asking = receipts === undefined ? {} : receiptHeaders({ to: destinationOf(receipts), token: known.token });
  const asked = { ...letter, headers: { ...asking, ...letter.headers } };
  const to: Destination = { exchange: '', routingKey: record.name };
  try {
    await publishLetter(transport, to, asked, options);
  } catch (error) {
    await noteRefusal(putting, known, error);
    throw refusal(error, record.name, record.lengthMax);
  }
  const storedAtMs = clock.now();
  const stored = await desk.changeLetter(letter.id, ({ reached, puts }) => ({
    reached: { ...reached, stored: reached.stored ?? storedAtMs },
    puts: puts + 1,
  }));
  if (stored !== undefined) office.onLetter(stored);
  return stored?.reached.stored ?? storedAtMs;
}

/** What certainly did not arrive may be put anew; of the rest the ledger still waits to hear. */
async function noteRefusal({ office, desk, letter }: Putting, known: LetterRecord, error: unknown): Promise<void> {
  const mayArrive = !isMessagingError(error) || error.details['mayArrive'] === true || known.puts > 0;
  if (mayArrive) return;
  const reason = error.message;
  await desk.end(letter.id, { how: 'refused', atMs: office.clock.now(), reason, onlyBefore: 'stored' });
}

async function supersede(
  office: Office,
  desk: LedgerDesk,
  { id, by }: { readonly id: string; readonly by: string },
): Promise<SupersededLetter> {
  const reason = `letter "${by}" stands for it`;
  const atMs = office.clock.now();
  const found = await desk.end(id, { how: 'superseded', atMs, reason, onlyBefore: 'started', supersededBy: by });
  if (found === undefined) return { id, verdict: 'unknown', stage: undefined };
  const isSuperseded = found.end?.how === 'superseded' && found.supersededBy === by;
  if (isSuperseded) {
    office.onLetter(found);
    tellSenderSoon(office, id);
  }
  return { id, verdict: isSuperseded ? 'superseded' : 'tooLate', stage: stageOf(found.reached) };
}

function quotaExceeded(name: string, facts: Readonly<Record<string, number>>, cause?: unknown): MessagingError {
  const said = 'lengthMax' in facts ? `${facts['lengthMax']} letters` : `${facts['bytesMax']} bytes`;
  const options = { details: { mailbox: name, ...facts }, ...(cause === undefined ? {} : { cause }) };
  return new MessagingError('QUOTA_EXCEEDED', `mailbox "${name}" holds as much as it may: ${said}`, options);
}
