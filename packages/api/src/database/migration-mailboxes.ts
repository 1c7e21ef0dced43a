import type { Kysely } from 'kysely';
import { addColumns, createTable, unique } from './make-tables.js';

/** Ends of mailboxes, what is told about them, messages that could not be handled, and where cut outputs end. */
export async function mailboxes(db: Kysely<unknown>): Promise<void> {
  for (const [table, columns] of Object.entries(tables)) await createTable(db, table, columns);
  await unique(db, 'mailbox_letters', ['mailbox', 'letter_id']);
  await unique(db, 'redeliveries', ['mailbox', 'letter_id']);
  await db.schema.createIndex('mailbox_ends_state').on('mailbox_ends').column('state').execute();
  await db.schema.createIndex('dead_letters_machine').on('dead_letters').column('machine_id').execute();
  await addColumns(db, 'outputs', 'cut_sequence:int?');
  await db.schema.createIndex('outputs_cut').on('outputs').column('cut_sequence').execute();
}

const tables: Readonly<Record<string, string>> = {
  mailbox_ends:
    'mailbox:id machine_id:text machine_name:text environment_id:text environment_name:text reason:text state:text ' +
    'is_reopening:count lifetime_ms:int last_contact_at:int? began_at:int closed_at:int? settle_at:int',
  mailbox_letters:
    'mailbox:text letter_id:text kind:text plan_id:text? bytes:int is_in_broker:count is_redelivered:count body:bytes?',
  redeliveries: 'id:serial mailbox:text letter_id:text kind:text body:bytes created_at:int',
  events: 'id:serial event_id:text type:text payload:text created_at:int',
  message_attempts: 'id:id attempts:int is_survived:count last_at:int',
  dead_letters:
    'id:id queue:text message_id:text? exchange:text routing_key:text machine_id:text? content_type:text? ' +
    'headers:text body:bytes bytes:int is_whole:int reason:text attempts:int at:int',
};
