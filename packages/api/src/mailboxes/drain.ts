import { createHash } from 'node:crypto';
import { isMuranoQueue, letterKindHeader } from '@torcello/contracts';
import { isMessagingError } from '@torcello/messaging';
import type { Delivery, Transport } from '@torcello/messaging';
import type { MailboxLetterTable } from '../database/mailbox-tables.js';
import type { Store } from '../database/store.js';

/** Held at once: written down together before the broker may forget them. */
const lettersPerRound = 100;
const brokerTimeoutMs = 10_000;

/** How a letter stands in the inventory: in our hands, or taken out for good. */
const held = 1;
const taken = 2;

export interface DrainOptions {
  readonly store: Store;
  readonly transport: Transport;
  readonly mailbox: string;
  readonly signal: AbortSignal;
}

/**
 * Takes everything out of a mailbox at the broker and deletes it there. A letter is written down before the broker may
 * forget it; whatever is cut off is simply begun again, and what was in our hands then may have been seen by a reader.
 */
export async function drain(options: DrainOptions): Promise<void> {
  const { store, transport, mailbox, signal } = options;
  await store.write(async ({ db }) => {
    await db
      .updateTable('mailbox_letters')
      .set({ is_redelivered: 1 })
      .where('mailbox', '=', mailbox)
      .where('is_in_broker', '=', held)
      .execute();
  });
  for (;;) {
    const round = await takeRound(options);
    if (round.length === 0) break;
    await writeDown(store, mailbox, round);
    const settled = round.filter((delivery) => delivery.accept());
    if (settled.length < round.length) throw new Error('the link broke while a mailbox was emptied');
    await markTaken(store, mailbox);
  }
  await transport.delete({ queue: mailbox }, { signal, timeoutMs: brokerTimeoutMs });
}

async function takeRound({ transport, mailbox, signal }: DrainOptions): Promise<readonly Delivery[]> {
  const round: Delivery[] = [];
  try {
    while (round.length < lettersPerRound) {
      const delivery = await transport.get({ queue: mailbox }, { signal, timeoutMs: brokerTimeoutMs });
      if (delivery === undefined) break;
      round.push(delivery);
    }
  } catch (error) {
    if (isMessagingError(error, 'NOT_FOUND')) return round;
    for (const delivery of round) delivery.release();
    throw error;
  }
  return round;
}

async function writeDown(store: Store, mailbox: string, round: readonly Delivery[]): Promise<void> {
  await store.write(async ({ db }) => {
    for (const delivery of round) {
      const row = letterRow(mailbox, delivery);
      await db
        .insertInto('mailbox_letters')
        .values(row)
        .onConflict((conflict) =>
          conflict
            .columns(['mailbox', 'letter_id'])
            .doUpdateSet(row.is_redelivered === 1 ? { is_in_broker: held, is_redelivered: 1 } : { is_in_broker: held }),
        )
        .execute();
    }
  });
}

async function markTaken(store: Store, mailbox: string): Promise<void> {
  await store.write(async ({ db }) => {
    await db
      .updateTable('mailbox_letters')
      .set({ is_in_broker: taken })
      .where('mailbox', '=', mailbox)
      .where('is_in_broker', '=', held)
      .execute();
  });
}

type Row = Omit<MailboxLetterTable, 'is_in_broker' | 'is_redelivered'> & {
  readonly is_in_broker: number;
  readonly is_redelivered: number;
};

function letterRow(mailbox: string, delivery: Delivery): Row {
  const { message, redelivered } = delivery;
  // A plan for a real muranoagent carries no header, and counts its sends behind the plan's id.
  const isMurano = isMuranoQueue(mailbox);
  const kind = isMurano ? 'plan' : message.headers[letterKindHeader];
  const letterId = message.properties.messageId ?? `nameless-${digestOf(message.body)}`;
  return {
    mailbox,
    letter_id: letterId,
    kind: typeof kind === 'string' ? kind : 'unknown',
    plan_id: planOf(kind, isMurano ? letterId.slice(0, planIdChars) : letterId),
    bytes: message.body.length,
    is_in_broker: held,
    is_redelivered: redelivered ? 1 : 0,
    body: kind === 'plan' ? null : message.body,
  };
}

function digestOf(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 32);
}

const planIdChars = 32;
const cancelPrefix = 'cancel-';

/** A plan's letter carries the plan's id, its cancel the same behind a prefix. */
function planOf(kind: unknown, letterId: string): string | null {
  if (kind === 'plan') return letterId;
  return kind === 'cancel' && letterId.startsWith(cancelPrefix) ? letterId.slice(cancelPrefix.length) : null;
}
