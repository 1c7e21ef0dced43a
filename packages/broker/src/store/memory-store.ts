import { unsealed } from './sealed-value.js';
import type { MessagePlace, MessageStore, StoreOperation } from './message-store.js';

/** What a memory store keeps; handed to a second store it plays the disk of a restarted broker. */
export interface MemoryDisk {
  readonly entities: Map<string, string>;
  readonly messages: Map<string, { readonly place: MessagePlace; readonly value: Buffer }>;
}

/** A disk with nothing on it. */
export function emptyDisk(): MemoryDisk {
  return { entities: new Map(), messages: new Map() };
}

/** A store without a disk: for tests, for single-process use, and as the oracle of the others. Nothing survives. */
export class MemoryStore implements MessageStore {
  readonly isDurable = false;
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk = emptyDisk()) {
    this.#disk = disk;
  }

  commit(operations: readonly StoreOperation[]): Promise<void> {
    for (const operation of operations) this.#apply(operation);
    return Promise.resolve();
  }

  read(place: MessagePlace): Buffer | undefined {
    const value = this.#disk.messages.get(textOf(place))?.value;
    return value === undefined ? undefined : unsealed(value, `message ${textOf(place)}`);
  }

  entities(): Iterable<{ readonly key: string; readonly value: string }> {
    const keys = [...this.#disk.entities.keys()].toSorted();
    return keys.map((key) => ({ key, value: this.#disk.entities.get(key) ?? '' }));
  }

  messages(): Iterable<{ readonly place: MessagePlace; readonly value: Buffer }> {
    const all = [...this.#disk.messages.values()];
    all.sort((a, b) => a.place.queue - b.place.queue || a.place.position - b.place.position);
    return all.map(({ place, value }) => ({ place, value: unsealed(value, `message ${textOf(place)}`) }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #apply(operation: StoreOperation): void {
    const { entities, messages } = this.#disk;
    switch (operation.kind) {
      case 'put-message':
        messages.set(textOf(operation.place), { place: operation.place, value: operation.value });
        break;
      case 'delete-message':
        messages.delete(textOf(operation.place));
        break;
      case 'put-entity':
        entities.set(operation.key, operation.value);
        break;
      case 'delete-entity':
        entities.delete(operation.key);
        break;
    }
  }
}

function textOf(place: MessagePlace): string {
  return `${place.queue}/${place.position}`;
}
