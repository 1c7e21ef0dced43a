import { sleep, type Clock } from '@torcello/platform';
import type { AttemptFiles } from './attempt.js';
import type { ProcessIdentity } from './processes.js';
import type { StepMachine } from './step-machine.js';
import type { AttemptEnd } from './step-policy.js';

/** A running attempt: of a wrapper that this agent started (`exited`), or of one that an earlier agent left. */
export interface RunningAttempt {
  readonly files: AttemptFiles;
  readonly process: ProcessIdentity | undefined;
  readonly exited?: Promise<unknown>;
  readonly timeLeftMs: number;
  /** Aborts when somebody wants the plan to end. */
  readonly cancelled: AbortSignal;
}

const pollMs = 200;

/**
 * Waits until an attempt has ended, its time is up, or somebody wants it to end. Ends nothing: what a command left
 * running at its normal end is meant to stay.
 * @param signal - gives up waiting and leaves everything as it runs; the promise rejects with its reason.
 */
export async function follow(
  attempt: RunningAttempt,
  { clock, machine }: { readonly clock: Clock; readonly machine: StepMachine },
  signal: AbortSignal,
): Promise<AttemptEnd> {
  const deadlineMs = clock.monotonicMs() + attempt.timeLeftMs;
  let hasExited = false;
  const exited = attempt.exited?.then(() => void (hasExited = true));
  for (;;) {
    const isGone = hasExited || (exited === undefined && !(await isRunning(attempt, machine)));
    // Read after the look at the process: a status written in between must not be missed.
    const evidence = await machine.evidence(attempt.files);
    if (evidence.is === 'ended') return { how: 'exited', exitCode: evidence.exitCode, atMs: evidence.atMs };
    if (isGone && exited !== undefined && evidence.is === 'unclaimed') return { how: 'unstarted' };
    if (isGone) return { how: 'vanished' };
    if (attempt.cancelled.aborted) return { how: 'cancelled' };
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) return { how: 'timedOut' };
    const delayMs = exited === undefined ? Math.min(leftMs, pollMs) : leftMs;
    await pause({ exited, cancelled: attempt.cancelled, delayMs, clock, signal });
  }
}

async function isRunning({ process: leader }: RunningAttempt, machine: StepMachine): Promise<boolean> {
  return leader !== undefined && (await machine.isAlive(leader));
}

async function pause(options: {
  readonly exited: Promise<void> | undefined;
  readonly cancelled: AbortSignal;
  readonly delayMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { exited, cancelled, delayMs, clock, signal } = options;
  const ended = new AbortController();
  const awake = AbortSignal.any([signal, ended.signal, cancelled]);
  const slept = sleep(clock, delayMs, awake).catch((error: unknown) => {
    if (signal.aborted) throw error;
  });
  try {
    await (exited === undefined ? slept : Promise.race([exited, slept]));
  } finally {
    ended.abort();
  }
}
