import type { Context } from '../context.js';
import type { Presence } from '../machines/presence.js';
import { isoTime } from '../times.js';
import { endOfGone } from './abandon.js';
import type { History } from './history.js';
import { deploymentRow } from './rows.js';

/**
 * A destroy does not wait for machines that become lost while it runs: their plans are left alone, as those of machines
 * that were lost before. Nothing else ends because of silence.
 */
export async function leaveLost(parts: {
  readonly context: Context;
  readonly history: History;
  readonly presence: Presence;
}): Promise<void> {
  const { context, history, presence } = parts;
  const rows = await context.store.db
    .selectFrom('plans')
    .innerJoin('deployments', 'deployments.id', 'plans.deployment_id')
    .innerJoin('machines', 'machines.id', 'plans.machine_id')
    .select(['plans.plan_id', 'plans.deployment_id', 'plans.proof_at', 'machines.joined_at', 'last_heartbeat_at'])
    .where('deployments.action', '=', 'destroy')
    .where('deployments.finished_at', 'is', null)
    .where('plans.outcome', 'is', null)
    .execute();
  for (const row of rows) {
    const lastMs = Math.max(row.last_heartbeat_at ?? 0, row.proof_at ?? 0, row.joined_at ?? 0);
    const { state } = presence.judge({ joinedAtMs: row.joined_at, lastHeartbeatAtMs: lastMs });
    if (state !== 'lost') continue;
    await context.store.write(async (work) => {
      const deployment = await deploymentRow(work.db, row.deployment_id);
      const open = await work.db
        .selectFrom('plans')
        .select('plan_id')
        .where('plan_id', '=', row.plan_id)
        .where('outcome', 'is', null)
        .executeTakeFirst();
      if (deployment === undefined || deployment.finished_at !== null || open === undefined) return;
      const reason = `lost, last heard of at ${isoTime(lastMs)}`;
      await history.appendByApi(work, deployment, [endOfGone(deployment, row.plan_id, reason)]);
    });
  }
}
