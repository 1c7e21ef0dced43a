import { sleep, type Clock } from '@torcello/platform';
import { isMessagingError } from '../errors.js';
import type { Transport } from '../transport/transport.js';
import type { MailboxLedger } from './ledger.js';
import { letterOf, type Letter } from './letter.js';

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
  /** What was still in the mailbox; undefined when its reader had it in hand, or it expired there. */
  readonly body: Uint8Array | undefined;
}

export interface ClosingSetting {
  readonly transport: Transport;
  readonly ledger: MailboxLedger;
  readonly clock: Clock;
  readonly name: string;
  readonly reason: string;
  /** How long a letter may have been on its way when the end began. */
  readonly settleMs: number;
}

/**
 * The end of a mailbox. The ledger's list is the inventory; what can still be taken out of the broker adds the bodies.
 * Every step may be done twice, so a closing that was interrupted is simply begun again.
 */
export async function closeMailbox(setting: ClosingSetting): Promise<MailboxEnd> {
  const { transport, ledger, clock, name, reason, settleMs } = setting;
  await ledger.beginClosing(name, reason);
  await sleep(clock, settleMs);
  const left = await takeAll(setting);
  const inventory = await listLetters(setting, left);
  // What was taken stays unsettled until now: an interrupted closing finds it again, and the reader does not.
  await transport.delete({ queue: name });
  for (const letter of left) letter.accept();
  await ledger.remove(name);
  return { name, reason, inventory };
}

async function listLetters(setting: ClosingSetting, left: readonly Letter[]): Promise<readonly InventoryLetter[]> {
  const bodies = new Map(left.map(({ id, body }) => [id, body]));
  const listed = await setting.ledger.letters(setting.name);
  const known = new Set(listed.map(({ id }) => id));
  const unlisted = [...bodies.keys()].filter((id) => !known.has(id));
  return [
    ...listed.map((letter) => ({ ...letter, body: bodies.get(letter.id) })),
    ...unlisted.map((id) => ({ id, storedAtMs: undefined, expiresAtMs: undefined, body: bodies.get(id) })),
  ];
}

async function takeAll(setting: ClosingSetting): Promise<readonly Letter[]> {
  const letters: Letter[] = [];
  try {
    for (;;) {
      const delivery = await setting.transport.get({ queue: setting.name });
      if (delivery === undefined) return letters;
      letters.push(letterOf(delivery));
    }
  } catch (error) {
    if (isMessagingError(error, 'NOT_FOUND')) return letters;
    for (const letter of letters) letter.release();
    throw error;
  }
}
