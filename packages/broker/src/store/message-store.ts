/** A place of a message on disk: the queue's number and the message's place in it. */
export interface MessagePlace {
  /** Number of the queue, 0 to 2^32-1; never used again for another queue. */
  readonly queue: number;
  /** Place in the queue, counting up from 1; the order of delivery. */
  readonly position: number;
}

/** One change. Changes of one commit happen together or not at all. */
export type StoreOperation =
  /** `value` is sealed (see `sealed-value.ts`), so that a copy for each queue can share its bytes. */
  | { readonly kind: 'put-message'; readonly place: MessagePlace; readonly value: Buffer }
  | { readonly kind: 'delete-message'; readonly place: MessagePlace }
  /** A declaration: a user, a queue, a binding, … `key` names it, `value` is JSON. */
  | { readonly kind: 'put-entity'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete-entity'; readonly key: string };

/**
 * Where declarations, messages and acknowledgements are kept: one log of transactions. The broker calls `commit` with
 * the next batch only after the one before has settled.
 */
export interface MessageStore {
  /** Whether what was committed survives kill -9 and loss of power. */
  readonly isDurable: boolean;
  /**
   * Applies all changes in their order as one transaction. Resolves when they are synced to disk. Rejects with `StoreFull`
   * when there was no room: then nothing of it happened, and the store goes on. Any other rejection is fatal for the
   * broker: nobody knows any more what the disk holds, so a sync is never tried again.
   */
  commit(operations: readonly StoreOperation[]): Promise<void>;
  /** The value of one committed message, without its checksum. @throws StoreDamage when its checksum does not hold. */
  read(place: MessagePlace): Buffer | undefined;
  /** Every committed declaration, in the order of keys. @throws StoreDamage. */
  entities(): Iterable<{ readonly key: string; readonly value: string }>;
  /**
   * Every committed message, without its checksum, by queue and position. A value holds until the next one is asked for.
   * @throws StoreDamage.
   */
  messages(): Iterable<{ readonly place: MessagePlace; readonly value: Buffer }>;
  /** Waits for a running commit and lets go of the files. Safe to call twice. */
  close(): Promise<void>;
}

/** There was no room on the disk for a transaction. It was aborted as a whole: the store holds what it held before. */
export class StoreFull extends Error {
  readonly code = 'STORE_FULL';

  constructor(cause?: unknown) {
    super('the disk has no room for the transaction', { cause });
    this.name = 'StoreFull';
  }
}

/**
 * A stored value is not what was written. The broker stops and names the place: a damaged record is reported, never
 * served and never cut off in silence.
 */
export class StoreDamage extends Error {
  readonly code = 'STORE_DAMAGED';

  constructor(where: string, why: string) {
    super(`the stored ${where} is damaged: ${why}`);
    this.name = 'StoreDamage';
  }
}
