import type { Background, Clock, Logger } from '@torcello/platform';
import type { Destination } from '../driver.js';
import { MessagingError } from '../errors.js';
import type { OperationOptions, Transport } from '../transport/transport.js';
import type { MailboxEnd } from './closing.js';
import type { LedgerDesk } from './ledger-desk.js';
import type { LetterRecord } from './ledger.js';
import { stageOf } from './letter-stage.js';
import { publishLetter } from './publish-letter.js';
import { encodeNotice } from './receipt-wire.js';

/** What everything about mailboxes works with. */
export interface Office {
  readonly transport: Transport;
  readonly desk: LedgerDesk | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where readers elsewhere say how far they are. */
  readonly receipts: string | undefined;
  readonly background: Background;
  readonly onEnd: (end: MailboxEnd) => void | Promise<void>;
  readonly onLetter: (record: LetterRecord) => void;
}

/** @throws CAPABILITY_MISSING when there is none. */
export function deskOf(office: Office, what: string): LedgerDesk {
  if (office.desk !== undefined) return office.desk;
  const details = { missing: ['mailbox.lifetime'] };
  throw new MessagingError('CAPABILITY_MISSING', `${what} needs a ledger`, { details });
}

export function destinationOf(to: string | Destination): Destination {
  return typeof to === 'string' ? { exchange: '', routingKey: to } : to;
}

/** Tells the sender of a letter how it ended, if it wants to know; done again it is the same word. */
export async function tellSender(office: Office, id: string, options: OperationOptions = {}): Promise<void> {
  const desk = deskOf(office, 'telling a sender');
  const record = await desk.ledger.findLetter(id);
  if (record?.end === undefined || record.tell === undefined || record.isTold) return;
  const { end, mailbox, reached, outcome } = record;
  const notice = encodeNotice({
    ...end,
    letter: id,
    mailbox,
    stage: stageOf(reached),
    ...(outcome?.outcome === undefined ? {} : { outcome: outcome.outcome }),
    ...(outcome?.result === undefined ? {} : { result: outcome.result }),
  });
  await publishLetter(office.transport, record.tell, notice, options);
  await desk.changeLetter(id, () => ({ isTold: true }));
}

/** As `tellSender`, for those who cannot wait: the next sweep tells those who were not reached. */
export function tellSenderSoon(office: Office, id: string): void {
  office.background.run('telling a sender', () => tellSender(office, id));
}
