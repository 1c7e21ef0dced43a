import { sleep } from '@torcello/platform';
import type { Destination } from '../driver.js';
import { isMessagingError } from '../errors.js';
import { limits } from '../limits.js';
import type { LedgerDesk } from './ledger-desk.js';
import type { LetterRecord } from './ledger.js';
import { letterOf, type Letter, type OutgoingLetter } from './letter.js';
import { stageOf, type LetterStage } from './letter-stage.js';
import { deskOf, tellSender, type Office } from './office.js';
import { publishLetter } from './publish-letter.js';

/** How a mailbox ended. */
export interface MailboxEnd {
  readonly name: string;
  readonly reason: string;
  /** Letters that nobody will read any more, oldest first: still in the mailbox, or handed out and never settled. */
  readonly inventory: readonly InventoryLetter[];
}

export interface InventoryLetter {
  readonly id: string;
  /** Undefined when its sender went past the ledger. */
  readonly storedAtMs: number | undefined;
  readonly expiresAtMs: number | undefined;
  /** How far it came; undefined when its sender went past the ledger. */
  readonly stage: LetterStage | undefined;
  /** What was still in the mailbox; undefined when its reader had it in hand, or it expired there. */
  readonly body: Uint8Array | undefined;
}

interface Closing {
  readonly office: Office;
  readonly desk: LedgerDesk;
  readonly name: string;
  readonly reason: string;
  readonly deadLetter: Destination | undefined;
}

/**
 * The end of a mailbox. The ledger's list is the inventory; what can still be taken out of the broker adds the bodies.
 * Every step may be done twice, so a closing that was interrupted is simply begun again.
 */
export async function closeMailbox(office: Office, name: string, wantedReason: string): Promise<MailboxEnd> {
  const desk = deskOf(office, 'closing a mailbox with an inventory');
  const record = await desk.changeMailbox(name, ({ closingReason }) =>
    closingReason === undefined ? { closingReason: wantedReason } : undefined,
  );
  const reason = record?.closingReason ?? wantedReason;
  const closing = { office, desk, name, reason, deadLetter: record?.deadLetter };
  // A letter that was accepted before the end began may be on its way for so long.
  await sleep(office.clock, limits.operationTimeoutMs);
  const left = await takeAll(closing);
  const listed = await desk.ledger.letters(name);
  const end: MailboxEnd = { name, reason, inventory: inventoryOf(listed, left) };
  await deadLetter(closing, listed, left);
  // What was taken stays unsettled until now: an interrupted closing finds it again, and the reader does not.
  await office.transport.delete({ queue: name });
  for (const letter of left) letter.accept();
  for (const letter of listed) await endLetter(closing, letter);
  await office.onEnd(end);
  await desk.ledger.remove(name);
  return end;
}

function inventoryOf(listed: readonly LetterRecord[], left: readonly Letter[]): readonly InventoryLetter[] {
  const bodies = new Map(left.map(({ id, body }) => [id, body]));
  const known = new Set(listed.map(({ id }) => id));
  const unlisted = [...bodies.keys()].filter((id) => !known.has(id));
  return [
    ...listed.map(({ id, reached, expiresAtMs }) => ({
      id,
      storedAtMs: reached.stored,
      expiresAtMs,
      stage: stageOf(reached),
      body: bodies.get(id),
    })),
    ...unlisted.map((id) => ({
      id,
      storedAtMs: undefined,
      expiresAtMs: undefined,
      stage: undefined,
      body: bodies.get(id),
    })),
  ];
}

/** Letters that nobody began go where the mailbox's terms say; twice, when the closing was interrupted. */
async function deadLetter(closing: Closing, listed: readonly LetterRecord[], left: readonly Letter[]): Promise<void> {
  const { office, name, reason, deadLetter: to } = closing;
  if (to === undefined) return;
  const known = new Set(listed.map(({ id }) => id));
  const outgoing: OutgoingLetter[] = [
    ...listed.filter(({ reached }) => reached.started === undefined).flatMap((letter) => copyOf(letter) ?? []),
    ...left.filter(({ id }) => !known.has(id)),
  ];
  for (const letter of outgoing) {
    const headers = { ...letter.headers, 'torcello-mailbox': name, 'torcello-end-reason': reason };
    const { id, body, contentType } = letter;
    const more = contentType === undefined ? {} : { contentType };
    await publishLetter(office.transport, to, { id, body, headers, ...more }, {});
  }
}

function copyOf({ id, copy }: LetterRecord): OutgoingLetter | undefined {
  if (copy === undefined) return undefined;
  const { body, contentType, headers } = copy;
  return { id, body, contentType, headers };
}

/** A sender that cannot be reached now is told by a later sweep. */
async function endLetter({ office, desk, name, reason }: Closing, { id, reached }: LetterRecord): Promise<void> {
  const how = reached.delivered === undefined ? 'unread' : 'inHand';
  const record = await desk.end(id, { how, atMs: office.clock.now(), reason: `mailbox "${name}" ended: ${reason}` });
  if (record !== undefined) office.onLetter(record);
  try {
    await tellSender(office, id);
  } catch (error) {
    office.logger.warn('the sender of a letter could not be told of its end yet', { error, id, mailbox: name });
  }
}

async function takeAll({ office, name }: Closing): Promise<readonly Letter[]> {
  const letters: Letter[] = [];
  try {
    for (;;) {
      const delivery = await office.transport.get({ queue: name });
      if (delivery === undefined) return letters;
      letters.push(letterOf(delivery));
    }
  } catch (error) {
    if (isMessagingError(error, 'NOT_FOUND')) return letters;
    for (const letter of letters) letter.release();
    throw error;
  }
}
