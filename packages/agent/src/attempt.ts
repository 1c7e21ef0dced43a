import { spawn } from 'node:child_process';
import { link, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import path from 'node:path';
import { systemCode } from './errors.js';
import { identify, startTicksOf, type ProcessIdentity } from './processes.js';
import { procsFile } from './step-groups.js';
import { wrapperScript } from './wrapper.js';

/** Where the traces of a step's attempts lie: `<runs>/<plan>/<step>/`. The output is shared by all attempts. */
export interface AttemptFiles {
  readonly folder: string;
  readonly claim: string;
  readonly status: string;
  readonly output: string;
}

export interface CommandToRun {
  /** Program and arguments. */
  readonly words: readonly string[];
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Folder of the control group for its processes. */
  readonly group?: string | undefined;
}

/** What is known of an attempt from the files that its wrapper writes. */
export type Evidence =
  | { readonly is: 'unclaimed' }
  /** The agent made the claim itself: the command never started. */
  | { readonly is: 'void' }
  | { readonly is: 'ended'; readonly exitCode: number; readonly atMs: number }
  /** Claimed, and no status yet. Without `process` the claim is only half written. */
  | { readonly is: 'claimed'; readonly process: ProcessIdentity | undefined };

/** A command whose wrapper was started by this agent. */
export interface StartedCommand {
  readonly process: ProcessIdentity | undefined;
  /** Resolves when the wrapper is gone. */
  readonly exited: Promise<unknown>;
}

export function attemptFiles(stepFolder: string, attempt: number): AttemptFiles {
  return {
    folder: stepFolder,
    claim: path.join(stepFolder, `${attempt}.claim`),
    status: path.join(stepFolder, `${attempt}.status`),
    output: path.join(stepFolder, 'output'),
  };
}

/** Starts the command under the wrapper. @throws a system error when not even the wrapper can be started. */
export async function startCommand(files: AttemptFiles, command: CommandToRun): Promise<StartedCommand> {
  await mkdir(files.folder, { recursive: true, mode: 0o700 });
  const output = await open(files.output, 'a', 0o600);
  try {
    const { words, folder: cwd, env, group } = command;
    const procs = group === undefined ? '' : procsFile(group);
    const child = spawn('/bin/sh', ['-c', wrapperScript, 'torcello-step', files.claim, files.status, procs, ...words], {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    await once(child, 'spawn');
    // An agent that ends does not wait for the step: the next one does.
    child.unref();
    return { process: child.pid === undefined ? undefined : await identify(child.pid), exited };
  } finally {
    await output.close();
  }
}

/** Reads what the wrapper of an attempt left. A status counts whatever became of the claim. */
export async function readEvidence(files: AttemptFiles): Promise<Evidence> {
  const status = /^(\d{1,3}) end\n$/.exec((await readIfThere(files.status)) ?? '');
  if (status !== null) {
    return { is: 'ended', exitCode: Number(status[1]), atMs: Math.round((await stat(files.status)).mtimeMs) };
  }
  const claim = await readIfThere(files.claim);
  if (claim === undefined) return { is: 'unclaimed' };
  if (claim === voidClaim) return { is: 'void' };
  return { is: 'claimed', process: claim.endsWith('\nend\n') ? processOf(claim) : undefined };
}

/** Makes sure that an unclaimed attempt never starts. False when its wrapper was quicker. */
export async function voidAttempt(files: AttemptFiles): Promise<boolean> {
  await mkdir(files.folder, { recursive: true, mode: 0o700 });
  try {
    const prepared = `${files.claim}.void`;
    await writeFile(prepared, voidClaim, { mode: 0o600 });
    await link(prepared, files.claim);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

const voidClaim = 'void\n';

function processOf(claim: string): ProcessIdentity | undefined {
  const startTicks = startTicksOf(claim.split('\nend\n')[0] ?? '');
  const pid = Number.parseInt(claim, 10);
  return startTicks === undefined || Number.isNaN(pid) ? undefined : { pid, startTicks };
}

async function readIfThere(file: string): Promise<string | undefined> {
  return await readFile(file, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
}
