import type { DeploymentEvent } from '@torcello/contracts';
import type { Work } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import type { History } from './history.js';
import { deploymentColumns } from './rows.js';

/** Ends a deployment whose environment is dropped: open plans are closed, nothing is undone on the machines. */
export async function abandonDeployment(work: Work, history: History, row: DeploymentRow): Promise<void> {
  const ends = (await openPlans(work, { deploymentId: row.id })).map((planId): DeploymentEvent => ({
    type: 'planEnded',
    planId,
    outcome: 'cancelled',
    reason: 'the environment was abandoned',
  }));
  await history.appendByApi(work, row, [...ends, { type: 'finished', result: 'cancelled' }]);
}

/** Ends the open plans of one machine, also those that a cancelled deployment left behind; answers their ids. */
export async function endPlansOfMachine(
  work: Work,
  history: History,
  end: { readonly machineId: string; readonly outcome: 'cancelled' | 'replaced' | 'expired'; readonly reason: string },
): Promise<readonly string[]> {
  const ended: string[] = [];
  const rows = await work.db
    .selectFrom('deployments')
    .select(deploymentColumns)
    .where('id', 'in', (inner) =>
      inner
        .selectFrom('plans')
        .select('deployment_id')
        .where('machine_id', '=', end.machineId)
        .where('outcome', 'is', null),
    )
    .execute();
  for (const row of rows) {
    const planIds = await openPlans(work, { deploymentId: row.id, machineId: end.machineId });
    const events = planIds.map((planId): DeploymentEvent => ({
      type: 'planEnded',
      planId,
      outcome: end.outcome,
      reason: end.reason,
    }));
    await history.appendByApi(work, row, events);
    ended.push(...planIds);
  }
  return ended;
}

async function openPlans(
  work: Work,
  of: { readonly deploymentId: string; readonly machineId?: string },
): Promise<readonly string[]> {
  const { deploymentId, machineId } = of;
  const rows = await work.db
    .selectFrom('plans')
    .select('plan_id')
    .where('deployment_id', '=', deploymentId)
    .where('outcome', 'is', null)
    .$if(machineId !== undefined, (query) => query.where('machine_id', '=', machineId ?? ''))
    .execute();
  return rows.map((row) => row.plan_id);
}
