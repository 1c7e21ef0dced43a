import type { MessagePlace, StoreOperation } from './message-store.js';

/** Changes that lie in the journal only, as what they come to: the last one of each message and declaration. */
export class PendingChanges {
  /** By queue and position; undefined for a message that was deleted. */
  readonly #messages = new Map<number, Map<number, Buffer | undefined>>();
  /** Undefined for a declaration that was deleted. */
  readonly #entities = new Map<string, string | undefined>();
  #size = 0;

  /** Changes taken in so far, those included that others made pointless. */
  get size(): number {
    return this.#size;
  }

  add(operation: StoreOperation): void {
    this.#size++;
    switch (operation.kind) {
      case 'put-message':
        return this.#setMessage(operation.place, operation.value);
      case 'delete-message':
        return this.#setMessage(operation.place, undefined);
      case 'put-entity':
        return void this.#entities.set(operation.key, operation.value);
      case 'delete-entity':
        return void this.#entities.set(operation.key, undefined);
    }
  }

  /** The sealed value of a message that was put; `deleted`, or `unknown` when nothing here is about it. */
  message({ queue, position }: MessagePlace): Buffer | 'deleted' | 'unknown' {
    const positions = this.#messages.get(queue);
    if (positions?.has(position) !== true) return 'unknown';
    return positions.get(position) ?? 'deleted';
  }

  /** One change for each message and declaration. */
  *operations(): Iterable<StoreOperation> {
    for (const [key, value] of this.#entities) {
      yield value === undefined ? { kind: 'delete-entity', key } : { kind: 'put-entity', key, value };
    }
    for (const [queue, positions] of this.#messages) {
      for (const [position, value] of positions) {
        const place = { queue, position };
        yield value === undefined ? { kind: 'delete-message', place } : { kind: 'put-message', place, value };
      }
    }
  }

  clear(): void {
    this.#messages.clear();
    this.#entities.clear();
    this.#size = 0;
  }

  #setMessage({ queue, position }: MessagePlace, value: Buffer | undefined): void {
    const positions = this.#messages.get(queue);
    if (positions === undefined) this.#messages.set(queue, new Map([[position, value]]));
    else positions.set(position, value);
  }
}
