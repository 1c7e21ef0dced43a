import type { ArrivedPlan } from './plan-store.js';

/** What the agent itself reads of a plan; the rest is its runner's. */
export interface PlanFacts {
  /** Text in every plan that Murano makes. */
  readonly id: unknown;
  readonly replyTo: unknown;
  /** -1 where there is none. */
  readonly stamp: number;
  /** The plan in UTF-8. */
  readonly text: string;
}

/** Undefined for what is no JSON object in UTF-8, or has a Stamp that is no number: nobody can be answered. */
export function readPlan(arrived: ArrivedPlan): PlanFacts | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(arrived.body);
    const plan: unknown = JSON.parse(text);
    if (typeof plan !== 'object' || plan === null || Array.isArray(plan)) return undefined;
    const { ID = arrived.id, ReplyTo = arrived.replyTo, Stamp = -1 } = plan as Readonly<Record<string, unknown>>;
    return typeof Stamp === 'number' ? { id: ID, replyTo: ReplyTo, stamp: Stamp, text } : undefined;
  } catch {
    return undefined;
  }
}
