import { sleep, type Clock } from '@torcello/platform';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { writeFileDurably } from '../files-sync.js';
import { identify, isAlive, listProcesses, type ProcessIdentity } from '../processes.js';
import { muranoLimits } from './limits.js';
import type { PlanFacts } from './read-plan.js';
import { runnerSource } from './runner-source.js';

export interface RunnerOptions {
  readonly python: string;
  readonly planSeconds: number;
  readonly downloadBytesMax: number;
  readonly clock: Clock;
  /** PATH, HOME and LANG of every plan. */
  readonly hostEnvironment: Readonly<Record<string, string>>;
}

/** A plan and where its traces go. */
export interface PlanOrder {
  readonly plan: PlanFacts;
  /** Folder of the plan in the store. */
  readonly folder: string;
  /** Folder under which each plan's files get a folder of their own. */
  readonly filesFolder: string;
}

/** There is no program that could run a plan. */
export class PythonMissing extends Error {
  readonly code = 'PYTHON_MISSING';
}

const pollMs = 100;
/** In the environment of runners, and of nothing that they start. */
const markName = 'TORCELLO_MURANO_RUN';

/**
 * Starts the runner of a plan; it writes `result.json` by itself, also when the agent is gone.
 * @throws PythonMissing
 */
export async function startRunner(order: PlanOrder, options: RunnerOptions): Promise<ProcessIdentity | undefined> {
  const { plan, folder, filesFolder } = order;
  const { planSeconds, downloadBytesMax } = options;
  const fixed = Object.entries(muranoLimits).map(([name, limit]) => [name, limit.value] as const);
  const document = {
    data: plan.text,
    id: plan.id,
    replyTo: plan.replyTo,
    files: path.join(filesFolder, folderNameOf(plan.id)),
    result: path.join(folder, 'result.json'),
    limits: { ...Object.fromEntries(fixed), planSeconds, downloadBytesMax },
  };
  const file = path.join(folder, 'order.json');
  await writeFileDurably(file, JSON.stringify(document), 0o600);
  const child = spawn(options.python, ['-I', '-X', 'utf8', '-c', runnerSource, file], {
    cwd: '/',
    env: { ...options.hostEnvironment, [markName]: folder },
    detached: true,
    stdio: 'ignore',
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new PythonMissing(`${options.python} cannot be run`, { cause })));
  });
  child.unref();
  return child.pid === undefined ? undefined : await identify(child.pid);
}

/** A runner that was started by an agent which ended before it could write that down. */
export async function findRunner(folder: string): Promise<ProcessIdentity | undefined> {
  const mark = `${markName}=${folder}`;
  const found = (await listProcesses()).find(({ environment }) => environment.includes(mark));
  return found === undefined ? undefined : await identify(found.pid);
}

/** Resolves when the process is gone, whoever's child it is. Rejects when the signal aborts first. */
export async function runnerEnded(process: ProcessIdentity, clock: Clock, signal: AbortSignal): Promise<void> {
  while (await isAlive(process)) await sleep(clock, pollMs, signal);
}

/** The plan's id where it can be the name of a folder, as murano-agent has it; else something that can. */
function folderNameOf(id: unknown): string {
  const text = String(id);
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(text) ? text : createHash('sha256').update(text).digest('hex');
}
