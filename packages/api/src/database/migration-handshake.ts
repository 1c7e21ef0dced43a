import type { Kysely } from 'kysely';
import { createTable, unique } from './make-tables.js';

/** Mailboxes that the API keeps itself, where the broker keeps none. */
export async function handshake(db: Kysely<unknown>): Promise<void> {
  await createTable(db, 'kept_mailboxes', 'name:id');
  const columns =
    'id:serial mailbox:text letter_id:text content_type:text? headers:text body:bytes expires_at:int? ' +
    'is_handed_out:count created_at:int';
  await createTable(db, 'kept_letters', columns);
  await unique(db, 'kept_letters', ['mailbox', 'letter_id']);
}
