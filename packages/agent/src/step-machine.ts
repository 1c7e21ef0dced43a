import type { PlanFile } from '@torcello/contracts/agent';
import { access, appendFile, mkdir, open, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import {
  readEvidence,
  startCommand,
  voidAttempt,
  type AttemptFiles,
  type CommandToRun,
  type Evidence,
  type StartedCommand,
} from './attempt.js';
import { endTree, type StepTree, type TreeEnd, type TreeWorld } from './end-tree.js';
import { systemCode } from './errors.js';
import { layFiles, removeWhenEmpty } from './lay-files.js';
import { isAlive, type ProcessIdentity } from './processes.js';

/** Output of a step as it is read while it grows. */
export type OutputFile = Pick<FileHandle, 'close' | 'read' | 'stat' | 'truncate'>;

/** The machine as steps need it: files and processes. A simulation hands in another. */
export interface StepMachine {
  /** Makes the folder and those above it. */
  makeFolder(folder: string, mode: number): Promise<void>;
  exists(place: string): Promise<boolean>;
  /** The folder with everything in it; fine when there is none. */
  removeFolder(folder: string): Promise<void>;
  /** False when something is in it. */
  removeWhenEmpty(folder: string): Promise<boolean>;
  /** Lays down, or removes, the files of a step. @throws PathRefused, or a system error. */
  layFiles(folder: string, files: readonly PlanFile[]): Promise<void>;
  /** @throws a system error when nothing can be started. */
  start(files: AttemptFiles, command: CommandToRun): Promise<StartedCommand>;
  evidence(files: AttemptFiles): Promise<Evidence>;
  /** Makes sure that an unclaimed attempt never starts. False when its wrapper was quicker. */
  voidAttempt(files: AttemptFiles): Promise<boolean>;
  isAlive(process: ProcessIdentity): Promise<boolean>;
  endTree(tree: StepTree, graceMs: number, world: TreeWorld): Promise<TreeEnd>;
  /** Bytes of a file; 0 when there is none. */
  size(file: string): Promise<number>;
  /** Adds a line of the agent to a step's output. */
  note(files: AttemptFiles, line: string): Promise<void>;
  /** Undefined when the step has written nothing yet. */
  openOutput(file: string): Promise<OutputFile | undefined>;
}

/** The machine that the agent runs on. */
export const systemMachine: StepMachine = {
  makeFolder: async (folder, mode) => void (await mkdir(folder, { recursive: true, mode })),
  exists: (place) =>
    access(place).then(
      () => true,
      () => false,
    ),
  removeFolder: (folder) => rm(folder, { recursive: true, force: true }),
  removeWhenEmpty,
  layFiles,
  start: startCommand,
  evidence: readEvidence,
  voidAttempt,
  isAlive,
  endTree,
  size: (file) =>
    stat(file).then(
      ({ size }) => size,
      () => 0,
    ),
  note: async ({ folder, output }, line) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await appendFile(output, line);
  },
  openOutput: (file) =>
    open(file, 'r+').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }),
};

/** A program without a slash is taken from the application's folder when it is there, else found by PATH. */
export async function localProgram(
  machine: StepMachine,
  words: readonly string[],
  folder: string,
): Promise<readonly string[]> {
  const [program = '', ...rest] = words;
  if (program.includes('/')) return words;
  return (await machine.exists(path.join(folder, program))) ? [`./${program}`, ...rest] : words;
}
