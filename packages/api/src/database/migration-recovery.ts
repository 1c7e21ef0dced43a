import type { Kysely } from 'kysely';
import { addColumns, createTable } from './make-tables.js';

/** Restoring a backup, and what is past its retention. */
export async function recovery(db: Kysely<unknown>): Promise<void> {
  for (const [table, columns] of Object.entries(addedTables)) await createTable(db, table, columns);
  await addColumns(db, 'deployments', 'output_dropped_at:int? history_dropped_at:int?');
  await db.schema.createIndex('deployments_finished').on('deployments').column('finished_at').execute();
  await db.schema.createIndex('quarantine_deployment').on('quarantine').column('deployment_id').execute();
}

const addedTables: Readonly<Record<string, string>> = {
  restores: 'id:serial restored_at:int made_at:int',
  quarantine: 'plan_id:id deployment_id:text machine_id:text outcome:text body:text received_at:int',
  letters_again: 'plan_id:id',
};
