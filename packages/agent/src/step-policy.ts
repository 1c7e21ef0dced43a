import type { PlanStep } from '@torcello/contracts/agent';
import { agentLimits } from './limits.js';
import type { Purpose } from './records.js';

/** How one attempt of a step ended. `vanished`: its processes are gone and left no exit status. */
export type AttemptEnd =
  | { readonly how: 'exited'; readonly exitCode: number; readonly atMs: number }
  | { readonly how: 'timedOut' }
  | { readonly how: 'vanished' };

/** What becomes of the step. */
export type Next =
  | { readonly do: 'attempt'; readonly purpose: Purpose }
  | {
      readonly do: 'end';
      readonly outcome: 'succeeded' | 'failed' | 'timedOut';
      readonly exitCode: number | null;
      readonly atMs?: number;
    }
  | { readonly do: 'end'; readonly outcome: 'interrupted'; readonly exitCode: null; readonly atMs?: number };

/** What follows the end of an attempt, by the step's `onInterrupt`. */
export function afterAttempt(
  step: Pick<PlanStep, 'onInterrupt' | 'check'>,
  attempt: { readonly number: number; readonly purpose: Purpose },
  end: AttemptEnd,
): Next {
  if (attempt.purpose === 'check') return afterCheck(attempt.number, end);
  if (end.how === 'vanished') return afterInterruption(step, attempt.number);
  if (end.how === 'timedOut') return { do: 'end', outcome: 'timedOut', exitCode: null };
  const outcome = end.exitCode === 0 ? 'succeeded' : 'failed';
  return { do: 'end', outcome, exitCode: end.exitCode, atMs: end.atMs };
}

/** The probe's exit code 0 means that the interrupted step had done its work; else it is done again. */
function afterCheck(number: number, end: AttemptEnd): Next {
  if (end.how === 'exited' && end.exitCode === 0)
    return { do: 'end', outcome: 'succeeded', exitCode: 0, atMs: end.atMs };
  if (end.how === 'timedOut' || number >= agentLimits.attemptsMax.value) return interrupted;
  return { do: 'attempt', purpose: end.how === 'exited' ? 'run' : 'check' };
}

function afterInterruption(step: Pick<PlanStep, 'onInterrupt' | 'check'>, number: number): Next {
  if (step.onInterrupt === 'fail' || number >= agentLimits.attemptsMax.value) return interrupted;
  return { do: 'attempt', purpose: step.onInterrupt === 'check' && step.check !== undefined ? 'check' : 'run' };
}

const interrupted: Next = { do: 'end', outcome: 'interrupted', exitCode: null };
