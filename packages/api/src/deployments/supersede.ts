import type { DeploymentEvent } from '@torcello/contracts';
import type { Work } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import type { History } from './history.js';

/**
 * Ends the claim to run of older deployments, in the transaction that accepts the newer one. Answers their open plans by
 * machine: the newer plan of a machine names them, and its agent drops those that it has not started.
 */
export async function supersede(
  work: Work,
  history: History,
  take: { readonly by: string; readonly superseded: readonly DeploymentRow[] },
): Promise<Readonly<Record<string, readonly string[]>>> {
  const replaces: Record<string, string[]> = {};
  for (const row of take.superseded) {
    const open = await work.db
      .selectFrom('plans')
      .select(['plan_id', 'machine_id'])
      .where('deployment_id', '=', row.id)
      .where('outcome', 'is', null)
      .execute();
    for (const { plan_id, machine_id } of open) (replaces[machine_id] ??= []).push(plan_id);
    const events: readonly DeploymentEvent[] = [
      { type: 'supersedeRequested', by: take.by },
      // Nothing else is left to decide: a lease holder learns it with its next append.
      { type: 'finished', result: 'superseded' },
    ];
    await history.appendByApi(work, row, row.cancel_requested_at === null ? events : events.slice(0, 1));
  }
  return replaces;
}
