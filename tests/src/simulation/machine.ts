import { sleep } from '@torcello/platform';
import type { Random } from '@torcello/platform';
import type {
  AttemptFiles,
  CommandToRun,
  Evidence,
  OutputFile,
  StartedCommand,
  StepMachine,
  StepTree,
  TreeEnd,
  TreeWorld,
} from '@torcello/agent/testing';
import type { Ledger, Policy } from './ledger.js';
import type { Life, WorldClock } from './world-clock.js';

/** What becomes of a step of the simulated application that is cut off, by its name. */
export const policies: Readonly<Record<string, Policy>> = {
  prepare: 'fail',
  start: 'rerun',
  join: 'check',
  alive: 'rerun',
};

const claimMsMax = 10;
const stepMsMax = 3_000;
const probeMsMax = 300;
const failureRate = 0.04;
/** So young traces may be gone after a loss of power. */
const unsyncedMs = 5_000;

interface Attempt {
  readonly pid: number;
  readonly planId: string;
  claimedAtMs: number | undefined;
  isVoid: boolean;
  isAlive: boolean;
  status: { readonly exitCode: number; readonly atMs: number } | undefined;
  /** Calls when its wrapper is gone. */
  readonly onExit: (() => void)[];
}

/** A machine on which steps run: they go on when their agent dies, and end when the machine does. */
export class SimulatedMachine {
  readonly name: string;
  readonly #clock: WorldClock;
  readonly #random: Random;
  readonly #ledger: Ledger;
  readonly #attempts = new Map<string, Attempt>();
  readonly #outputs = new Map<string, Buffer>();
  /** By plan and step: all that it ever printed. */
  readonly printed: Map<string, string> = new Map<string, string>();
  #boots = 1;
  #pids = 100;

  constructor(parts: {
    readonly name: string;
    readonly clock: WorldClock;
    readonly random: Random;
    readonly ledger: Ledger;
  }) {
    this.name = parts.name;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#ledger = parts.ledger;
  }

  get bootId(): string {
    return `${this.name} boot ${this.#boots}`;
  }

  /** The power goes and comes back: nothing runs any more, and the newest files may be gone. */
  reboot(): void {
    this.#boots += 1;
    for (const attempt of this.#attempts.values()) {
      attempt.isAlive = false;
      const mayLose = (atMs: number | undefined): boolean =>
        atMs !== undefined && this.#clock.monotonicMs - atMs < unsyncedMs && this.#random.fraction() < 0.3;
      if (mayLose(attempt.status?.atMs)) attempt.status = undefined;
      if (attempt.status === undefined && mayLose(attempt.claimedAtMs)) attempt.claimedAtMs = undefined;
    }
  }

  /** The machine as an agent in this process uses it. */
  of(life: Life): StepMachine {
    const none = (): Promise<void> => Promise.resolve();
    return {
      makeFolder: none,
      layFiles: none,
      exists: async (place) => [...this.#attempts.keys()].some((claim) => claim.startsWith(`${place}/`)),
      removeFolder: async (folder) => this.#remove(`${folder}/`),
      removeWhenEmpty: () => Promise.resolve(true),
      start: (files, command) => this.#start(files, command, life),
      evidence: async (files) => this.#evidence(files),
      voidAttempt: async (files) => this.#void(files),
      isAlive: async ({ pid }) => this.#living().some((attempt) => attempt.pid === pid),
      endTree: (tree, graceMs, world) => this.#endTree(tree, graceMs, world),
      size: async (file) => this.#outputs.get(file)?.length ?? 0,
      note: async ({ output }, line) => this.#append(output, line),
      openOutput: async (file) => this.#open(file),
    };
  }

  #living(): readonly Attempt[] {
    return [...this.#attempts.values()].filter(({ isAlive }) => isAlive);
  }

  async #start(files: AttemptFiles, { words, env }: CommandToRun, life: Life): Promise<StartedCommand> {
    const pid = (this.#pids += 1);
    const planId = env['TORCELLO_PLAN'] ?? '';
    const known = this.#attempts.get(files.claim);
    const onExit: (() => void)[] = [];
    const attempt: Attempt = {
      ...{ pid, planId, onExit, claimedAtMs: undefined, status: undefined, isAlive: true },
      isVoid: known?.isVoid ?? false,
    };
    this.#attempts.set(files.claim, attempt);
    if (!this.#outputs.has(files.output)) this.#outputs.set(files.output, Buffer.alloc(0));
    const exited = new Promise<void>((resolve) => onExit.push(() => life.do(resolve)));
    this.#later(attempt, this.#random.fraction() * claimMsMax, () => {
      if (attempt.isVoid) return this.#exit(attempt, undefined);
      attempt.claimedAtMs = this.#clock.monotonicMs;
      const step = env['TORCELLO_STEP'] ?? '';
      if (words[0] === 'probe') this.#probe(attempt, `${planId}/${step}`);
      else this.#work(attempt, { key: `${planId}/${step}`, step, output: files.output });
    });
    return { process: { pid, startTicks: '1' }, exited };
  }

  #probe(attempt: Attempt, key: string): void {
    this.#later(attempt, this.#random.fraction() * probeMsMax, () =>
      this.#exit(attempt, this.#ledger.isDone(key) ? 0 : 1),
    );
  }

  /** Prints a few lines, does its work or fails, and leaves its exit status a moment later. */
  #work(attempt: Attempt, of: { readonly key: string; readonly step: string; readonly output: string }): void {
    const { key, step, output } = of;
    this.#ledger.started(key, this.bootId, policies[step] ?? 'fail');
    const durationMs = this.#random.fraction() * stepMsMax;
    const lines = Math.floor(this.#random.fraction() * 4);
    for (let line = 1; line <= lines; line += 1) {
      this.#later(attempt, (durationMs * line) / (lines + 1), () => this.#print(output, key, `${line} of ${key}\n`));
    }
    const isGood = this.#random.fraction() >= failureRate;
    this.#later(attempt, durationMs, () => {
      if (isGood) this.#ledger.done(key);
      this.#print(output, key, `end of ${key}\n`);
      this.#later(attempt, this.#random.fraction() * claimMsMax, () => this.#exit(attempt, isGood ? 0 : 1));
    });
  }

  #print(output: string, key: string, line: string): void {
    this.printed.set(key, `${this.printed.get(key) ?? ''}${line}`);
    this.#append(output, line);
  }

  /** Only if the attempt still runs then. */
  #later(attempt: Attempt, delayMs: number, action: () => void): void {
    this.#clock.after(delayMs, () => void (attempt.isAlive && action()));
  }

  #exit(attempt: Attempt, exitCode: number | undefined): void {
    attempt.isAlive = false;
    if (exitCode !== undefined) attempt.status = { exitCode, atMs: this.#clock.monotonicMs };
    for (const tell of attempt.onExit.splice(0)) tell();
  }

  #evidence({ claim }: AttemptFiles): Evidence {
    const attempt = this.#attempts.get(claim);
    if (attempt?.status !== undefined) {
      const { exitCode, atMs } = attempt.status;
      return { is: 'ended', exitCode, atMs: Math.floor(this.#clock.startMs + atMs) };
    }
    if (attempt?.isVoid === true) return { is: 'void' };
    if (attempt?.claimedAtMs === undefined) return { is: 'unclaimed' };
    return { is: 'claimed', process: { pid: attempt.pid, startTicks: '1' } };
  }

  #void({ claim }: AttemptFiles): boolean {
    const attempt = this.#attempts.get(claim);
    if (attempt?.claimedAtMs !== undefined) return false;
    const blank = { pid: 0, planId: '', claimedAtMs: undefined, isAlive: false, status: undefined, onExit: [] };
    this.#attempts.set(claim, Object.assign(attempt ?? { ...blank, isVoid: true }, { isVoid: true }));
    return true;
  }

  /** Half of the steps end when they are asked, the others are killed. */
  async #endTree(tree: StepTree, graceMs: number, { clock, signal }: TreeWorld): Promise<TreeEnd> {
    let hasKilled = false;
    for (const attempt of this.#living().filter(({ planId }) => planId === tree.planId)) {
      const isObedient = this.#random.fraction() < 0.5;
      await sleep(clock, isObedient ? this.#random.fraction() * Math.min(graceMs, 500) : graceMs, signal);
      if (!attempt.isAlive) continue;
      hasKilled ||= !isObedient;
      this.#ledger.note(`${attempt.planId} is ended`);
      this.#exit(attempt, isObedient ? 143 : 137);
    }
    return { hasKilled, left: 0 };
  }

  #append(file: string, line: string): void {
    this.#outputs.set(file, Buffer.concat([this.#outputs.get(file) ?? Buffer.alloc(0), Buffer.from(line)]));
  }

  #remove(prefix: string): void {
    for (const map of [this.#attempts, this.#outputs])
      for (const name of [...map.keys()]) if (name.startsWith(prefix)) map.delete(name);
  }

  #open(file: string): OutputFile | undefined {
    if (!this.#outputs.has(file)) return undefined;
    const content = (): Buffer => this.#outputs.get(file) ?? Buffer.alloc(0);
    const handle = {
      close: () => Promise.resolve(),
      stat: () => Promise.resolve({ size: content().length }),
      truncate: () => Promise.reject(new TypeError('nobody prints that much here')),
      read: (buffer: Buffer, offset: number, length: number, position: number) =>
        Promise.resolve({ buffer, bytesRead: content().copy(buffer, offset, position, position + length) }),
    };
    return handle as unknown as OutputFile;
  }
}
