import type { DeploymentEvent, PlanLetter } from '@torcello/contracts';
import type { Work } from '../database/store.js';
import type { PlanTable } from '../database/tables.js';
import type { StoredModel } from './model.js';

/** Rows in one insert: SQLite bounds the parameters of a statement. */
const rowsPerInsert = 500;

/** Writes the rows that people look at, for events just appended to a history. */
export async function project(
  work: Work,
  news: {
    readonly deploymentId: string;
    readonly model: StoredModel;
    readonly events: readonly DeploymentEvent[];
    readonly atMs: number;
  },
): Promise<readonly string[]> {
  const scheduled = news.events.flatMap((event) => (event.type === 'planScheduled' ? [event.plan] : []));
  await setTimers(work, news.model.startByMs, scheduled);
  await insertPlans(work, news, scheduled);
  const changed = scheduled.map((plan) => plan.planId);
  for (const event of news.events) {
    if (event.type === 'planStored') await markStored(work, event, news.atMs);
    if (event.type === 'planEnded') await markEnded(work, event, news.atMs);
    if (event.type === 'leftAlone') await markEnded(work, { ...event, outcome: 'cancelled' }, news.atMs);
    if (event.type === 'cancelStored') await markCancelStored(work, event.planId, news.atMs);
    if (event.type === 'resumed') changed.push(...(await markEarlier(work, news.deploymentId)));
    if ('planId' in event) changed.push(event.planId);
  }
  return [...new Set(changed)];
}

/** One row a plan: when its time is over, the API looks whether it was ever delivered. */
async function setTimers(work: Work, startByMs: number | undefined, plans: readonly PlanLetter[]): Promise<void> {
  if (startByMs === undefined) return;
  const rows = plans.map(({ planId }) => ({
    id: `startBy-${planId}`,
    kind: 'startBy' as const,
    subject: planId,
    due_at: startByMs,
  }));
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    await work.db
      .insertInto('timers')
      .values(rows.slice(from, from + rowsPerInsert))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

async function insertPlans(
  work: Work,
  news: { readonly deploymentId: string; readonly model: StoredModel; readonly atMs: number },
  plans: readonly PlanLetter[],
): Promise<void> {
  const attempts = plans.length === 0 ? undefined : await attemptsOf(work, news.deploymentId);
  const machines = new Map(plans.length === 0 ? [] : news.model.machines.map((machine) => [machine.id, machine]));
  const rows = plans.map((plan): PlanTable => {
    const machine = machines.get(plan.machine);
    return {
      plan_id: plan.planId,
      deployment_id: news.deploymentId,
      machine_id: plan.machine,
      machine_name: machine?.name ?? plan.machine,
      role: machine?.role ?? '',
      place: machine?.index ?? 0,
      stage: plan.stage,
      state: 'scheduled',
      step: null,
      since: news.atMs,
      scheduled_at: news.atMs,
      stored_at: null,
      delivered_at: null,
      started_at: null,
      finished_at: null,
      outcome: null,
      reason: null,
      sequence: 0,
      attempt: (attempts?.get(placeOf(plan.machine, plan.stage)) ?? 0) + 1,
      is_earlier: 0,
      cancel_stored_at: null,
      stopped: null,
      start_by_at: news.model.startByMs ?? null,
      proof_at: null,
    };
  });
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    await work.db
      .insertInto('plans')
      .values(rows.slice(from, from + rowsPerInsert))
      .execute();
  }
}

/** How many attempts every machine had in every stage; only a resume makes more than one. */
async function attemptsOf(work: Work, deploymentId: string): Promise<ReadonlyMap<string, number>> {
  const rows = await work.db
    .selectFrom('plans')
    .select(['machine_id', 'stage', 'attempt'])
    .where('deployment_id', '=', deploymentId)
    .where('is_earlier', '=', 1)
    .orderBy('attempt')
    .execute();
  return new Map(rows.map((row) => [placeOf(row.machine_id, row.stage), row.attempt]));
}

function placeOf(machine: string, stage: string): string {
  return `${machine} ${stage}`;
}

/** A resume gives up what ended without success, as `apply` does. */
async function markEarlier(work: Work, deploymentId: string): Promise<readonly string[]> {
  const rows = await work.db
    .updateTable('plans')
    .set({ is_earlier: 1 })
    .where('deployment_id', '=', deploymentId)
    .where('outcome', 'is not', null)
    .where('outcome', '!=', 'succeeded')
    .where('is_earlier', '=', 0)
    .returning('plan_id')
    .execute();
  return rows.map((row) => row.plan_id);
}

async function markCancelStored(work: Work, planId: string, atMs: number): Promise<void> {
  await work.db
    .updateTable('plans')
    .set({ cancel_stored_at: atMs })
    .where('plan_id', '=', planId)
    .where('cancel_stored_at', 'is', null)
    .execute();
}

async function markStored(
  work: Work,
  event: { readonly planId: string; readonly storedAtMs: number },
  nowMs: number,
): Promise<void> {
  const at = Math.min(event.storedAtMs, nowMs);
  await work.db
    .updateTable('plans')
    .set({ stored_at: at })
    .where('plan_id', '=', event.planId)
    .where('stored_at', 'is', null)
    .execute();
  // An agent that was quick may have told more already.
  await work.db
    .updateTable('plans')
    .set({ state: 'stored', since: at })
    .where('plan_id', '=', event.planId)
    .where('state', '=', 'scheduled')
    .execute();
}

async function markEnded(
  work: Work,
  event: { readonly planId: string; readonly outcome: string; readonly reason?: string },
  nowMs: number,
): Promise<void> {
  await work.db
    .updateTable('plans')
    .set((row) => ({
      state: event.outcome,
      outcome: event.outcome,
      reason: event.reason ?? null,
      since: nowMs,
      finished_at: row.fn.coalesce('finished_at', row.val(nowMs)),
    }))
    .where('plan_id', '=', event.planId)
    .where('outcome', 'is', null)
    .execute();
}
