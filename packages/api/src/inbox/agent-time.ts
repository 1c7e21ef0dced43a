import type { PlanRow } from '../database/tables.js';

/** An instant by the agent's clock, held between the plan's birth and now: its clock may be wrong, or lie. */
export function boundedInstant(plan: PlanRow, atMs: number, nowMs: number): number {
  return Math.min(nowMs, Math.max(plan.scheduled_at, atMs));
}
