import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { sleep, type Clock } from '@torcello/platform';
import { CliError } from '../cli-error.js';
import { exitCodes } from '../exit-codes.js';
import { endWithParent } from '../plant/program-bins.js';
import { lastLines } from './log-tail.js';
import { readyLineOf, type ReadyLine } from './ready-line.js';

/** How a program is started. */
export interface ProgramStart {
  readonly script: string;
  readonly args: readonly string[];
  /** The whole environment of the child; secrets travel here and not among the arguments. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ChildOptions {
  readonly name: string;
  /** Children of one group are ended together. Default: a group of its own. */
  readonly group?: string;
  /** Asked before every start. `last` is what the program said when it was ready before: so it gets its old port again. */
  readonly program: (last: ReadyLine | undefined) => ProgramStart;
  /** Everything the program writes to stderr is added to this file. */
  readonly logFile: string;
  readonly clock: Clock;
  /** Told of every start, ready line, and end that was not asked for. */
  readonly onEvent?: (event: ChildEvent) => void;
  readonly limits?: Partial<ChildLimits>;
}

export type ChildEvent =
  | { readonly type: 'started'; readonly name: string; readonly pid: number; readonly atMs: number }
  | { readonly type: 'ready'; readonly name: string; readonly line: ReadyLine }
  | { readonly type: 'died'; readonly name: string; readonly how: string; readonly restartInMs: number };

export interface ChildLimits {
  /** First pause before a restart; doubles up to the longest. */
  readonly backOffMinMs: number;
  readonly backOffMaxMs: number;
  /** A child that lived so long starts again with the shortest pause. */
  readonly settledAfterMs: number;
  /** So long a child may take to end after SIGTERM before it is killed. */
  readonly stopMs: number;
  /** So long a child may take to its first ready line; then the start has failed. */
  readonly readyMs: number;
}

export const childLimits: ChildLimits = {
  backOffMinMs: 100,
  backOffMaxMs: 5_000,
  settledAfterMs: 10_000,
  stopMs: 10_000,
  readyMs: 60_000,
};

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

type State = 'idle' | 'running' | 'stopping' | 'stopped';

/**
 * One child process that is started again whenever it dies, until it is stopped. The child prints one ready line of
 * JSON on stdout. A child that gives up by itself before it was ever ready has refused its configuration: that fails
 * the start. One that was killed, or ended with exit code 4 (somebody it needs cannot be reached), is started again.
 */
export class SupervisedChild {
  readonly #options: ChildOptions;
  readonly #limits: ChildLimits;
  readonly #stopping = new AbortController();
  #state: State = 'idle';
  #process: ChildProcess | undefined;
  #last: ReadyLine | undefined;
  /** Where the log stood when the running process was started. */
  #logOffset = 0;
  #living: Promise<void> = Promise.resolve();

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#limits = { ...childLimits, ...options.limits };
  }

  get name(): string {
    return this.#options.name;
  }

  get group(): string {
    return this.#options.group ?? this.#options.name;
  }

  /** Pid of the running process; undefined between two of them. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Resolves with the first ready line. @throws CliError `child_failed` with the last lines that the child wrote. */
  start(): Promise<ReadyLine> {
    if (this.#state !== 'idle') throw new TypeError(`${this.name} was started before`);
    this.#state = 'running';
    return new Promise((resolve, reject) => {
      this.#living = this.#live(resolve, reject);
    });
  }

  /** Ends the child (SIGTERM, after a while SIGKILL) and resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#state === 'idle') this.#state = 'stopped';
    if (this.#state === 'running') this.#state = 'stopping';
    this.#stopping.abort();
    this.#process?.kill('SIGTERM');
    const patience = this.#options.clock.after(this.#limits.stopMs, () => this.#process?.kill('SIGKILL'));
    await this.#living;
    patience.cancel();
    this.#state = 'stopped';
  }

  /** Ends the child at once. Call `stop` to wait for it. */
  kill(): void {
    if (this.#state === 'running') this.#state = 'stopping';
    this.#stopping.abort();
    this.#process?.kill('SIGKILL');
  }

  async #live(onFirstReady: (line: ReadyLine) => void, onRefused: (error: unknown) => void): Promise<void> {
    let backOffMs = this.#limits.backOffMinMs;
    while (this.#state === 'running') {
      const startedAtMs = this.#options.clock.monotonicMs();
      let ended: Ended | string;
      try {
        ended = await this.#runOnce(onFirstReady);
      } catch (error) {
        return onRefused(error);
      }
      if (this.#state !== 'running') break;
      if (this.#last === undefined && isRefusal(ended)) return onRefused(this.#refusal(ended));
      if (this.#options.clock.monotonicMs() - startedAtMs > this.#limits.settledAfterMs) {
        backOffMs = this.#limits.backOffMinMs;
      }
      this.#options.onEvent?.({ type: 'died', name: this.name, how: describe(ended), restartInMs: backOffMs });
      await this.#pause(backOffMs);
      backOffMs = Math.min(backOffMs * 2, this.#limits.backOffMaxMs);
    }
    onRefused(
      new CliError('stopped', `${this.name} was stopped before it was ready`, { exitCode: exitCodes.cancelled }),
    );
  }

  /** Starts the process and resolves when it has ended; a text when it could not be started. */
  async #runOnce(onReady: (line: ReadyLine) => void): Promise<Ended | string> {
    const { clock, logFile, onEvent, name } = this.#options;
    const { script, args, env } = this.#options.program(this.#last);
    const log = openSync(logFile, 'a', 0o600);
    this.#logOffset = fstatSync(log).size;
    // A group of its own: Ctrl-C reaches the supervisor only, which ends its children in their order.
    // The channel closes when this process is gone, even by kill -9: then the child ends by itself.
    const child = spawn(process.execPath, [...endWithParent(), script, ...args], {
      env,
      stdio: ['ignore', 'pipe', log, 'ipc'],
      detached: true,
    });
    closeSync(log);
    const ended = endOf(child);
    if (child.pid === undefined || child.stdout === null) return ended;
    this.#process = child;
    onEvent?.({ type: 'started', name, pid: child.pid, atMs: clock.now() });
    let isLate = false;
    const tooLate = clock.after(this.#limits.readyMs, () => {
      isLate = this.#last === undefined;
      if (isLate) child.kill('SIGKILL');
    });
    readyLineOf(child.stdout, (line) => {
      this.#last = line;
      tooLate.cancel();
      onEvent?.({ type: 'ready', name, line });
      onReady(line);
    });
    try {
      const end = await ended;
      return isLate ? `not ready after ${this.#limits.readyMs} ms` : end;
    } finally {
      tooLate.cancel();
      this.#process = undefined;
    }
  }

  async #pause(delayMs: number): Promise<void> {
    try {
      await sleep(this.#options.clock, delayMs, this.#stopping.signal);
    } catch {
      // Stopped meanwhile; the loop sees it.
    }
  }

  #refusal(ended: Ended | string): CliError {
    const { logFile } = this.#options;
    const said = lastLines(logFile, 3, this.#logOffset).map((line) => line.replace(/^torcello-[a-z]+: /, ''));
    const message = said.length === 0 ? `it ended before it was ready (${describe(ended)})` : said.join('\n  ');
    return new CliError('child_failed', `${this.name}: ${message}`, {
      exitCode: exitCodes.usage,
      cure: `its whole log is in ${logFile}`,
    });
  }
}

/** A killed program is no refusal, nor is one that did not find whom it needs: that may come. */
function isRefusal(ended: Ended | string): boolean {
  return typeof ended === 'string' || (ended.signal === null && ended.code !== exitCodes.unreachable);
}

function endOf(child: ChildProcess): Promise<Ended | string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

function describe(ended: Ended | string): string {
  if (typeof ended === 'string') return ended;
  return ended.signal === null ? `exit code ${ended.code}` : ended.signal;
}
