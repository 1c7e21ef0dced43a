import type { Kysely, Migration } from 'kysely';
import { addColumns, createTable, unique } from './make-tables.js';
import { handshake } from './migration-handshake.js';
import { mailboxes } from './migration-mailboxes.js';
import { murano } from './migration-murano.js';
import { recovery } from './migration-recovery.js';
import { tenants } from './migration-tenants.js';

/** Every change of the tables ever released, by name; names sort in the order in which they are applied. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001_start': { up: start },
  '0002_second_thoughts': { up: secondThoughts },
  '0003_recovery': { up: recovery },
  '0004_mailboxes': { up: mailboxes },
  '0005_handshake': { up: handshake },
  '0006_murano': { up: murano },
  '0007_tenants': { up: tenants },
  '0008_output_order': { up: outputOrder },
};

/** Cancel, resume, supersede, timers, repeated requests and the end of output. */
async function secondThoughts(db: Kysely<unknown>): Promise<void> {
  for (const [table, columns] of Object.entries(addedColumns)) await addColumns(db, table, columns);
  for (const [table, columns] of Object.entries(addedTables)) await createTable(db, table, columns);
  await db.schema.createIndex('timers_due').on('timers').column('due_at').execute();
  await db.schema.createIndex('plans_open').on('plans').columns(['outcome', 'deployment_id']).execute();
  await db.schema.createIndex('output_chunks_sequence').on('output_chunks').column('sequence').execute();
}

/** The pieces of a plan's output in the order in which they came, without their bytes. */
async function outputOrder(db: Kysely<unknown>): Promise<void> {
  await db.schema.createIndex('output_chunks_in_order').on('output_chunks').columns(['plan_id', 'sequence']).execute();
}

const addedColumns: Readonly<Record<string, string>> = {
  deployments: 'start_by_at:int? supersedes:text? superseded_by:text? cancel_requested_at:int? vanished:count',
  plans: 'attempt:count is_earlier:count cancel_stored_at:int? stopped:text? start_by_at:int? proof_at:int?',
  machines: 'lifetime_ms:int? mailbox_closed_at:int? contact_at:int?',
  outputs: 'written_bytes:int? sha256:text?',
  output_chunks: 'sequence:count',
};

const addedTables: Readonly<Record<string, string>> = {
  timers: 'id:id kind:text subject:text due_at:int',
  requests: 'key:id digest:text status:int? headers:text? body:text? created_at:int',
};

async function start(db: Kysely<unknown>): Promise<void> {
  for (const [table, columns] of Object.entries(tables)) await createTable(db, table, columns);
  for (const [table, columns] of compositeKeys) await unique(db, table, columns);
  await db.schema.createIndex('sessions_environment').on('sessions').column('environment_id').execute();
  await db.schema.createIndex('deployments_environment').on('deployments').column('environment_id').execute();
  await db.schema
    .createIndex('deployments_unfinished')
    .on('deployments')
    .columns(['finished_at', 'is_parked'])
    .execute();
  await db.schema.createIndex('letters_deployment').on('letters').column('deployment_id').execute();
  await db.schema.createIndex('plans_deployment').on('plans').column('deployment_id').execute();
  await db.schema.createIndex('plans_machine').on('plans').column('machine_id').execute();
  await db.schema.createIndex('reports_deployment').on('reports').column('deployment_id').execute();
  await db.schema.createIndex('outbox_subject').on('outbox').column('subject').execute();
  await db.schema.createIndex('machines_undeclared').on('machines').column('is_mailbox_declared').execute();
}

/** As `createTable` takes them. */
const tables: Readonly<Record<string, string>> = {
  environments:
    'id:id name:text version:int description:text services:text is_deployed:int created_at:int ' + 'updated_at:int',
  sessions: 'id:id environment_id:text state:text version:int services:text created_at:int updated_at:int',
  packages:
    'id:id full_name:text version:text name:text type:text format:text description:text ' +
    'author:text tags:text classes:text digest:text size:int definition:text? is_public:int ' +
    'is_enabled:int created_at:int updated_at:int',
  package_archives: 'package_id:id body:bytes',
  machines:
    'id:id environment_id:text name:text role:text place:int mailbox:text is_mailbox_declared:int ' +
    'created_at:int enrolment:int token_digest:text token_used_by:text? is_token_contested:int ' +
    'public_key:text? hostname:text? agent_version:text? joined_at:int? last_heartbeat_at:int? ' +
    'running_plan:text? notices:text?',
  mailbox_removals: 'mailbox:id machine_id:text due_at:int',
  deployments:
    'id:id environment_id:text environment_name:text session_id:text? action:text model:text ' +
    'state:text reason:text? epoch:int length:int is_parked:int lease_holder:text? ' +
    'lease_nonce:text? accepted_at:int finished_at:int?',
  history: 'deployment_id:text n:int event_id:text epoch:int at:int type:text event:text',
  letters: 'plan_id:id deployment_id:text mailbox:text body:bytes',
  plans:
    'plan_id:id deployment_id:text machine_id:text machine_name:text role:text place:int ' +
    'stage:text state:text step:text? since:int scheduled_at:int stored_at:int? delivered_at:int? ' +
    'started_at:int? finished_at:int? outcome:text? reason:text? sequence:int',
  steps: 'plan_id:text name:text place:int state:text exit_code:int? started_at:int? finished_at:int?',
  outbox:
    'id:serial mailbox:text message_id:text subject:text headers:text body:text expires_ms:int? ' +
    'attempts:count created_at:int',
  inbox: 'plan_id:id body:text received_at:int',
  reports:
    'id:serial message_id:text deployment_id:text level:text text:text entity:text entity_id:text ' + 'created_at:int',
  outputs: 'plan_id:text step:text total_bytes:int chunks:int is_cut:int',
  output_chunks: 'plan_id:text step:text start:int body:bytes',
  audit: 'id:serial at:int actor:text action:text target:text detail:text',
};

const compositeKeys: readonly (readonly [string, readonly string[]])[] = [
  ['environments', ['name']],
  ['packages', ['full_name', 'version']],
  ['machines', ['environment_id', 'name']],
  ['history', ['deployment_id', 'n']],
  ['history', ['deployment_id', 'event_id']],
  ['steps', ['plan_id', 'name']],
  ['reports', ['message_id']],
  ['outputs', ['plan_id', 'step']],
  ['output_chunks', ['plan_id', 'step', 'start']],
];
