import { existsSync } from 'node:fs';
import { systemRandom } from '@torcello/platform';
import { defaultLimits } from '../limits.js';
import { Journal } from './journal.js';
import type { JournalGeneration } from './journal-record.js';
import { LmdbTree } from './lmdb-tree.js';
import { StoreDamage, StoreFull } from './message-store.js';
import type { MessagePlace, MessageStore, StoreOperation } from './message-store.js';
import { PendingChanges } from './pending-changes.js';
import { unsealed } from './sealed-value.js';

const MiB = 1024 * 1024;
/** Length of the journal, in bytes, and changes in it; beyond that they go into the tree. */
const journalBytesMax = 4 * MiB;
const journalChangesMax = 5_000;
/** A commit of large messages beyond this goes into the tree at once: writing it twice would cost more than it saves. */
const journalCommitBytesMax = 64 * 1024;
/** Where the tree keeps which generation of the journal counts. */
const generationKey = 'journal';
const saltBytes = 8;

/**
 * The store on disk: a tree (LMDB) for what lies there for long, and before it a journal, which takes a small commit with
 * one sync where the tree needs two. When the journal is full, everything in it goes into the tree as one transaction,
 * which also names the next generation of the journal: its old records count until the very moment that the tree has
 * them. A message that is gone by then never reaches the tree.
 */
export class LmdbStore implements MessageStore {
  readonly isDurable = true;
  readonly #tree: LmdbTree;
  readonly #journal: Journal;
  readonly #pending = new PendingChanges();
  readonly #isLow: () => boolean;
  #generationNumber: number;
  #running: Promise<unknown> = Promise.resolve();
  #hasFailed = false;
  #closing: Promise<void> | undefined;

  /**
   * @param file - path of the database file; made when it is missing. The journal lies beside it, as `FILE.journal`.
   * @param freeBytes - room on its disk, in bytes. Default: plenty.
   * @param lowBytes - with less room than this every commit goes into the tree at once, so that what was deleted makes room.
   * Default: where the broker's publishes wait by default.
   * @throws StoreDamage for a journal that is not what was written; StoreFull when the tree has no room for what is in it.
   */
  constructor(
    file: string,
    freeBytes: () => number = () => Infinity,
    lowBytes: number = defaultLimits.diskFreeBytesMin,
  ) {
    this.#isLow = () => freeBytes() < lowBytes;
    const journalFile = `${file}.journal`;
    const hasJournal = existsSync(journalFile);
    this.#tree = new LmdbTree(file, freeBytes);
    try {
      const generation = this.#readGeneration();
      if (generation !== undefined && !hasJournal) {
        throw new StoreDamage('journal', `${journalFile} is missing, and may have held messages that were confirmed`);
      }
      this.#generationNumber = generation?.number ?? 0;
      this.#journal = new Journal(journalFile, { bytesMax: journalBytesMax, commitBytesMax: journalCommitBytesMax });
      this.#recover(generation);
    } catch (error) {
      void this.#letGo();
      throw error;
    }
  }

  /** A commit under which the broker or the power went away was found half written, and is dropped. */
  get hasDropped(): boolean {
    return this.#journal.hasDropped;
  }

  /** Room inside of the database, in bytes: it never shrinks, and uses what was deleted before it grows. */
  get reusableBytes(): number {
    return this.#tree.reusableBytes;
  }

  commit(operations: readonly StoreOperation[]): Promise<void> {
    const running = this.#commit(operations);
    this.#running = running.catch(() => undefined);
    return running;
  }

  read(place: MessagePlace): Buffer | undefined {
    const value = this.#pending.message(place);
    if (value === 'deleted') return undefined;
    if (value === 'unknown') return this.#tree.read(place);
    return unsealed(value, `message ${place.position} of queue number ${place.queue}`);
  }

  *entities(): Iterable<{ readonly key: string; readonly value: string }> {
    this.#emptyNow();
    for (const entity of this.#tree.entities()) if (entity.key !== generationKey) yield entity;
  }

  messages(): Iterable<{ readonly place: MessagePlace; readonly value: Buffer }> {
    this.#emptyNow();
    return this.#tree.messages();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #commit(operations: readonly StoreOperation[]): Promise<void> {
    try {
      const isForJournal = this.#pending.size + operations.length <= journalChangesMax && !this.#isLow();
      if (isForJournal && (await this.#journal.append(operations))) {
        for (const operation of operations) this.#pending.add(operation);
      } else await this.#intoTree(operations);
    } catch (error) {
      this.#hasFailed ||= !(error instanceof StoreFull);
      throw error;
    }
  }

  /** Everything that the journal holds, and these changes behind it. */
  async #intoTree(operations: readonly StoreOperation[]): Promise<void> {
    const next = this.#nextGeneration();
    await this.#tree.commit([...this.#pending.operations(), ...operations, recordOf(next)]);
    this.#begin(next);
  }

  /** The same, while everything else waits. No commit runs meanwhile. */
  #emptyNow(): void {
    if (this.#pending.size === 0) return;
    const next = this.#nextGeneration();
    this.#tree.commitNow([...this.#pending.operations(), recordOf(next)]);
    this.#begin(next);
  }

  #nextGeneration(): JournalGeneration {
    return { number: this.#generationNumber + 1, salt: Buffer.from(systemRandom.bytes(saltBytes)) };
  }

  #begin(generation: JournalGeneration): void {
    this.#pending.clear();
    this.#generationNumber = generation.number;
    this.#journal.restart(generation);
  }

  /**
   * What the journal holds is written anew, into the tree: after a sync that failed nobody knows whether what can be read
   * there is on the disk.
   */
  #recover(generation: JournalGeneration | undefined): void {
    for (const operation of this.#journal.replay(generation)) this.#pending.add(operation);
    if (this.#pending.size > 0) return this.#emptyNow();
    if (generation !== undefined) return this.#journal.restart(generation);
    const first = this.#nextGeneration();
    this.#tree.commitNow([recordOf(first)]);
    this.#begin(first);
  }

  #readGeneration(): JournalGeneration | undefined {
    const text = this.#tree.entity(generationKey);
    if (text === undefined) return undefined;
    const { number, salt } = JSON.parse(text) as { readonly number?: unknown; readonly salt?: unknown };
    if (typeof number !== 'number' || typeof salt !== 'string') {
      throw new StoreDamage(`declaration ${generationKey}`, 'it names no generation');
    }
    return { number, salt: Buffer.from(salt, 'base64') };
  }

  /** Without room in the tree everything stays in the journal, where the next start finds it. */
  async #close(): Promise<void> {
    await this.#running;
    try {
      if (this.#pending.size > 0 && !this.#hasFailed) await this.#intoTree([]);
    } catch (error) {
      if (!(error instanceof StoreFull)) throw error;
    } finally {
      await this.#letGo();
    }
  }

  #letGo(): Promise<void> {
    this.#journal?.close();
    return this.#tree.close();
  }
}

/** The change of the tree that makes a generation the one that counts. */
function recordOf({ number, salt }: JournalGeneration): StoreOperation {
  return { kind: 'put-entity', key: generationKey, value: JSON.stringify({ number, salt: salt.toString('base64') }) };
}
