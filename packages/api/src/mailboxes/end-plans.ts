import type { DeploymentEvent } from '@torcello/contracts';
import type { MailboxEndTable } from '../database/mailbox-tables.js';
import type { Work } from '../database/store.js';
import { deploymentRow } from '../deployments/rows.js';
import { durationText } from '../times.js';
import type { EndParts } from './end-parts.js';

type End = Pick<MailboxEndTable, 'reason' | 'lifetime_ms'>;

const idsPerQuery = 500;

/** Reports to their deployments that plans were certainly not delivered, as the reason of the mailbox's end says. */
export async function endPlans(
  parts: Pick<EndParts, 'history'>,
  work: Work,
  of: { readonly end: End; readonly planIds: readonly string[] },
): Promise<void> {
  const open = new Map<string, string[]>();
  for (let from = 0; from < of.planIds.length; from += idsPerQuery) {
    const rows = await work.db
      .selectFrom('plans')
      .select(['plan_id', 'deployment_id'])
      .where('plan_id', 'in', of.planIds.slice(from, from + idsPerQuery))
      .where('outcome', 'is', null)
      .orderBy('scheduled_at')
      .execute();
    for (const row of rows) open.set(row.deployment_id, [...(open.get(row.deployment_id) ?? []), row.plan_id]);
  }
  for (const [deploymentId, planIds] of open) {
    const row = await deploymentRow(work.db, deploymentId);
    if (row === undefined) continue;
    const events = planIds.map((planId): DeploymentEvent => ({ type: 'planEnded', planId, ...outcomeOf(of.end) }));
    await parts.history.appendByApi(work, row, events);
  }
}

function outcomeOf({ reason, lifetime_ms }: End): {
  readonly outcome: 'expired' | 'cancelled';
  readonly reason: string;
} {
  return reason === 'lifetime'
    ? {
        outcome: 'expired',
        reason: `not delivered: its mailbox ended after ${durationText(lifetime_ms)} without contact`,
      }
    : { outcome: 'cancelled', reason: 'not delivered: its mailbox was deleted' };
}
