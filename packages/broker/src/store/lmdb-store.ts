import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { StoreDamage } from './message-store.js';
import { sealedText, unsealed } from './sealed-value.js';
import type { MessagePlace, MessageStore, StoreOperation } from './message-store.js';

const keyBytes = 12;
const uint32 = 2 ** 32;

/**
 * The store on LMDB: a B-tree of messages keyed by queue and position, and one of declarations. Every value begins with
 * a checksum. With overlapping sync off, the promise of a write means that it is synced.
 */
export class LmdbStore implements MessageStore {
  readonly isDurable = true;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #messages: Database<Buffer, Buffer>;
  readonly #entities: Database<Buffer, string>;
  #closing: Promise<void> | undefined;

  /** @param file - path of the database file; made when it is missing. */
  constructor(file: string) {
    this.#root = open<Buffer, Buffer>({
      path: file,
      noSubdir: true,
      overlappingSync: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: 4,
      cache: false,
    });
    this.#messages = this.#root.openDB<Buffer, Buffer>({
      name: 'messages',
      encoding: 'binary',
      keyEncoding: 'binary',
      cache: false,
    });
    this.#entities = this.#root.openDB<Buffer, string>({ name: 'entities', encoding: 'binary', cache: false });
  }

  /** All writes made in one turn of the event loop become one transaction, which this waits for. */
  async commit(operations: readonly StoreOperation[]): Promise<void> {
    await Promise.all(operations.map((operation) => this.#write(operation)));
  }

  read(place: MessagePlace): Buffer | undefined {
    const value = this.#messages.get(keyOf(place));
    return value === undefined ? undefined : unsealed(value, `message ${nameOf(place)}`);
  }

  *entities(): Iterable<{ readonly key: string; readonly value: string }> {
    for (const { key, value } of this.#entities.getRange()) {
      yield { key, value: unsealed(value, `declaration ${key}`).toString('utf8') };
    }
  }

  *messages(): Iterable<{ readonly place: MessagePlace; readonly value: Buffer }> {
    for (const { key, value } of this.#messages.getRange()) {
      const place = placeOf(key);
      yield { place, value: unsealed(value, `message ${nameOf(place)}`) };
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#root.close();
    return this.#closing;
  }

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

function keyOf(place: MessagePlace): Buffer {
  const key = Buffer.allocUnsafe(keyBytes);
  key.writeUInt32BE(place.queue, 0);
  key.writeUInt32BE(Math.floor(place.position / uint32), 4);
  key.writeUInt32BE(place.position % uint32, 8);
  return key;
}

function placeOf(key: Buffer): MessagePlace {
  if (key.length !== keyBytes) throw new StoreDamage('message index', `a key has ${key.length} bytes`);
  return { queue: key.readUInt32BE(0), position: key.readUInt32BE(4) * uint32 + key.readUInt32BE(8) };
}

function nameOf(place: MessagePlace): string {
  return `${place.position} of queue number ${place.queue}`;
}
