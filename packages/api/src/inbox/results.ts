import type { DeploymentEvent, ResultMessage } from '@torcello/contracts';
import { writeReceipt } from '../database/outbox.js';
import type { PlanRow, StepTable } from '../database/tables.js';
import { deploymentRow } from '../deployments/rows.js';
import { boundedInstant } from './agent-time.js';
import type { InboxWork } from './inbox.js';

/**
 * Applies a result once, by plan id, and sends a receipt for every copy, for finished deployments too: only then does
 * the agent stop sending it.
 */
export async function storeResult(
  inbox: InboxWork,
  plan: PlanRow,
  message: { readonly body: ResultMessage; readonly text: string },
): Promise<void> {
  const { context, work } = inbox;
  const row = { plan_id: plan.plan_id, body: message.text, received_at: context.clock.now() };
  const inserted = await work.db
    .insertInto('inbox')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('plan_id')
    .executeTakeFirst();
  if (inserted !== undefined) await applyResult(inbox, plan, message.body);
  const letter = await work.db
    .selectFrom('letters')
    .select('mailbox')
    .where('plan_id', '=', plan.plan_id)
    .executeTakeFirst();
  if (letter !== undefined) await writeReceipt(context, work, { planId: plan.plan_id, mailbox: letter.mailbox });
}

async function applyResult(inbox: InboxWork, plan: PlanRow, result: ResultMessage): Promise<void> {
  const { history, work } = inbox;
  await storeSteps(inbox, plan, result);
  // The first end stays: of a plan that was ended meanwhile only the copy in the inbox is kept.
  if (plan.outcome !== null) return;
  await storeInstants(inbox, plan, result);
  const deployment = await deploymentRow(work.db, plan.deployment_id);
  if (deployment === undefined) return;
  const failedStep = result.steps.find((step) => step.outcome !== 'succeeded')?.name;
  const ended: DeploymentEvent = {
    type: 'planEnded',
    planId: plan.plan_id,
    outcome: result.outcome,
    ...(result.reason === undefined ? {} : { reason: result.reason }),
    ...(failedStep === undefined || result.outcome === 'succeeded' ? {} : { failedStep }),
  };
  // Of a deployment that ended before, too: what was left open when it was cancelled settles now.
  await history.appendByApi(work, deployment, [ended]);
}

async function storeInstants(inbox: InboxWork, plan: PlanRow, result: ResultMessage): Promise<void> {
  const { context, work } = inbox;
  const now = context.clock.now();
  await work.db
    .updateTable('plans')
    .set({
      delivered_at: plan.delivered_at ?? boundedInstant(plan, result.receivedAtMs, now),
      started_at:
        plan.started_at ?? (result.startedAtMs === undefined ? null : boundedInstant(plan, result.startedAtMs, now)),
      finished_at: boundedInstant(plan, result.finishedAtMs, now),
      step: null,
      stopped: result.stopped === undefined ? null : JSON.stringify(result.stopped),
    })
    .where('plan_id', '=', plan.plan_id)
    .execute();
}

/** The result's own account of its steps replaces what progress said. */
async function storeSteps(inbox: InboxWork, plan: PlanRow, result: ResultMessage): Promise<void> {
  const { context, work } = inbox;
  const now = context.clock.now();
  const rows = result.steps.map((step, place): StepTable => ({
    plan_id: plan.plan_id,
    name: step.name,
    place,
    state: step.outcome,
    exit_code: step.exitCode,
    started_at: boundedInstant(plan, step.startedAtMs, now),
    finished_at: boundedInstant(plan, step.finishedAtMs, now),
  }));
  await work.db.deleteFrom('steps').where('plan_id', '=', plan.plan_id).execute();
  const byName = new Map(rows.map((row) => [row.name, row]));
  if (byName.size > 0)
    await work.db
      .insertInto('steps')
      .values([...byName.values()])
      .execute();
}
