import { sleep, type Clock } from '@torcello/platform';
import { readEvidence, type AttemptFiles } from './attempt.js';
import { agentLimits } from './limits.js';
import { isAlive, markedInGroup, signalProcess, type ProcessIdentity } from './processes.js';
import type { AttemptEnd } from './step-policy.js';

/** A running attempt: of a wrapper that this agent started (`exited`), or of one that an earlier agent left. */
export interface RunningAttempt {
  readonly files: AttemptFiles;
  readonly process: ProcessIdentity | undefined;
  readonly exited?: Promise<unknown>;
  /** `NAME=value` in the environment of all its processes. */
  readonly mark: string;
  readonly timeLeftMs: number;
  /** Resolves when it is on record that the time is up, before anything is ended. */
  readonly onTimeout: () => Promise<void>;
}

const pollMs = 200;

/**
 * Waits until an attempt has ended, and ends it when its time is up. The normal end of a command ends nothing else:
 * what it left running is meant to stay.
 * @param signal - gives up waiting and leaves everything as it runs; the promise rejects with its reason.
 */
export async function follow(attempt: RunningAttempt, clock: Clock, signal: AbortSignal): Promise<AttemptEnd> {
  const deadlineMs = clock.monotonicMs() + attempt.timeLeftMs;
  let hasExited = false;
  const exited = attempt.exited?.then(() => void (hasExited = true));
  for (;;) {
    const isGone = hasExited || (exited === undefined && !(await isRunning(attempt)));
    // Read after the look at the process: a status written in between must not be missed.
    const evidence = await readEvidence(attempt.files);
    if (evidence.is === 'ended') return { how: 'exited', exitCode: evidence.exitCode, atMs: evidence.atMs };
    if (isGone) return { how: 'vanished' };
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) return await timeOut(attempt, clock, signal);
    await pause({ exited, delayMs: exited === undefined ? Math.min(leftMs, pollMs) : leftMs, clock, signal });
  }
}

/** Ends every process of the attempt's group: asked first, killed when they do not listen. */
export async function endAttempt(
  attempt: Pick<RunningAttempt, 'process' | 'mark'>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const { process: leader, mark } = attempt;
  if (leader === undefined) return;
  const deadlineMs = clock.monotonicMs() + agentLimits.terminateGraceMs.value;
  for (let isFirst = true; ; isFirst = false) {
    const left = await markedInGroup(leader.pid, mark);
    const isLed = await isAlive(leader);
    if (left.length === 0 && !isLed) return;
    const isPatient = clock.monotonicMs() < deadlineMs;
    if (isFirst || !isPatient) signalGroup(isLed ? [-leader.pid] : left, isPatient ? 'SIGTERM' : 'SIGKILL');
    await sleep(clock, pollMs / 2, signal);
  }
}

function signalGroup(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) signalProcess(pid, signal);
}

async function timeOut(attempt: RunningAttempt, clock: Clock, signal: AbortSignal): Promise<AttemptEnd> {
  await attempt.onTimeout();
  await endAttempt(attempt, clock, signal);
  return { how: 'timedOut' };
}

async function isRunning({ process: leader }: RunningAttempt): Promise<boolean> {
  return leader !== undefined && (await isAlive(leader));
}

async function pause(options: {
  readonly exited: Promise<void> | undefined;
  readonly delayMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { exited, delayMs, clock, signal } = options;
  const ended = new AbortController();
  const slept = sleep(clock, delayMs, AbortSignal.any([signal, ended.signal])).catch((error: unknown) => {
    if (!ended.signal.aborted) throw error;
  });
  try {
    await (exited === undefined ? slept : Promise.race([exited, slept]));
  } finally {
    ended.abort();
  }
}
