import type { Result } from '@torcello/contracts';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Work } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import { removeEnvironment } from '../environments/remove.js';
import { loadModel } from './rows.js';

/** What the end of a deployment does to its row, its session and its environment, in one transaction. */
export async function finishDeployment(
  context: Context,
  work: Work,
  end: { readonly row: DeploymentRow; readonly result: Result; readonly mailboxGraceMs: number },
): Promise<DeploymentRow> {
  const { row, result } = end;
  const now = context.clock.now();
  const changes = { state: result, finished_at: now, is_parked: 0, lease_holder: null, lease_nonce: null };
  await work.db.updateTable('deployments').set(changes).where('id', '=', row.id).execute();
  await work.db.deleteFrom('outbox').where('subject', '=', row.id).execute();
  await endSession(work, row, { result, now });
  await writeAudit(context, work, { actor: 'conductor', action: `deployment.${result}`, target: row.id });
  if (row.action === 'destroy' && result === 'succeeded') {
    await removeEnvironment(context, work, { environmentId: row.environment_id, graceMs: end.mailboxGraceMs });
  } else {
    await updateEnvironment(work, row, now);
  }
  return { ...row, ...changes };
}

async function endSession(
  work: Work,
  row: DeploymentRow,
  end: { readonly result: Result; readonly now: number },
): Promise<void> {
  if (row.session_id === null) return;
  const state = sessionStateAfter(row.action, end.result);
  await work.db.updateTable('sessions').set({ state, updated_at: end.now }).where('id', '=', row.session_id).execute();
}

/** Murano's states of a session. */
function sessionStateAfter(action: 'deploy' | 'destroy', result: Result): string {
  if (result === 'succeeded') return 'deployed';
  return action === 'deploy' ? 'deploy failure' : 'delete failure';
}

/** A failed deployment, too, stores what it tried and makes all other sessions stale (Murano section 2, States). */
async function updateEnvironment(work: Work, row: DeploymentRow, now: number): Promise<void> {
  const services =
    row.action === 'deploy' ? { services: JSON.stringify((await loadModel(work.db, row.id)).objects) } : {};
  await work.db
    .updateTable('environments')
    .set((columns) => ({ ...services, version: columns('version', '+', 1), updated_at: now }))
    .where('id', '=', row.environment_id)
    .execute();
}
