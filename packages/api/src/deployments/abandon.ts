import { machineKindOf } from '@torcello/contracts';
import type { DeploymentEvent } from '@torcello/contracts';
import type { Work } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import type { History } from './history.js';
import { deploymentColumns } from './rows.js';

/** Ends a deployment whose environment is dropped: open plans are closed, nothing is undone on the machines. */
export async function abandonDeployment(work: Work, history: History, row: DeploymentRow): Promise<void> {
  const ends = (await openPlans(work, { deploymentId: row.id })).map(({ plan_id: planId }): DeploymentEvent => ({
    type: 'planEnded',
    planId,
    outcome: 'cancelled',
    reason: 'the environment was abandoned',
  }));
  await history.appendByApi(work, row, [...ends, { type: 'finished', result: 'cancelled' }]);
}

/** Why a plan of an agent ends that another one took the place of: what it did until then nobody knows. */
export const replacedReason = 'unknown: machine replaced';

/** A plan that was open when its machine came to its end. */
export interface EndedPlan {
  readonly planId: string;
  readonly deploymentId: string;
  readonly stage: string;
  /** What it was before. */
  readonly state: string;
  /** What becomes of it, for people: the agent may go on with what it had taken. */
  readonly becomes: 'neverStarted' | 'unknown';
}

/** Ends the open plans of one machine, also those that a cancelled deployment left behind. */
export async function endPlansOfMachine(
  work: Work,
  history: History,
  end: { readonly machineId: string; readonly outcome: 'cancelled' | 'replaced' | 'expired'; readonly reason: string },
): Promise<readonly EndedPlan[]> {
  const { machineId, outcome, reason } = end;
  const ended: EndedPlan[] = [];
  const rows = await work.db
    .selectFrom('deployments')
    .select(deploymentColumns)
    .where('id', 'in', (inner) =>
      inner
        .selectFrom('plans')
        .select('deployment_id')
        .where('machine_id', '=', machineId)
        .where('outcome', 'is', null),
    )
    .execute();
  for (const row of rows) {
    const plans = await openPlans(work, { deploymentId: row.id, machineId });
    const events = plans.map(({ plan_id: planId }): DeploymentEvent =>
      outcome === 'cancelled' ? endOfGone(row, planId, reason) : { type: 'planEnded', planId, outcome, reason },
    );
    await history.appendByApi(work, row, events);
    ended.push(...plans.map((plan) => viewEnded(row, plan)));
  }
  return ended;
}

/** How a plan ends whose machine is gone: a destroy goes on without it. */
export function endOfGone(row: DeploymentRow, planId: string, reason: string): DeploymentEvent {
  if (row.action === 'destroy') return { type: 'leftAlone', planId, reason: `left alone: ${reason}` };
  return { type: 'planEnded', planId, outcome: 'cancelled', reason };
}

function viewEnded(row: DeploymentRow, plan: OpenPlan): EndedPlan {
  // In its mailbox it can still have been read: only a machine without an agent has certainly not begun.
  const joins = machineKindOf(plan.mailbox ?? '') === 'agent';
  const isUntouched = joins && plan.enrolment === 0 && plan.delivered_at === null;
  const becomes = isUntouched || plan.stored_at === null ? 'neverStarted' : 'unknown';
  return { planId: plan.plan_id, deploymentId: row.id, stage: plan.stage, state: plan.state, becomes };
}

interface OpenPlan {
  readonly plan_id: string;
  readonly stage: string;
  readonly state: string;
  readonly stored_at: number | null;
  readonly delivered_at: number | null;
  readonly enrolment: number | null;
  readonly mailbox: string | null;
}

async function openPlans(
  work: Work,
  of: { readonly deploymentId: string; readonly machineId?: string },
): Promise<readonly OpenPlan[]> {
  const { deploymentId, machineId } = of;
  return work.db
    .selectFrom('plans')
    .leftJoin('machines', 'machines.id', 'plans.machine_id')
    .select(['plan_id', 'stage', 'state', 'stored_at', 'delivered_at', 'machines.enrolment', 'machines.mailbox'])
    .where('deployment_id', '=', deploymentId)
    .where('outcome', 'is', null)
    .$if(machineId !== undefined, (query) => query.where('machine_id', '=', machineId ?? ''))
    .execute();
}
