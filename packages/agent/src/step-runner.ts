import type { PlanPayload, PlanStep, StepResult } from '@torcello/contracts/agent';
import { sleep, type Clock } from '@torcello/platform';
import { constants } from 'node:os';
import path from 'node:path';
import { attemptFiles, type AttemptFiles } from './attempt.js';
import type { StepState } from './book.js';
import type { EndingRecord, Purpose } from './records.js';
import type { StepTree, TreeEnd } from './end-tree.js';
import type { StepGroups } from './step-groups.js';
import { agentLimits } from './limits.js';
import { folderName, PathRefused } from './confined-path.js';
import { systemCode } from './errors.js';
import { follow, type RunningAttempt } from './follow.js';
import type { Journal } from './journal.js';
import { isDiskFull } from './journal-disk.js';
import type { OutputSpool } from './output.js';
import { announce } from './points.js';
import type { ProgressSender } from './progress.js';
import { localProgram, type StepMachine } from './step-machine.js';
import { afterAttempt, type AttemptEnd, type Next } from './step-policy.js';

/** What running steps needs of the machine and of the rest of the agent. */
export interface StepTools {
  readonly clock: Clock;
  readonly machine: StepMachine;
  readonly journal: Journal;
  readonly output: OutputSpool;
  readonly progress: ProgressSender;
  readonly bootId: string;
  /** Traces of attempts: one folder a plan. */
  readonly runsFolder: string;
  readonly applicationsFolder: string;
  /** PATH, HOME and LANG of every step. */
  readonly hostEnvironment: Readonly<Record<string, string>>;
  /** The Node that runs the agent. */
  readonly nodePath: string;
  readonly groups: StepGroups;
  /** Default: the limit `rebootWaitMs`. */
  readonly rebootWaitMs?: number;
}

/** One step of a plan on this machine. */
export interface StepPlace {
  readonly payload: PlanPayload;
  /** Place in the plan, from 0. */
  readonly index: number;
  readonly step: PlanStep;
}

/** A step's end; `reason` says in a line why it did not succeed. */
export interface StepEnd {
  readonly result: StepResult;
  readonly reason?: string;
}

/** Stops following (`stop`: the step itself goes on, and the next agent adopts it), or ends the step (`cancelled`). */
export interface StepSignals {
  readonly stop: AbortSignal;
  /** Aborts after it is in the journal that somebody wants the plan to end. */
  readonly cancelled: AbortSignal;
}

const halfClaimWaitMs = 2_000;
/** How long a full disk is waited for before it is tried again. */
const roomRetryMs = 1_000;
/** Files get their times from a clock of the kernel that is this much behind at most. */
const fileTimeGrainMs = 20;

/** Carries out one step, or goes on with it where an earlier agent left it. */
export class StepRunner {
  readonly #tools: StepTools;
  readonly #place: StepPlace;
  readonly #stepFolder: string;
  readonly #signal: AbortSignal;
  readonly #cancelled: AbortSignal;
  /** Somebody wanted the plan to end when this agent did not run yet, or worked on the steps before this one. */
  readonly #isEndedBefore: boolean;

  constructor(tools: StepTools, place: StepPlace, signals: StepSignals) {
    this.#tools = tools;
    this.#place = place;
    this.#stepFolder = path.join(tools.runsFolder, place.payload.planId, String(place.index));
    this.#signal = signals.stop;
    this.#cancelled = signals.cancelled;
    this.#isEndedBefore = signals.cancelled.aborted;
  }

  /**
   * Undefined: the plan was cancelled before anything of the step began. Rejects with the reason of the signal that stops,
   * or when the journal failed.
   */
  async run(): Promise<StepEnd | undefined> {
    const state = this.#state();
    if (state?.result !== undefined) return { result: state.result };
    try {
      let next: Next = state === undefined ? { do: 'attempt', purpose: 'run' } : await this.#resume(state);
      while (next.do !== 'end') {
        if (next.do === 'awaitReboot') next = await this.#awaitReboot();
        else if (this.#cancellation() === undefined) next = await this.#attempt(next.purpose);
        else if (this.#state() === undefined) return undefined;
        else next = { do: 'end', outcome: 'cancelled', exitCode: null };
      }
      return await this.#end(next);
    } catch (error) {
      return await this.#fail(error);
    }
  }

  /** Finds out what became of an attempt that an earlier agent began. */
  async #resume(state: StepState): Promise<Next> {
    const { step } = this.#place;
    if (state.rebootingAtMs !== undefined) return { do: 'awaitReboot' };
    if (step.command === undefined) return { do: 'attempt', purpose: 'run' };
    const files = this.#files(state);
    const evidence = await this.#tools.machine.evidence(files);
    if (evidence.is === 'void') return { do: 'attempt', purpose: state.purpose };
    const isSameBoot = this.#isSameBoot(state);
    // Without a claim nothing started, if the files are those that were there: a reboot may have taken the newest.
    if (isSameBoot && evidence.is === 'unclaimed' && (await this.#void(files))) {
      return { do: 'attempt', purpose: state.purpose };
    }
    this.#followOutput(files);
    const end = isSameBoot ? await this.#adopt(files, state) : await this.#endBeforeReboot(files);
    return await this.#after(state, end);
  }

  /** False when the wrapper was quicker. On a full disk it is tried again: the wrapper might still come to its claim. */
  async #void(files: AttemptFiles): Promise<boolean> {
    const { clock, machine } = this.#tools;
    for (;;) {
      try {
        return await machine.voidAttempt(files);
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        await sleep(clock, roomRetryMs, this.#signal);
      }
    }
  }

  async #adopt(files: AttemptFiles, state: StepState): Promise<AttemptEnd> {
    if (state.isTimedOut) return { how: 'timedOut' };
    const attempt = this.#running(files, { process: await this.#claimant(files), state });
    return await follow(attempt, this.#tools, this.#signal);
  }

  /** Whose attempt it is; a claim that is half written is read again for a moment. */
  async #claimant(files: AttemptFiles): Promise<RunningAttempt['process']> {
    const { clock, machine } = this.#tools;
    const deadlineMs = clock.monotonicMs() + halfClaimWaitMs;
    for (;;) {
      const evidence = await machine.evidence(files);
      if (evidence.is !== 'claimed') return undefined;
      if (evidence.process !== undefined || clock.monotonicMs() > deadlineMs) return evidence.process;
      await sleep(clock, 20, this.#signal);
    }
  }

  async #attempt(purpose: Purpose): Promise<Next> {
    const { clock, journal, progress, bootId } = this.#tools;
    const { payload, index, step } = this.#place;
    const { planId } = payload;
    const words = purpose === 'run' ? step.command : step.check;
    const attempt = (this.#state()?.attempt ?? 0) + 1;
    const group = words === undefined ? undefined : await this.#tools.groups.make(`${planId}.${index}.${attempt}`);
    // Somebody may have cancelled the plan meanwhile.
    if (this.#cancellation() !== undefined) return { do: 'attempt', purpose };
    const facts = { planId, step: index, attempt, purpose, bootId, atMs: clock.now() };
    await journal.write({ type: 'stepStarting', ...facts, ...(group === undefined ? {} : { group }) });
    announce('stepStarting', { planId, step: step.name });
    progress.step('stepStarted', this.#place);
    const folder = await this.#applicationFolder();
    if (purpose === 'run') await this.#tools.machine.layFiles(folder, step.files);
    if (words === undefined) return { do: 'end', outcome: 'succeeded', exitCode: null };
    if (this.#cancellation() !== undefined) return { do: 'attempt', purpose };
    return await this.#command(words, folder);
  }

  async #command(words: readonly string[], folder: string): Promise<Next> {
    const state = this.#state();
    if (state === undefined) throw new TypeError('an attempt runs without its record');
    const files = this.#files(state);
    const env = stepEnvironment(this.#tools, this.#place, folder);
    const { machine } = this.#tools;
    const started = await machine.start(files, {
      words: await localProgram(machine, words, folder),
      folder,
      env,
      group: state.group,
    });
    announce('stepStarted', { planId: this.#place.payload.planId, step: this.#place.step.name });
    this.#followOutput(files);
    const attempt = this.#running(files, { ...started, state });
    return await this.#after(state, await follow(attempt, this.#tools, this.#signal));
  }

  async #after(state: StepState, end: AttemptEnd): Promise<Next> {
    const ending = this.#cancellation();
    if (ending !== undefined && isCutShort(end, ending)) return await this.#stop(state, ending);
    if (end.how === 'timedOut') {
      const { planId } = this.#place.payload;
      await this.#tools.journal.write({ type: 'stepTimeout', planId, step: this.#place.index });
      await this.#endTree(state, agentLimits.terminateGraceMs.value);
    }
    const isSameBoot = this.#isSameBoot(state);
    const next = afterAttempt(this.#place.step, { number: state.attempt, purpose: state.purpose, isSameBoot }, end);
    // Whatever is left of the old attempt must not work beside the new one.
    if (next.do === 'attempt' && isSameBoot) await this.#endTree(state, agentLimits.terminateGraceMs.value);
    return next;
  }

  /** Ends the step's processes for a cancel. An earlier agent may have begun with it. */
  async #stop(state: StepState, ending: EndingRecord): Promise<Next> {
    // Where an earlier agent began to end it, what is left of the grace.
    const goneMs = this.#isEndedBefore ? Math.max(0, this.#tools.clock.now() - ending.atMs) : 0;
    const { hasKilled, left } = await this.#endTree(state, Math.max(0, ending.graceMs - goneMs));
    const evidence = await this.#tools.machine.evidence(this.#files(state));
    const reason = left === 0 ? {} : { reason: `cancelled, but ${left} of its processes could not be ended` };
    const end = { do: 'end', outcome: 'cancelled', ...reason } as const;
    if (evidence.is === 'ended') return { ...end, exitCode: evidence.exitCode, atMs: evidence.atMs };
    return { ...end, exitCode: null, ...(hasKilled ? { signal: 'SIGKILL' } : {}) };
  }

  async #endTree(state: StepState, graceMs: number): Promise<TreeEnd> {
    if (!this.#isSameBoot(state)) return { hasKilled: false, left: 0 };
    const { payload, step } = this.#place;
    // The folder tells one agent of a machine from another.
    const folder = applicationFolder(this.#tools.applicationsFolder, payload);
    const tree: StepTree = {
      planId: payload.planId,
      leader: await this.#leader(state),
      marks: [`TORCELLO_PLAN=${payload.planId}`, `TORCELLO_STEP=${step.name}`, `TORCELLO_FOLDER=${folder}`],
      group: state.group,
    };
    const { clock, machine } = this.#tools;
    return await machine.endTree(tree, graceMs, { clock, signal: this.#signal });
  }

  /** The wrapper of an attempt, when it may still be there. */
  async #leader(state: StepState): Promise<StepTree['leader']> {
    const evidence = await this.#tools.machine.evidence(this.#files(state));
    return evidence.is === 'claimed' ? evidence.process : undefined;
  }

  /** Goes on in the next boot of the machine. */
  async #awaitReboot(): Promise<Next> {
    const { clock, journal, rebootWaitMs = agentLimits.rebootWaitMs.value } = this.#tools;
    const { planId } = this.#place.payload;
    const state = this.#state();
    if (state === undefined) throw new TypeError('a step waits for a restart and was never started');
    if (state.rebootingAtMs === undefined) {
      await journal.write({ type: 'rebooting', planId, step: this.#place.index, atMs: clock.now() });
      announce('rebooting', { planId, step: this.#place.step.name });
    }
    const evidence = await this.#tools.machine.evidence(this.#files(state));
    const exitCode = evidence.is === 'ended' ? evidence.exitCode : null;
    const reboots = [...(journal.book.plan(planId)?.steps.values() ?? [])].filter(
      (step) => step.rebootingAtMs !== undefined,
    );
    if (reboots.length > agentLimits.rebootsMax.value) {
      const reason = `step "${this.#place.step.name}" asked for one more than ${agentLimits.rebootsMax.value} restarts in a plan`;
      return { do: 'end', outcome: 'failed', exitCode, reason };
    }
    if (!this.#isSameBoot(state)) return { do: 'end', outcome: 'succeeded', exitCode };
    const waitedMs = clock.now() - (state.rebootingAtMs ?? clock.now());
    const awake = AbortSignal.any([this.#signal, this.#cancelled]);
    await sleep(clock, Math.max(0, rebootWaitMs - Math.max(0, waitedMs)), awake).catch(() => undefined);
    this.#signal.throwIfAborted();
    if (this.#cancellation() !== undefined) return { do: 'end', outcome: 'cancelled', exitCode };
    const reason = `step "${this.#place.step.name}" asked for a restart of the machine, and there was none`;
    return { do: 'end', outcome: 'failed', exitCode, reason };
  }

  async #end(next: Extract<Next, { readonly do: 'end' }>): Promise<StepEnd> {
    const { clock, journal, progress, output } = this.#tools;
    const { payload, index, step } = this.#place;
    const state = this.#state();
    const outputBytes = await this.#outputBytes();
    const signal = 'signal' in next ? next.signal : next.exitCode === null ? undefined : signalOf(next.exitCode);
    const finishedAtMs = next.atMs ?? clock.now();
    const result: StepResult = {
      name: step.name,
      outcome: next.outcome,
      exitCode: next.exitCode,
      ...(signal === undefined ? {} : { signal }),
      startedAtMs: Math.min(state?.startedAtMs ?? finishedAtMs, finishedAtMs),
      finishedAtMs,
      outputBytes,
    };
    await journal.write({ type: 'stepEnded', planId: payload.planId, step: index, result });
    announce('stepEnded', { planId: payload.planId, step: step.name });
    progress.step('stepEnded', this.#place, exitCodeToTell(result));
    output.ended(payload.planId, index);
    await this.#tools.groups.sweep();
    return next.reason === undefined ? { result } : { result, reason: next.reason };
  }

  /** What the machine itself refuses (a file, a folder, the start of a process) fails the step and says so. */
  async #fail(error: unknown): Promise<StepEnd> {
    if (!(error instanceof PathRefused) && !(isSystemError(error) && this.#tools.journal.isOpen)) throw error;
    const reason = `step "${this.#place.step.name}": ${(error as Error).message}`;
    const state = this.#state();
    if (state !== undefined) await this.#noteInOutput(this.#files(state), reason);
    return await this.#end({ do: 'end', outcome: 'failed', exitCode: null, reason });
  }

  async #noteInOutput(files: AttemptFiles, line: string): Promise<void> {
    try {
      await this.#tools.machine.note(files, `torcello: ${line}\n`);
      this.#followOutput(files);
    } catch (error) {
      // The same trouble may stand in the way of this file; the result carries the line as its reason.
      if (!isSystemError(error)) throw error;
    }
  }

  #running(
    files: AttemptFiles,
    options: {
      readonly process: RunningAttempt['process'];
      readonly exited?: Promise<unknown>;
      readonly state: StepState;
    },
  ): RunningAttempt {
    const { clock } = this.#tools;
    const { exited, state } = options;
    return {
      files,
      process: options.process,
      ...(exited === undefined ? {} : { exited }),
      cancelled: this.#cancelled,
      timeLeftMs:
        this.#place.step.timeoutMs - (exited === undefined ? Math.max(0, clock.now() - state.attemptAtMs) : 0),
    };
  }

  #followOutput(files: AttemptFiles): void {
    const { payload, index, step } = this.#place;
    this.#tools.output.follow({
      deploymentId: payload.deploymentId,
      planId: payload.planId,
      index,
      step: step.name,
      file: files.output,
    });
  }

  async #outputBytes(): Promise<number> {
    const { planId } = this.#place.payload;
    const size = await this.#tools.machine.size(path.join(this.#stepFolder, 'output'));
    return size + this.#tools.output.lostBytes(planId, this.#place.index);
  }

  async #applicationFolder(): Promise<string> {
    const folder = applicationFolder(this.#tools.applicationsFolder, this.#place.payload);
    await this.#tools.machine.makeFolder(folder, 0o755);
    return folder;
  }

  #state(): StepState | undefined {
    return this.#tools.journal.book.plan(this.#place.payload.planId)?.steps.get(this.#place.index);
  }

  #files(state: StepState): AttemptFiles {
    return attemptFiles(this.#stepFolder, state.attempt);
  }

  async #endBeforeReboot(files: AttemptFiles): Promise<AttemptEnd> {
    const evidence = await this.#tools.machine.evidence(files);
    return evidence.is === 'ended'
      ? { how: 'exited', exitCode: evidence.exitCode, atMs: evidence.atMs }
      : { how: 'vanished' };
  }

  #isSameBoot(state: StepState): boolean {
    return state.bootId === this.#tools.bootId;
  }

  /** By the journal, so that nothing starts after the record of a cancel. */
  #cancellation(): EndingRecord | undefined {
    const ending = this.#tools.journal.book.plan(this.#place.payload.planId)?.ending;
    return ending?.how === 'cancelled' ? ending : undefined;
  }
}

/** Whether it was the cancel that ended the attempt; what ended before it came has its own end. */
function isCutShort(end: AttemptEnd, ending: EndingRecord): boolean {
  return end.how !== 'exited' || end.atMs >= ending.atMs - fileTimeGrainMs;
}

/** `<applications>/<environment name>-<service id>`. */
export function applicationFolder(applications: string, payload: PlanPayload): string {
  return path.join(applications, folderName(payload.environment.name, payload.service.id));
}

function stepEnvironment(tools: StepTools, place: StepPlace, folder: string): Readonly<Record<string, string>> {
  const { payload, step } = place;
  return {
    ...tools.hostEnvironment,
    ...step.env,
    TORCELLO_NODE: tools.nodePath,
    TORCELLO_MACHINE: payload.machine.name,
    TORCELLO_ENVIRONMENT: payload.environment.name,
    TORCELLO_SERVICE: payload.service.id,
    TORCELLO_DEPLOYMENT: payload.deploymentId,
    TORCELLO_PLAN: payload.planId,
    TORCELLO_STEP: step.name,
    TORCELLO_FOLDER: folder,
  };
}

/** A shell reports a command that a signal ended as 128 and the signal's number. */
function signalOf(exitCode: number): string | undefined {
  return Object.entries(constants.signals).find(([, number]) => number === exitCode - 128)?.[0];
}

/** Progress knows a step's end by its exit code alone; a step without a command has none, one that restarted 194. */
function exitCodeToTell({ outcome, exitCode }: StepResult): number | null {
  return outcome === 'succeeded' ? 0 : exitCode;
}

function isSystemError(error: unknown): boolean {
  return systemCode(error) !== undefined && (error as NodeJS.ErrnoException).syscall !== undefined;
}
