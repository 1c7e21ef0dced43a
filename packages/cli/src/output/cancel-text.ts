import type { PlanRow } from '../client/views.js';
import { hasEnded } from './deployment-text.js';

/** What became of a machine's part when somebody wanted the deployment to end. */
export type CancelAnswer = NonNullable<PlanRow['cancel']>;

/** The API's word for it; of one that does not say it, what the plan itself tells. */
export function cancelAnswer(plan: PlanRow): CancelAnswer {
  if (plan.cancel !== undefined && plan.cancel !== null) return plan.cancel;
  if (!hasEnded(plan)) return 'unknown';
  if (plan.state !== 'cancelled') return 'finishedBefore';
  return plan.startedAt === undefined || plan.startedAt === null ? 'neverStarted' : 'stopped';
}

/** The answer for people: never started, stopped with how and when, finished before, or unknown until it is back. */
export function cancelText(plan: PlanRow): string {
  switch (cancelAnswer(plan)) {
    case 'neverStarted':
      return 'never started';
    case 'stopped':
      return `stopped (${stoppedText(plan)})`;
    case 'finishedBefore':
      return `finished before the cancel arrived (${plan.state})`;
    case 'unknown': {
      const at = plan.evidence?.at;
      return `unknown until it is back${at === undefined ? '' : ` (last proof ${at})`}`;
    }
  }
}

function stoppedText({ stopped, step, steps = [], finishedAt, since }: PlanRow): string {
  const name = step ?? steps.find(({ state }) => state !== 'succeeded')?.name;
  const code = stopped?.exitCode ?? undefined;
  const how = stopped?.signal ?? (code === undefined ? undefined : `exit code ${code}`);
  const parts = [name === undefined ? undefined : `in ${name}`, how, stopped?.at ?? finishedAt ?? since];
  return parts.filter((part) => part !== undefined).join(', ');
}
