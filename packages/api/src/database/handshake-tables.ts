import type { Generated } from 'kysely';

export interface KeptMailboxTable {
  readonly name: string;
}

/** A letter that waits here for its reader to say that it runs; gone when the reader has settled it. */
export interface KeptLetterTable {
  /** The order in which readers get them. */
  readonly id: Generated<number>;
  readonly mailbox: string;
  readonly letter_id: string;
  readonly content_type: string | null;
  /** JSON. */
  readonly headers: string;
  readonly body: Uint8Array;
  readonly expires_at: number | null;
  /** 1 when a reader may have seen it. */
  readonly is_handed_out: Generated<number>;
  readonly created_at: number;
}
