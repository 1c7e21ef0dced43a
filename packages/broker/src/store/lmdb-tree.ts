import { createRequire } from 'node:module';
import type { Database, Key, RootDatabase } from 'lmdb';
import { StoreDamage, StoreFull } from './message-store.js';
import { sealedText, unsealed } from './sealed-value.js';
import type { MessagePlace, StoreOperation } from './message-store.js';

/** The CommonJS build is one file where the other is many, and loads in half the time. */
const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
const keyBytes = 12;
const uint32 = 2 ** 32;
/** ENOSPC, EFBIG and EDQUOT, as LMDB gives them. */
const noRoomCodes: ReadonlySet<unknown> = new Set([28, 27, 122]);
/** EIO: also what LMDB makes of a write that was cut short, which is how a full disk shows itself at first. */
const inputOutputError = 5;
/** Free space below which a write that was cut short counts as one for want of room, in bytes, besides the transaction. */
const roomBytesMin = 1024 * 1024;

/**
 * What lies on disk for long, on LMDB: a B-tree of messages keyed by queue and position, and one of declarations. Every
 * value begins with a checksum. With overlapping sync off, the promise of a write means that it is synced.
 */
export class LmdbTree {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #messages: Database<Buffer, PlaceKey>;
  readonly #entities: Database<Buffer, string>;
  readonly #freeBytes: () => number;

  /**
   * @param file - path of the database file; made when it is missing.
   * @param freeBytes - room on its disk, in bytes. Default: plenty.
   */
  constructor(file: string, freeBytes: () => number = () => Infinity) {
    this.#freeBytes = freeBytes;
    this.#root = open<Buffer, Buffer>({
      path: file,
      noSubdir: true,
      overlappingSync: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: 4,
      cache: false,
    });
    const shape = { encoder: valuesInPlace, keyEncoder: placeKeys };
    this.#messages = this.#root.openDB<Buffer, PlaceKey>({ name: 'messages', cache: false, ...shape });
    this.#entities = this.#root.openDB<Buffer, string>({ name: 'entities', encoding: 'binary', cache: false });
  }

  /**
   * Applies changes as one transaction, as `MessageStore.commit` does. All writes of one turn of the event loop become
   * one. LMDB writes new pages beside the old tree, so that a failed one leaves nothing behind.
   */
  async commit(operations: readonly StoreOperation[]): Promise<void> {
    const writes = new Set(operations.map((operation) => this.#write(operation)));
    setImmediate(() => this.#adopt());
    try {
      await Promise.all(writes);
    } catch (error) {
      throw await this.#judged(error, operations);
    }
  }

  /** The same, while everything else waits: for a start. @throws StoreFull, or the system's error. */
  commitNow(operations: readonly StoreOperation[]): void {
    try {
      this.#root.transactionSync(() => {
        for (const operation of operations) void this.#write(operation);
      });
    } catch (error) {
      throw this.#isNoRoom(error, operations) ? new StoreFull(error) : error;
    }
  }

  async #judged(error: unknown, operations: readonly StoreOperation[]): Promise<unknown> {
    const cause = await causeOf(error);
    return this.#isNoRoom(cause, operations) && this.#isUsable() ? new StoreFull(cause) : cause;
  }

  #isNoRoom(cause: unknown, operations: readonly StoreOperation[]): boolean {
    const { code } = cause as { readonly code?: unknown };
    const bytes = operations.reduce((sum, one) => sum + ('value' in one ? one.value.length : 0), roomBytesMin);
    return noRoomCodes.has(code) || (code === inputOutputError && this.#freeBytes() < 2 * bytes);
  }

  /** When the write that failed was that of the root page, LMDB is done for: the next transaction would never end. */
  #isUsable(): boolean {
    try {
      this.#root.transactionSync(() => undefined);
      return true;
    } catch {
      return false;
    }
  }

  /** As `MessageStore.read`. */
  read(place: MessagePlace): Buffer | undefined {
    const value = this.#messages.get(keyOf(place));
    return value === undefined ? undefined : unsealed(Buffer.from(value), `message ${nameOf(place)}`);
  }

  /** One declaration. @throws StoreDamage. */
  entity(key: string): string | undefined {
    const value = this.#entities.get(key);
    return value === undefined ? undefined : unsealed(value, `declaration ${key}`).toString('utf8');
  }

  /** As `MessageStore.entities`. */
  *entities(): Iterable<{ readonly key: string; readonly value: string }> {
    for (const { key, value } of this.#entities.getRange()) {
      yield { key, value: unsealed(value, `declaration ${key}`).toString('utf8') };
    }
  }

  /** As `MessageStore.messages`. */
  *messages(): Iterable<{ readonly place: MessagePlace; readonly value: Buffer }> {
    for (const { key: place, value } of this.#messages.getRange({ start: keyOf(firstPlace) })) {
      yield { place, value: unsealed(value, () => `message ${nameOf(place)}`) };
    }
  }

  /** Room inside of the file, in bytes: pages of what was deleted, which are used again before the file grows. */
  get reusableBytes(): number {
    const { pageSize, lastPageNumber, free, ...root } = this.#root.getStats() as RootStats;
    const messages = this.#messages.getStats() as TreeStats;
    const entities = this.#entities.getStats() as TreeStats;
    const used = [free, root, messages, entities].reduce((pages, tree) => pages + pagesOf(tree), metaPages);
    return Math.max(0, lastPageNumber + 1 - used) * pageSize;
  }

  close(): Promise<void> {
    return this.#root.close();
  }

  /** LMDB's binding makes one promise more for a transaction, whose failure nobody would see. */
  #adopt(): void {
    this.#root.committed.then(undefined, () => undefined);
  }

  /** The promise is the same for all writes of a transaction, or nearly. */
  #write(operation: StoreOperation): Promise<boolean> {
    switch (operation.kind) {
      case 'put-message':
        return this.#messages.put(keyOf(operation.place), operation.value);
      case 'delete-message':
        return this.#messages.remove(keyOf(operation.place));
      case 'put-entity':
        return this.#entities.put(operation.key, sealedText(operation.value));
      case 'delete-entity':
        return this.#entities.remove(operation.key);
    }
  }
}

/** Pages at the beginning of the file that name the newest tree. */
const metaPages = 2;

interface TreeStats {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/** What LMDB's binding tells without a type. */
interface RootStats extends TreeStats {
  readonly pageSize: number;
  readonly lastPageNumber: number;
  /** The tree of pages that are free. */
  readonly free: TreeStats;
}

function pagesOf({ treeBranchPageCount, treeLeafPageCount, overflowPages }: TreeStats): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}

/** LMDB's binding hides the error of the system in a promise that rejects with it. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { readonly commitError?: Promise<unknown> };
  return commitError === undefined
    ? error
    : commitError.then(
        () => error,
        (cause: unknown) => cause,
      );
}

/** A place is a key as it is; LMDB's binding has no type for the keys of one's own encoder. */
type PlaceKey = MessagePlace & Key;
const keyOf = (place: MessagePlace): PlaceKey => place as PlaceKey;

const firstPlace: MessagePlace = { queue: 0, position: 0 };

/** Keys in the order of queues and positions: three numbers, the highest byte first. */
const placeKeys = {
  writeKey(place: MessagePlace, target: Uint8Array, start: number): number {
    writeUint32(target, start, place.queue);
    writeUint32(target, start + 4, Math.floor(place.position / uint32));
    writeUint32(target, start + 8, place.position % uint32);
    return start + keyBytes;
  },
  readKey(source: Uint8Array, start: number, end: number): MessagePlace {
    if (end - start !== keyBytes) throw new StoreDamage('message index', `a key has ${end - start} bytes`);
    const position = readUint32(source, start + 4) * uint32 + readUint32(source, start + 8);
    return { queue: readUint32(source, start), position };
  },
};

/** Values are read where LMDB's binding has put them, which it uses again for the next one. */
const valuesInPlace = {
  encode: (value: Buffer): Buffer => value,
  decode: (bytes: Buffer, length: number): Buffer => bytes.subarray(0, length),
};

function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

function readUint32(source: Uint8Array, at: number): number {
  const high = ((source[at] ?? 0) << 8) | (source[at + 1] ?? 0);
  const low = ((source[at + 2] ?? 0) << 8) | (source[at + 3] ?? 0);
  return high * 2 ** 16 + low;
}

function nameOf(place: MessagePlace): string {
  return `${place.position} of queue number ${place.queue}`;
}
