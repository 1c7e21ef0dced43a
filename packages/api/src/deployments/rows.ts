import type { Db } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import { parseModel } from './model.js';
import type { StoredModel } from './model.js';

/** Everything but the model, which may hold thousands of machines. */
export const deploymentColumns: readonly (keyof DeploymentRow)[] = [
  'id',
  'environment_id',
  'environment_name',
  'session_id',
  'action',
  'state',
  'reason',
  'epoch',
  'length',
  'is_parked',
  'lease_holder',
  'lease_nonce',
  'accepted_at',
  'finished_at',
  'start_by_at',
  'supersedes',
  'superseded_by',
  'cancel_requested_at',
  'vanished',
  'output_dropped_at',
  'history_dropped_at',
];

export async function deploymentRow(db: Db, id: string): Promise<DeploymentRow | undefined> {
  return db.selectFrom('deployments').select(deploymentColumns).where('id', '=', id).executeTakeFirst();
}

/** What a deployment works on. */
export async function loadModel(db: Db, id: string): Promise<StoredModel> {
  const row = await db.selectFrom('deployments').select('model').where('id', '=', id).executeTakeFirstOrThrow();
  return parseModel(row.model);
}
