import { hexId } from '@torcello/platform';
import { isMessagingError } from '../errors.js';
import type { LedgerDesk } from './ledger-desk.js';
import type { LetterRecord } from './ledger.js';
import type { Letter, LetterDuty, ReportedOutcome } from './letter.js';
import { tellSenderSoon, type Office } from './office.js';
import { publishLetter } from './publish-letter.js';
import { encodeReport, receiptAddressOf, type SaidStage } from './receipt-wire.js';

/** How a reader says how far it is. */
export interface ReportingOptions {
  /**
   * False: nothing is said of letters, whatever they ask for. Default true: where the ledger is this program's own it is
   * written there, else a receipt goes where the letter asks for it.
   */
  readonly receipts?: boolean;
  /**
   * What `accept` means to the sender. Default `finished`: the reader is done with it. `nothing`: the reader took it over
   * and says by `report` what becomes of it.
   */
  readonly acceptMeans?: 'finished' | 'nothing';
}

/** What a reader's letters do besides settling. */
export function reportingDuty(office: Office, options: ReportingOptions): LetterDuty {
  const { receipts = true, acceptMeans = 'finished' } = options;
  const soon = (letter: Letter, stage: SaidStage, hold?: string): void => {
    const isWanted = receipts && (office.desk !== undefined || receiptAddressOf(letter) !== undefined);
    if (isWanted) office.background.run(`a receipt (${stage})`, () => report(office, letter, stage, { hold }));
  };
  // The next reader may say that it has the letter before this one's word of giving it back is read.
  const holds = new WeakMap<Letter, string>();
  return {
    report: async (letter, stage, outcome) => {
      if (receipts) await report(office, letter, stage, outcome);
    },
    onHandedOut: (letter) => {
      const hold = hexId(office.transport.random);
      holds.set(letter, hold);
      soon(letter, 'delivered', hold);
    },
    onAccepted: (letter) => {
      if (acceptMeans === 'finished') soon(letter, 'finished');
    },
    onReleased: (letter) => {
      const hold = holds.get(letter);
      // Never handed out: nobody was told that it was.
      if (hold !== undefined) soon(letter, 'released', hold);
    },
    onRejected: (letter) => soon(letter, 'rejected'),
  };
}

/** Says so in its own ledger, or to whoever the letter names. */
async function report(office: Office, letter: Letter, stage: SaidStage, outcome: HeldOutcome): Promise<void> {
  const { desk, transport } = office;
  if ((await desk?.ledger.findLetter(letter.id)) !== undefined && desk !== undefined) {
    await recordReport({ office, desk, id: letter.id, stage, outcome });
    return;
  }
  const address = receiptAddressOf(letter);
  if (address === undefined) return;
  const said = encodeReport({ letter: letter.id, token: address.token, stage, ...outcome });
  try {
    await publishLetter(transport, address.to, said, {});
  } catch (error) {
    // Nobody collects receipts any more: the reader can do nothing about it.
    if (!isMessagingError(error, 'UNROUTABLE')) throw error;
  }
}

/** With the word that tells one handing-out of a letter from another. */
type HeldOutcome = ReportedOutcome & { readonly hold?: string | undefined };

export interface RecordedReport {
  readonly office: Office;
  readonly desk: LedgerDesk;
  readonly id: string;
  readonly stage: SaidStage;
  readonly outcome: HeldOutcome;
}

/** Writes down what a reader said; said again, late or after the end it changes no end. */
export async function recordReport(said: RecordedReport): Promise<LetterRecord | undefined> {
  const { office, desk, id, stage } = said;
  const atMs = office.clock.now();
  const record = await recordStage(said, stage, atMs);
  if (record === undefined) return undefined;
  await desk.changeMailbox(record.mailbox, ({ contactAtMs }) =>
    contactAtMs !== undefined && contactAtMs >= atMs ? undefined : { contactAtMs: atMs },
  );
  office.onLetter(record);
  if (record.end !== undefined && !record.isTold) tellSenderSoon(office, id);
  return record;
}

function recordStage(said: RecordedReport, stage: SaidStage, atMs: number): Promise<LetterRecord | undefined> {
  const { desk, id, outcome } = said;
  if (stage === 'released') return desk.release(id, { atMs, hold: outcome.hold });
  if (stage === 'delivered') return desk.deliver(id, { atMs, hold: outcome.hold });
  return stage === 'started' ? desk.reach(id, stage, atMs) : end(said, atMs);
}

async function end({ desk, id, stage, outcome }: RecordedReport, atMs: number): Promise<LetterRecord | undefined> {
  const said = outcome.outcome ?? stage;
  const before = await desk.ledger.findLetter(id);
  const how = stage === 'rejected' ? 'rejected' : 'finished';
  const record = await desk.end(id, {
    how,
    atMs,
    reason: `its reader said ${said}`,
    outcome: { outcome: outcome.outcome, result: outcome.result },
  });
  if (before?.end === undefined || stage === 'rejected') return record;
  // It ran after its end: the end stays, and what it came to is kept beside it.
  await desk.reach(id, 'finished', atMs);
  return desk.changeLetter(id, (late) =>
    late.outcome === undefined ? { outcome: { outcome: outcome.outcome, result: outcome.result } } : undefined,
  );
}
