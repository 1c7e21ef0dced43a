import type { Context } from '../context.js';
import type { Db, Work } from '../database/store.js';
import { sendTables } from './sends.js';

export interface FleetMachine {
  readonly id: string;
  readonly mailbox: string;
  readonly joined_at: number | null;
}

/** A plan that is with the broker or the agent, and wanted. */
export interface OpenMuranoPlan {
  readonly planId: string;
  readonly deploymentId: string;
  readonly storedAtMs: number;
  /** When it was first seen to have left the queue. */
  readonly deliveredAtMs: number | null;
}

/** Oldest first; without those of deployments that are over. */
export async function openPlans(db: Db, machineId: string): Promise<readonly OpenMuranoPlan[]> {
  const rows = await db
    .selectFrom('plans')
    .innerJoin('deployments', 'deployments.id', 'plans.deployment_id')
    .select(['plans.plan_id', 'plans.deployment_id', 'plans.stored_at', 'plans.delivered_at'])
    .where('plans.machine_id', '=', machineId)
    .where('plans.outcome', 'is', null)
    .where('deployments.finished_at', 'is', null)
    .where('deployments.cancel_requested_at', 'is', null)
    .where('deployments.superseded_by', 'is', null)
    .orderBy('plans.stored_at')
    .execute();
  return rows.flatMap((row) =>
    row.stored_at === null
      ? []
      : [
          {
            planId: row.plan_id,
            deploymentId: row.deployment_id,
            storedAtMs: row.stored_at,
            deliveredAtMs: row.delivered_at,
          },
        ],
  );
}

/** Plans that may still be in the queue and that nobody wants to run. */
export async function unwantedPlans(db: Db, machineId: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('plans')
    .innerJoin('deployments', 'deployments.id', 'plans.deployment_id')
    .select('plans.plan_id')
    .where('plans.machine_id', '=', machineId)
    .where((either) =>
      either.or([
        either('plans.outcome', 'in', ['cancelled', 'superseded', 'expired', 'replaced']),
        either.and([
          either('plans.outcome', 'is', null),
          either.or([
            either('deployments.finished_at', 'is not', null),
            either('deployments.cancel_requested_at', 'is not', null),
            either('deployments.superseded_by', 'is not', null),
          ]),
        ]),
      ]),
    )
    .execute();
  const ids = rows.map((row) => row.plan_id);
  if (ids.length === 0) return [];
  const settled = await sendTables(db)
    .selectFrom('murano_sends')
    .select('plan_id')
    .where('machine_id', '=', machineId)
    .where('settled_at', 'is not', null)
    .execute();
  const done = new Set(settled.map((row) => row.plan_id));
  return ids.filter((id) => !done.has(id));
}

/**
 * The agent reads its queue: that is its heartbeat. Plans that left the queue are delivered; which of them runs it does
 * not tell.
 */
export async function noteContact(
  work: Work,
  contact: {
    readonly context: Context;
    readonly machine: FleetMachine;
    readonly nowMs: number;
    readonly taken: readonly OpenMuranoPlan[];
  },
): Promise<void> {
  const { context, machine, nowMs, taken } = contact;
  const first = machine.joined_at === null ? { joined_at: nowMs, enrolment: 1, agent_version: 'murano-agent' } : {};
  await work.db
    .updateTable('machines')
    .set({ ...first, last_heartbeat_at: nowMs, contact_at: nowMs })
    .where('id', '=', machine.id)
    .execute();
  for (const { planId, deploymentId } of taken) {
    await work.db.updateTable('plans').set({ proof_at: nowMs }).where('plan_id', '=', planId).execute();
    const moved = await work.db
      .updateTable('plans')
      .set({ state: 'delivered', since: nowMs, delivered_at: nowMs })
      .where('plan_id', '=', planId)
      .where('state', '=', 'stored')
      .returning('plan_id')
      .executeTakeFirst();
    if (moved !== undefined)
      work.afterCommit(() => context.notices.tell({ type: 'plans', deploymentId, planIds: [planId] }));
  }
}
