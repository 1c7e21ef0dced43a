import { closeSync, fdatasync, fstatSync, openSync, readFileSync, writeSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from '../durable-file.js';
import { headBytes, readHead, readOperations, recordBytes, recordPrefix, writeRecord } from './journal-record.js';
import type { JournalGeneration, RecordHead } from './journal-record.js';
import { StoreDamage } from './message-store.js';
import type { StoreOperation } from './message-store.js';

/** Errors of a write that found no room on the disk. */
const noRoomCodes: ReadonlySet<unknown> = new Set(['ENOSPC', 'EFBIG', 'EDQUOT']);
/** A commit of small changes is never too large: so many bytes for each are always taken. */
const smallChangeBytes = 512;
/** The file grows by so many bytes at once: a sync over bytes that were there before is twice as fast. */
const growthBytes = 512 * 1024;

/**
 * A file to which commits are appended, one after the other, each synced before the next begins; so only the last
 * record can be incomplete. It is emptied by a new generation, which begins again at its start over the old records.
 */
export class Journal {
  readonly #descriptor: number;
  readonly #bytesMax: number;
  readonly #commitBytesMax: number;
  #fileBytes: number;
  #buffer: Buffer = Buffer.alloc(0);
  #generation: JournalGeneration | undefined;
  #sequence = 0;
  #at = 0;
  #hasDropped = false;

  /**
   * @param file - its path; made when it is missing.
   * @param limits - how long it may become, and what one commit of large changes may take of that, in bytes.
   */
  constructor(file: string, limits: { readonly bytesMax: number; readonly commitBytesMax: number }) {
    this.#bytesMax = limits.bytesMax;
    this.#commitBytesMax = limits.commitBytesMax;
    this.#descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#fileBytes = fstatSync(this.#descriptor).size;
    if (this.#fileBytes === 0) syncFolder(dirname(file));
  }

  /** The last commit was not whole when it was read back: nobody was told that it is stored, unless the disk changed it since. */
  get hasDropped(): boolean {
    return this.#hasDropped;
  }

  /** Begins anew: the records so far no longer count. */
  restart(generation: JournalGeneration): void {
    this.#generation = generation;
    this.#sequence = 0;
    this.#at = 0;
  }

  /**
   * The changes of every commit of a generation, in order; undefined is the generation before the first one.
   * @throws StoreDamage for a whole record behind one that is not, and for a journal that belongs to a newer database.
   */
  *replay(generation: JournalGeneration | undefined): Iterable<StoreOperation> {
    const bytes = readFileSync(this.#descriptor);
    const first = readHead(bytes);
    if (first !== undefined && first.generation.number > (generation?.number ?? 0)) {
      throw new StoreDamage('journal', 'it is newer than the database beside it');
    }
    if (generation === undefined) return;
    let [at, sequence] = [0, 0];
    for (
      let head = first;
      head !== undefined && isNext(head, generation, sequence);
      head = readHead(bytes.subarray(at))
    ) {
      yield* readOperations(bytes.subarray(at + headBytes, at + headBytes + head.length));
      at += headBytes + head.length;
      sequence++;
    }
    if (isFollowed(bytes, at, { generation, sequence })) {
      throw new StoreDamage('journal', `commit ${sequence} is not whole, and others follow it`);
    }
    this.#hasDropped = bytes.subarray(at).indexOf(recordPrefix(generation)) === 0;
  }

  /**
   * Appends one commit. Resolves with true when it is synced; with false, as if nothing had happened, when it is too large
   * or the journal or the disk has no room for it. Rejects with the system's error: then nobody knows what the disk holds.
   */
  async append(operations: readonly StoreOperation[]): Promise<boolean> {
    const generation = this.#generation;
    const length = recordBytes(operations);
    const most = Math.max(this.#commitBytesMax, smallChangeBytes * operations.length);
    if (generation === undefined || length > most || this.#at + length > this.#bytesMax) return false;
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#buffer.length));
    const record = writeRecord(this.#buffer, { generation, sequence: this.#sequence }, operations);
    if (!this.#write(record, this.#at)) return false;
    this.#grow(this.#at + length);
    await this.#sync();
    this.#at += length;
    this.#sequence++;
    return true;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** False when there was no room. */
  #write(bytes: Buffer, at: number): boolean {
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#descriptor, bytes, done, bytes.length - done, at + done);
      }
      return true;
    } catch (error) {
      if (noRoomCodes.has((error as NodeJS.ErrnoException).code)) return false;
      throw error;
    }
  }

  /** Zeros behind the records, for those to come; without room for them the file grows record by record. */
  #grow(end: number): void {
    if (end <= this.#fileBytes) return;
    const bytes = Math.min(growthBytes, this.#bytesMax - end);
    this.#fileBytes = bytes > 0 && this.#write(Buffer.alloc(bytes), end) ? end + bytes : end;
  }

  #sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#descriptor, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

function isNext(head: RecordHead, { number, salt }: JournalGeneration, sequence: number): boolean {
  return head.generation.number === number && head.generation.salt.equals(salt) && head.sequence === sequence;
}

/** Whether a whole record of the generation lies behind the place where the first one is missing. */
function isFollowed(bytes: Buffer, start: number, { generation, sequence }: Omit<RecordHead, 'length'>): boolean {
  const prefix = recordPrefix(generation);
  for (let at = bytes.indexOf(prefix, start); at >= 0; at = bytes.indexOf(prefix, at + 1)) {
    const head = readHead(bytes.subarray(at));
    if (head !== undefined && head.sequence > sequence) return true;
  }
  return false;
}
