import type { ProgressMessage } from '@torcello/contracts';
import { limits } from '@torcello/contracts';
import type { PlanRow } from '../database/tables.js';
import { boundedInstant } from './agent-time.js';
import type { InboxWork } from './inbox.js';

/** Shows how far a plan is. Progress that comes late, or after the end, changes nothing. */
export async function storeProgress(inbox: InboxWork, plan: PlanRow, progress: ProgressMessage): Promise<void> {
  const { context, work } = inbox;
  if (plan.outcome !== null || (progress.sequence <= plan.sequence && plan.delivered_at !== null)) return;
  const at = boundedInstant(plan, progress.atMs, context.clock.now());
  const { sequence, step } = progress;
  const delivered_at = plan.delivered_at ?? at;
  const proof_at = Math.max(at, plan.proof_at ?? 0);
  if (progress.what === 'received') {
    const changes = plan.started_at === null ? { state: 'delivered', since: at } : {};
    await work.db
      .updateTable('plans')
      .set({ ...changes, sequence, delivered_at, proof_at })
      .where('plan_id', '=', plan.plan_id)
      .execute();
  } else if (step !== undefined) {
    const isStart = progress.what === 'stepStarted';
    const changes = isStart ? { step, since: at } : {};
    await work.db
      .updateTable('plans')
      .set({ ...changes, state: 'running', sequence, delivered_at, proof_at, started_at: plan.started_at ?? at })
      .where('plan_id', '=', plan.plan_id)
      .execute();
    await storeStep(inbox, plan, { step, at, progress });
  }
  work.afterCommit(() =>
    context.notices.tell({ type: 'plans', deploymentId: plan.deployment_id, planIds: [plan.plan_id] }),
  );
}

async function storeStep(
  inbox: InboxWork,
  plan: PlanRow,
  told: { readonly step: string; readonly at: number; readonly progress: ProgressMessage },
): Promise<void> {
  const { db } = inbox.work;
  const { step, at, progress } = told;
  const isStart = progress.what === 'stepStarted';
  const exitCode = progress.exitCode ?? null;
  const changes = isStart
    ? { state: 'running' }
    : { state: exitCode === 0 ? 'succeeded' : 'failed', exit_code: exitCode, finished_at: at };
  const updated = await db
    .updateTable('steps')
    .set(changes)
    .where('plan_id', '=', plan.plan_id)
    .where('name', '=', step)
    .returning('name')
    .executeTakeFirst();
  if (updated !== undefined) return;
  const { count } = await db
    .selectFrom('steps')
    .select((column) => column.fn.countAll<number>().as('count'))
    .where('plan_id', '=', plan.plan_id)
    .executeTakeFirstOrThrow();
  if (Number(count) >= limits.planStepsMax.value) return;
  await db
    .insertInto('steps')
    .values({
      plan_id: plan.plan_id,
      name: step,
      place: Number(count),
      exit_code: null,
      finished_at: null,
      ...changes,
      started_at: isStart ? at : null,
    })
    .execute();
}
