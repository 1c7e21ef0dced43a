import type { PlanStep } from '@torcello/contracts/agent';
import { agentLimits } from './limits.js';
import type { Purpose } from './records.js';

/** With this exit code a step asks for a restart of the machine, and for the plan to go on with the next step then. */
export const rebootExitCode = 194;

/** How one attempt of a step ended. `vanished`: its processes are gone and left no exit status. */
export type AttemptEnd =
  | { readonly how: 'exited'; readonly exitCode: number; readonly atMs: number }
  | { readonly how: 'timedOut' }
  /** Somebody wants the plan to end, and nothing of the attempt was ended yet. */
  | { readonly how: 'cancelled' }
  | { readonly how: 'vanished' }
  /** The wrapper ended before it had claimed the attempt: the command never started. */
  | { readonly how: 'unstarted' };

/** What becomes of the step. */
export type Next =
  | { readonly do: 'attempt'; readonly purpose: Purpose }
  | {
      readonly do: 'end';
      readonly outcome: 'succeeded' | 'failed' | 'timedOut';
      readonly exitCode: number | null;
      readonly atMs?: number;
      /** Why it did not succeed, where outcome and exit code do not tell. */
      readonly reason?: string;
    }
  /** The step counts as done after the restart of the machine, and as failed when there is none. */
  | { readonly do: 'awaitReboot' }
  | {
      readonly do: 'end';
      readonly outcome: 'cancelled';
      readonly exitCode: number | null;
      readonly atMs?: number;
      /** Where the exit code does not tell. */
      readonly signal?: string;
      readonly reason?: string;
    }
  | {
      readonly do: 'end';
      readonly outcome: 'interrupted';
      readonly exitCode: null;
      readonly atMs?: number;
      readonly reason?: string;
    };

/** What follows the end of an attempt, by the step's `onInterrupt`. */
export function afterAttempt(
  step: Pick<PlanStep, 'onInterrupt' | 'check' | 'reboot'>,
  attempt: { readonly number: number; readonly purpose: Purpose; readonly isSameBoot: boolean },
  end: AttemptEnd,
): Next {
  if (end.how === 'cancelled') return { do: 'end', outcome: 'cancelled', exitCode: null };
  if (attempt.purpose === 'check') return afterCheck(attempt.number, end);
  if (end.how === 'vanished') {
    const isRebooted = step.reboot === 'expected' && !attempt.isSameBoot;
    return isRebooted ? { do: 'awaitReboot' } : afterInterruption(step, attempt.number);
  }
  if (end.how === 'timedOut') return { do: 'end', outcome: 'timedOut', exitCode: null };
  if (end.how === 'unstarted') return unstarted;
  const wantsReboot = end.exitCode === rebootExitCode || (step.reboot === 'expected' && end.exitCode === 0);
  if (wantsReboot) return { do: 'awaitReboot' };
  const outcome = end.exitCode === 0 ? 'succeeded' : 'failed';
  return { do: 'end', outcome, exitCode: end.exitCode, atMs: end.atMs };
}

/** The probe's exit code 0 means that the interrupted step had done its work; else it is done again. */
function afterCheck(number: number, end: Exclude<AttemptEnd, { readonly how: 'cancelled' }>): Next {
  if (end.how === 'exited' && end.exitCode === 0)
    return { do: 'end', outcome: 'succeeded', exitCode: 0, atMs: end.atMs };
  if (end.how === 'timedOut' || number >= agentLimits.attemptsMax.value) return interrupted;
  return { do: 'attempt', purpose: end.how === 'exited' ? 'run' : 'check' };
}

function afterInterruption(step: Pick<PlanStep, 'onInterrupt' | 'check'>, number: number): Next {
  if (step.onInterrupt === 'fail' || number >= agentLimits.attemptsMax.value) return interrupted;
  return { do: 'attempt', purpose: step.onInterrupt === 'check' && step.check !== undefined ? 'check' : 'run' };
}

const unstarted: Next = {
  do: 'end',
  outcome: 'failed',
  exitCode: null,
  reason: 'the step never started: there was no room on the disk to write that it does',
};

const interrupted: Next = { do: 'end', outcome: 'interrupted', exitCode: null };
