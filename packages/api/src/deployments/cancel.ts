import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import { Refusal } from '../errors.js';
import type { FoldedDeployments } from './folded.js';
import type { History } from './history.js';
import { deploymentRow } from './rows.js';

export const graceMsDefault = 10_000;

/**
 * Asks a deployment to end. The conductor brings a cancel letter to every open plan; where nothing was ever sent out the
 * deployment ends at once. Asked again it changes nothing.
 * @throws Refusal not_found, already_finished.
 */
export async function cancelDeployment(
  parts: { readonly context: Context; readonly history: History; readonly folded: FoldedDeployments },
  order: { readonly deploymentId: string; readonly graceMs: number },
): Promise<void> {
  const { context, history, folded } = parts;
  const { deploymentId, graceMs } = order;
  await context.store.write(async (work) => {
    const row = await deploymentRow(work.db, deploymentId);
    if (row === undefined) throw new Refusal('not_found', `no deployment ${deploymentId}`);
    if (row.finished_at !== null)
      throw new Refusal('already_finished', `deployment ${deploymentId} has ended: ${row.state}`);
    if (row.cancel_requested_at !== null) return;
    const { state } = await folded.at(work.db, row);
    const isUntouched = state.plans.length === 0;
    await history.appendByApi(work, row, [
      { type: 'cancelRequested', graceMs },
      ...(isUntouched ? [{ type: 'finished', result: 'cancelled' } as const] : []),
    ]);
    await writeAudit(context, work, {
      actor: 'admin',
      action: 'deployment.cancelRequested',
      target: deploymentId,
      detail: { graceMs },
    });
  });
}
