import type { PlanRow } from '../client/views.js';

/** The last line of the quickstart with `--json`. Every instant was measured: ISO 8601, null where it never came. */
export interface QuickstartSummary {
  readonly ok: boolean;
  /** `embedded`, or the URL of the broker without its login. */
  readonly broker: string;
  readonly plans: readonly PlanTimes[];
  /** Why it is not ok. */
  readonly error?: string;
}

export interface PlanTimes {
  readonly machine: string;
  /** When the plan's letter was stored: the broker's confirm, or the database's where the broker keeps no mailboxes. */
  readonly stored: string | null;
  /** Start of the agent's process. */
  readonly agentStarted: string | null;
  readonly delivered: string | null;
  readonly started: string | null;
  readonly finished: string | null;
}

export function planTimes(plans: readonly PlanRow[], agentStarts: ReadonlyMap<string, number>): readonly PlanTimes[] {
  return plans.map((plan) => {
    const agentStartMs = agentStarts.get(plan.machine.name);
    return {
      machine: plan.machine.name,
      stored: plan.storedAt ?? null,
      agentStarted: agentStartMs === undefined ? null : new Date(agentStartMs).toISOString(),
      delivered: plan.deliveredAt ?? null,
      started: plan.startedAt ?? null,
      finished: plan.finishedAt ?? null,
    };
  });
}
