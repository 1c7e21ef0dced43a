import { link, mkdir, open, readFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeFileDurably } from './files-sync.js';
import { encodeRecord, scanRecords, type Scan } from './journal-format.js';
import { agentLimits } from './limits.js';
import { PlanBook } from './book.js';
import type { JournalRecord } from './records.js';
import { announce } from './points.js';

const noBytes: Uint8Array = new Uint8Array();

interface Waiting {
  readonly record: JournalRecord;
  readonly attachment: Uint8Array;
  readonly isSynced: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What opening found besides good records. */
export type JournalFinding =
  | { readonly code: 'TAIL_CUT'; readonly bytes: number }
  /** The damaged file was kept under this name; plans that were open are ended as interrupted. */
  | { readonly code: 'JOURNAL_DAMAGED'; readonly quarantine: string; readonly plansEnded: number };

/**
 * The agent's memory: append-only, and `book` is what it says. A promise of `write` resolves when the record is on disk
 * and folded into the book, in the order of the calls; records that wait together share one sync. After a failed write
 * or sync the journal is closed for good: nobody can tell what the disk holds.
 */
export class Journal {
  readonly book: PlanBook = new PlanBook();
  readonly #file: string;
  #handle: FileHandle;
  #sequence = 0;
  #bytes = 0;
  #compactAtBytes = agentLimits.journalCompactBytes.value;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #failure: unknown;
  readonly #onFailure: (error: unknown) => void;

  private constructor(file: string, handle: FileHandle, onFailure: (error: unknown) => void) {
    this.#file = file;
    this.#handle = handle;
    this.#onFailure = onFailure;
  }

  /**
   * Opens the journal in `folder`, and makes it where there is none.
   * @param options.onFailure - called once, when a write or sync failed and the agent has to end.
   */
  static async open(
    folder: string,
    options: { readonly nowMs: number; readonly onFailure: (error: unknown) => void },
  ): Promise<{ readonly journal: Journal; readonly finding: JournalFinding | undefined }> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = path.join(folder, 'journal.log');
    const bytes = await readFile(file).catch(emptyWhenAbsent);
    const scan = scanRecords(bytes);
    if (scan.state === 'damaged') return Journal.#recover(file, scan, options);
    const handle = await open(file, 'a', 0o600);
    await syncFolder(folder);
    const journal = new Journal(file, handle, options.onFailure);
    journal.#replay(scan);
    if (scan.state === 'tornTail') await journal.#cut(scan.goodBytes);
    if (journal.#bytes > journal.#compactAtBytes) await journal.#compact();
    const cutBytes = bytes.length - scan.goodBytes;
    return { journal, finding: cutBytes > 0 ? { code: 'TAIL_CUT', bytes: cutBytes } : undefined };
  }

  /** Keeps the damaged file, and goes on with what is good in it; what was open may have lost a record, so it ends. */
  static async #recover(
    file: string,
    scan: Scan,
    options: { readonly nowMs: number; readonly onFailure: (error: unknown) => void },
  ): Promise<{ readonly journal: Journal; readonly finding: JournalFinding }> {
    const quarantine = `${file}.damaged-${new Date(options.nowMs).toISOString().replaceAll(':', '')}`;
    const journal = new Journal(file, await open(file, 'r'), options.onFailure);
    journal.#replay(scan);
    const unfinished = journal.book.open();
    for (const { received } of unfinished) journal.book.apply(endedByDamage(received, options.nowMs), noBytes);
    await link(file, quarantine);
    await journal.#compact();
    return { journal, finding: { code: 'JOURNAL_DAMAGED', quarantine, plansEnded: unfinished.length } };
  }

  /** False after a failure or `close`. */
  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /** Resolves when the record is durable (`sync: false`: written). Rejects when the journal failed or is closed. */
  write(
    record: JournalRecord,
    options: { readonly attachment?: Uint8Array; readonly sync?: boolean; readonly mayRefuse?: boolean } = {},
  ): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure as Error);
    return new Promise((resolve, reject) => {
      const { attachment = noBytes, sync: isSynced = true } = options;
      this.#waiting.push({ record, attachment, isSynced, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Waits for what is being written, then takes nothing more. */
  async close(): Promise<void> {
    await this.#flushing;
    this.#failure ??= new Error('the journal is closed');
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    // Lets everything that is written in this turn share the sync.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        await this.#writeBatch(batch);
      } catch (error) {
        this.#fail(error, batch);
      }
    }
    this.#flushing = undefined;
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    const sequence = this.#sequence;
    const parts = batch.map((waiting, index) =>
      encodeRecord(sequence + index + 1, JSON.stringify(waiting.record), waiting.attachment),
    );
    const bytes = Buffer.concat(parts);
    await this.#handle.appendFile(bytes);
    if (batch.some((waiting) => waiting.isSynced)) await this.#handle.datasync();
    this.#sequence += batch.length;
    this.#bytes += bytes.length;
    for (const { record, attachment, resolve } of batch) {
      this.book.apply(record, attachment);
      if (record.type !== 'outputSent' && record.type !== 'outputSending')
        announce('journalled', { record: record.type, planId: record.planId });
      resolve();
    }
    if (this.#bytes > this.#compactAtBytes) await this.#compact();
  }

  #fail(error: unknown, batch: readonly Waiting[]): void {
    const isFirst = this.#failure === undefined;
    this.#failure ??= error;
    for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(error);
    if (isFirst) this.#onFailure(error);
  }

  #replay(scan: Scan): void {
    for (const { json, attachment } of scan.records) {
      this.book.apply(JSON.parse(json) as JournalRecord, Uint8Array.from(attachment));
    }
    this.#sequence = scan.records.at(-1)?.sequence ?? 0;
    this.#bytes = scan.goodBytes;
  }

  async #cut(goodBytes: number): Promise<void> {
    await this.#handle.truncate(goodBytes);
    await this.#handle.sync();
  }

  /** Writes the file anew with what is still needed. A crash leaves the old file or the new one. */
  async #compact(): Promise<void> {
    const parts: Buffer[] = [];
    for (const { record, attachment } of this.book.records()) {
      parts.push(encodeRecord(parts.length + 1, JSON.stringify(record), attachment));
    }
    const bytes = Buffer.concat(parts);
    await writeFileDurably(this.#file, bytes, 0o600);
    await this.#handle.close();
    this.#handle = await open(this.#file, 'a', 0o600);
    this.#sequence = parts.length;
    this.#bytes = bytes.length;
    this.#compactAtBytes = Math.max(agentLimits.journalCompactBytes.value, bytes.length * 2);
  }
}

function endedByDamage(received: Extract<JournalRecord, { readonly type: 'received' }>, nowMs: number): JournalRecord {
  const { planId, deploymentId, receivedAtMs } = received;
  const reason = 'the journal of the agent was damaged; what the plan did is not known';
  return {
    type: 'finished',
    planId,
    result: { deploymentId, planId, outcome: 'interrupted', reason, receivedAtMs, finishedAtMs: nowMs, steps: [] },
  };
}

function emptyWhenAbsent(error: unknown): Buffer {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
  throw error;
}
