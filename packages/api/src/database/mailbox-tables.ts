import type { Generated, Selectable } from 'kysely';

/** The last end of a mailbox: how far it is, and what is to be known of it afterwards, also without its machine. */
export interface MailboxEndTable {
  readonly mailbox: string;
  readonly machine_id: string;
  readonly machine_name: string;
  readonly environment_id: string;
  readonly environment_name: string;
  /** `lifetime`: nobody read it for so long. `deleted`: somebody asked for it. */
  readonly reason: 'lifetime' | 'deleted';
  /**
   * `closing`: nothing is put into it any more. `closed`: the queue is gone, and what is certain was told. `settled`: no
   * letter can be on its way any more. `reopened`: the machine has a fresh one under the same name.
   */
  readonly state: 'closing' | 'closed' | 'settled' | 'reopened';
  /** 1 when a fresh one is wanted as soon as this one has ended. */
  readonly is_reopening: Generated<number>;
  readonly lifetime_ms: number;
  readonly last_contact_at: number | null;
  readonly began_at: number;
  readonly closed_at: number | null;
  /** From then on no letter is on its way any more. */
  readonly settle_at: number;
}

/** What was in a mailbox when it ended. */
export interface MailboxLetterTable {
  readonly mailbox: string;
  readonly letter_id: string;
  readonly kind: string;
  /** The plan that it is or is about. */
  readonly plan_id: string | null;
  readonly bytes: number;
  /** 1 when it lay in the broker at the end: nobody had taken it. */
  readonly is_in_broker: Generated<number>;
  /** 1 when a reader may have seen it all the same. */
  readonly is_redelivered: Generated<number>;
  /** Null for plans: theirs are in `letters`. */
  readonly body: Uint8Array | null;
}

/** A letter that is to be put into a mailbox once more, under its own id. */
export interface RedeliveryTable {
  readonly id: Generated<number>;
  readonly mailbox: string;
  readonly letter_id: string;
  readonly kind: string;
  readonly body: Uint8Array;
  readonly created_at: number;
}

/** A notification that was decided together with other rows and is still to be confirmed by the broker. */
export interface EventTable {
  readonly id: Generated<number>;
  /** In its payload too: the same event told twice is the same event. */
  readonly event_id: string;
  readonly type: string;
  /** JSON. */
  readonly payload: string;
  readonly created_at: number;
}

/** How often a message was tried that has not been handled yet. */
export interface MessageAttemptTable {
  /** Digest of where it came from and what is in it. */
  readonly id: string;
  readonly attempts: number;
  /** 1 when the last attempt failed in order; 0 when the process may have died of it. */
  readonly is_survived: number;
  readonly last_at: number;
}

/** A message that could not be handled. */
export interface DeadLetterTable {
  readonly id: string;
  readonly queue: string;
  readonly message_id: string | null;
  readonly exchange: string;
  readonly routing_key: string;
  /** Who sent it, as the broker vouches for by the routing key. */
  readonly machine_id: string | null;
  readonly content_type: string | null;
  /** JSON. */
  readonly headers: string;
  readonly body: Uint8Array;
  /** Of the whole message. */
  readonly bytes: number;
  /** 0 when only its beginning is kept. */
  readonly is_whole: number;
  readonly reason: string;
  readonly attempts: number;
  readonly at: number;
}

export type MailboxEndRow = Selectable<MailboxEndTable>;
export type DeadLetterRow = Selectable<DeadLetterTable>;
