import path from 'node:path';
import { JournalFullError } from './errors.js';
import { isDiskFull, systemDisk, type JournalDisk, type JournalFile } from './journal-disk.js';
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
  readonly mayRefuse: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What opening found besides good records. */
export type JournalFinding =
  | { readonly code: 'TAIL_CUT'; readonly bytes: number }
  /** The damaged file was kept under this name; plans that were open are ended as interrupted. */
  | { readonly code: 'JOURNAL_DAMAGED'; readonly quarantine: string; readonly plansEnded: number };

export interface JournalOptions {
  readonly nowMs: number;
  /** Called once, when a write or sync failed and the agent has to end. */
  readonly onFailure: (error: unknown) => void;
  /** Called when something waits for room on the disk. */
  readonly onFull?: () => void;
  /** Resolves when it is time to try again; rejects to give up. Default: a full disk is a failed write. */
  readonly waitForRoom?: () => Promise<void>;
  /** Default: the machine's. */
  readonly disk?: JournalDisk;
  /** Default: the limit `journalBytesMax`. */
  readonly bytesMax?: number;
  /** Default: the limit `journalReserveBytes`. */
  readonly reserveBytes?: number;
  /** Default: the limit `journalCompactBytes`. */
  readonly compactBytes?: number;
}

export interface WriteOptions {
  /** Bytes that belong to the record. */
  readonly attachment?: Uint8Array;
  /** False: it need not be durable. Default: true. */
  readonly sync?: boolean;
  /** Rejects with `JournalFullError` when there is no room, instead of waiting for some. Default: false. */
  readonly mayRefuse?: boolean;
}

/**
 * The agent's memory: append-only, and `book` is what it says. A promise of `write` resolves when the record is on disk
 * and folded into the book, in the order of the calls; records that wait together share one sync. After a failed write
 * or sync the journal is closed for good: nobody can tell what the disk holds.
 *
 * A full disk is no failure. What can be refused is; everything else takes the room of a reserve that is kept for it, and
 * then waits for more.
 */
export class Journal {
  readonly book: PlanBook = new PlanBook();
  readonly #file: string;
  readonly #disk: JournalDisk;
  readonly #options: JournalOptions;
  readonly #compactBytes: number;
  readonly #reserveBytes: number;
  #handle: JournalFile;
  #sequence = 0;
  /** The last record that is certainly on disk. */
  #durable = 0;
  #bytes = 0;
  #compactAtBytes: number;
  #compactedBytes = 0;
  #hasReserve = false;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #failure: unknown;

  private constructor(file: string, handle: JournalFile, options: JournalOptions) {
    this.#file = file;
    this.#handle = handle;
    this.#options = options;
    this.#disk = options.disk ?? systemDisk;
    this.#reserveBytes = options.reserveBytes ?? agentLimits.journalReserveBytes.value;
    this.#compactBytes = options.compactBytes ?? agentLimits.journalCompactBytes.value;
    this.#compactAtBytes = this.#compactBytes;
  }

  /** Opens the journal in `folder`, and makes it where there is none. */
  static async open(
    folder: string,
    options: JournalOptions,
  ): Promise<{ readonly journal: Journal; readonly finding: JournalFinding | undefined }> {
    const disk = options.disk ?? systemDisk;
    await disk.makeFolder(folder);
    const file = path.join(folder, 'journal.log');
    const bytes = (await disk.read(file)) ?? Buffer.alloc(0);
    const scan = scanRecords(bytes);
    const handle = await disk.open(file, 'append');
    const journal = new Journal(file, handle, options);
    journal.#replay(scan);
    if (scan.state === 'damaged') return { journal, finding: await journal.#recover() };
    await disk.syncFolder(folder);
    if (scan.state === 'tornTail') await handle.truncate(scan.goodBytes);
    // What a killed agent wrote may be in the system's memory only.
    await handle.sync();
    await journal.#keepReserve();
    if (journal.#bytes > journal.#compactAtBytes) await journal.#compact();
    const cutBytes = bytes.length - scan.goodBytes;
    return { journal, finding: cutBytes > 0 ? { code: 'TAIL_CUT', bytes: cutBytes } : undefined };
  }

  /** Keeps the damaged file, and goes on with what is good in it; what was open may have lost a record, so it ends. */
  async #recover(): Promise<JournalFinding> {
    const { nowMs } = this.#options;
    const quarantine = `${this.#file}.damaged-${new Date(nowMs).toISOString().replaceAll(':', '')}`;
    const unfinished = this.book.open();
    for (const { received } of unfinished) this.book.apply(endedByDamage(received, nowMs), noBytes);
    await this.#disk.link(this.#file, quarantine);
    await this.#rewrite();
    return { code: 'JOURNAL_DAMAGED', quarantine, plansEnded: unfinished.length };
  }

  /** False after a failure or `close`. */
  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /** Resolves when the record is durable (`sync: false`: written). Rejects when the journal failed or is closed. */
  write(record: JournalRecord, options: WriteOptions = {}): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure as Error);
    return new Promise((resolve, reject) => {
      const { attachment = noBytes, sync: isSynced = true, mayRefuse = false } = options;
      this.#waiting.push({ record, attachment, isSynced, mayRefuse, resolve, reject });
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
        await this.#writeBatch(await this.#admit(batch));
      } catch (error) {
        this.#fail(error, batch);
      }
    }
    this.#flushing = undefined;
  }

  async #writeBatch(admitted: readonly Waiting[]): Promise<void> {
    const { batch, bytesWritten } = await this.#append(admitted);
    if (batch.length === 0) return;
    this.#sequence += batch.length;
    this.#bytes += bytesWritten;
    if (batch.some((waiting) => waiting.isSynced)) {
      await this.#handle.sync();
      this.#durable = this.#sequence;
    }
    for (const { record, attachment, resolve } of batch) {
      this.book.apply(record, attachment);
      if (record.type !== 'outputSent' && record.type !== 'outputSending')
        announce('journalled', { record: record.type, planId: record.planId });
      resolve();
    }
    if (this.#bytes > this.#compactAtBytes) await this.#compact();
  }

  /** Turns away what can be refused when there is no room for it within the journal's bound and beside the reserve. */
  async #admit(batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    const wanted = batch.filter(({ mayRefuse }) => mayRefuse);
    if (wanted.length === 0) return batch;
    const size = this.#encode(wanted).length;
    if (!this.#fits(size) && this.#bytes > this.#compactedBytes * 1.1) await this.#compact();
    if (this.#fits(size) && (await this.#keepReserve())) return batch;
    return refuse(batch);
  }

  #fits(size: number): boolean {
    const { bytesMax = agentLimits.journalBytesMax.value } = this.#options;
    return this.#bytes + size + this.#reserveBytes <= bytesMax;
  }

  /** Writes the batch, or what is left of it when the disk is full and something in it can be refused. */
  async #append(
    admitted: readonly Waiting[],
  ): Promise<{ readonly batch: readonly Waiting[]; readonly bytesWritten: number }> {
    let batch = admitted;
    while (batch.length > 0) {
      const bytes = this.#encode(batch);
      try {
        await this.#handle.append(bytes);
        return { batch, bytesWritten: bytes.length };
      } catch (error) {
        const { waitForRoom, onFull } = this.#options;
        if (!isDiskFull(error) || waitForRoom === undefined) throw error;
        await this.#handle.truncate(this.#bytes);
        const kept = refuse(batch);
        if (kept.length === batch.length && !(await this.#useReserve())) {
          onFull?.();
          await waitForRoom();
        }
        batch = kept;
      }
    }
    return { batch, bytesWritten: 0 };
  }

  #encode(batch: readonly Waiting[]): Buffer {
    const first = this.#sequence + 1;
    const parts = batch.map(({ record, attachment }, index) =>
      encodeRecord(first + index, JSON.stringify(record), attachment, this.#durable),
    );
    return Buffer.concat(parts);
  }

  #fail(error: unknown, batch: readonly Waiting[]): void {
    const isFirst = this.#failure === undefined;
    this.#failure ??= error;
    for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(error);
    if (isFirst) this.#options.onFailure(error);
  }

  #replay(scan: Scan): void {
    for (const { json, attachment } of scan.records) {
      this.book.apply(JSON.parse(json) as JournalRecord, Uint8Array.from(attachment));
    }
    this.#sequence = scan.records.at(-1)?.sequence ?? 0;
    this.#durable = this.#sequence;
    this.#bytes = scan.goodBytes;
  }

  /** Writes the file anew with what is still needed; where the disk has no room for that, the old one grows on. */
  async #compact(): Promise<void> {
    try {
      await this.#rewrite();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await this.#disk.remove(this.#temporary);
      this.#compactAtBytes = this.#bytes + this.#compactBytes;
    }
  }

  /** A crash leaves the old file or the new one. */
  async #rewrite(): Promise<void> {
    const parts: Buffer[] = [];
    for (const { record, attachment } of this.book.records()) {
      parts.push(encodeRecord(parts.length + 1, JSON.stringify(record), attachment));
    }
    const bytes = Buffer.concat(parts);
    await this.#writeNew(this.#temporary, bytes);
    await this.#disk.rename(this.#temporary, this.#file);
    await this.#disk.syncFolder(path.dirname(this.#file));
    await this.#handle.close();
    this.#handle = await this.#disk.open(this.#file, 'append');
    this.#sequence = parts.length;
    this.#durable = parts.length;
    this.#bytes = bytes.length;
    this.#compactedBytes = bytes.length;
    this.#compactAtBytes = Math.max(this.#compactBytes, bytes.length * 2);
  }

  get #temporary(): string {
    return `${this.#file}.torcello-new`;
  }

  get #reserve(): string {
    return path.join(path.dirname(this.#file), 'reserve');
  }

  /** Whether the reserve is there, or could be made. */
  async #keepReserve(): Promise<boolean> {
    if (this.#hasReserve || this.#reserveBytes === 0) return true;
    try {
      // One that an earlier agent left is kept: its room might be taken meanwhile.
      const left = await this.#disk.read(this.#reserve);
      if (left?.length !== this.#reserveBytes) await this.#writeNew(this.#reserve, Buffer.alloc(this.#reserveBytes));
      this.#hasReserve = true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await this.#disk.remove(this.#reserve);
    }
    return this.#hasReserve;
  }

  /** Gives its room away. False when it is gone already. */
  async #useReserve(): Promise<boolean> {
    if (!this.#hasReserve) return false;
    this.#hasReserve = false;
    await this.#disk.remove(this.#reserve);
    return true;
  }

  async #writeNew(file: string, bytes: Uint8Array): Promise<void> {
    // What an earlier agent left half-written, or somebody else put there, is neither kept nor followed.
    await this.#disk.remove(file);
    const handle = await this.#disk.open(file, 'new');
    try {
      await handle.append(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** What is left of a batch without the records that can be refused, whose writers are told. */
function refuse(batch: readonly Waiting[]): readonly Waiting[] {
  for (const { mayRefuse, reject } of batch)
    if (mayRefuse) reject(new JournalFullError('the agent has no room to take a plan; free some on the machine'));
  return batch.filter(({ mayRefuse }) => !mayRefuse);
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
