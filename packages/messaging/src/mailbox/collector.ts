import { timingSafeEqual } from 'node:crypto';
import type { Service } from '@torcello/platform';
import { limits } from '../limits.js';
import type { Letter } from './letter.js';
import { deskOf, type Office } from './office.js';
import { readMailbox } from './reading.js';
import { decodeReport, type ReceiptReport } from './receipt-wire.js';
import { recordReport } from './reports.js';

/**
 * Reads the mailbox of receipts and writes into the ledger what readers say. A receipt that does not carry the letter's
 * own token is dropped: only who has read a letter can say something about it.
 */
export class ReceiptCollector implements Service {
  readonly #office: Office;
  readonly #name: string;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(office: Office, name: string) {
    this.#office = office;
    this.#name = name;
  }

  /** Opens the mailbox and reads it. @throws what `open` throws. */
  async start(): Promise<void> {
    const topology = { kind: 'mailbox', source: { queue: this.#name }, reachedBy: [], options: {} } as const;
    await this.#office.transport.ensure(topology);
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const options = { credit: limits.receiptCredit, signal: this.#stopping.signal };
    try {
      for await (const letter of readMailbox(this.#office.transport, this.#name, options)) await this.#take(letter);
    } catch (error) {
      this.#office.logger.error('receipts cannot be read any more', { error, mailbox: this.#name });
    }
  }

  async #take(letter: Letter): Promise<void> {
    const { logger } = this.#office;
    const report = decodeReport(letter);
    try {
      if (report === undefined || !(await this.#isVouchedFor(report))) {
        logger.warn('a receipt of a stranger was dropped', { id: letter.id, userId: letter.userId });
      } else {
        const desk = deskOf(this.#office, 'collecting receipts');
        await recordReport({ office: this.#office, desk, id: report.letter, stage: report.stage, outcome: report });
      }
      letter.accept();
    } catch (error) {
      logger.warn('a receipt could not be written down and is tried again', { error, id: letter.id });
      letter.release();
    }
  }

  async #isVouchedFor({ letter, token }: ReceiptReport): Promise<boolean> {
    const record = await this.#office.desk?.ledger.findLetter(letter);
    if (record === undefined) return false;
    const [given, right] = [Buffer.from(token), Buffer.from(record.token)];
    return given.length === right.length && timingSafeEqual(given, right);
  }
}
