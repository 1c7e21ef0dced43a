import type { Outcome } from '@torcello/contracts/agent';
import type { ServerTime } from './server-clock.js';

/** Why a plan is not carried out at this time. */
export interface Untimely {
  readonly outcome: Extract<Outcome, 'expired' | 'refused'>;
  readonly reason: string;
}

/** Undefined when it is certainly not later than the plan's bound. */
export function lateBy({ nowMs, errorMs }: ServerTime, startByMs: number): Untimely | undefined {
  if (nowMs + errorMs <= startByMs) return undefined;
  return { outcome: 'expired', reason: `the plan came after ${new Date(startByMs).toISOString()}` };
}
