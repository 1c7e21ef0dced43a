import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

import { syncFolder, writeDurably } from './durable-file.js';

/**
 * Version of the data folder that this broker writes, and the highest that it reads. 2: the database has a journal beside
 * it, which a broker that knows nothing of it would not read. 3: an orderly stop leaves a mark, which the next start must
 * take away, messages may have hidden copies, and bodies that several queues share lie in a place of their own.
 */
export const formatVersion = 3;

const lockName = 'broker.lock';
const formatName = 'format.json';
const databaseName = 'broker.lmdb';
const lockAttemptsMax = 3;

export type DataFolderErrorCode = 'FOLDER_IN_USE' | 'FORMAT_TOO_NEW' | 'FOLDER_UNUSABLE';

/** Why a data folder cannot be opened. The message is one line for a person. */
export class DataFolderError extends Error {
  readonly code: DataFolderErrorCode;

  constructor(code: DataFolderErrorCode, text: string, cause?: unknown) {
    super(text, cause === undefined ? undefined : { cause });
    this.name = 'DataFolderError';
    this.code = code;
  }
}

/** A data folder held by this process alone. */
export interface DataFolder {
  readonly path: string;
  /** Path of the database file. */
  readonly database: string;
  /** Space for unprivileged writers, in bytes. */
  freeBytes(): number;
  /** Lets another broker have it. Safe to call twice. */
  release(): void;
}

/** Who holds a lock: a process that may be dead, and a number that may belong to another one by now. */
interface Holder {
  readonly pid: number;
  /** Start of the process, in clock ticks since the machine's boot; undefined where the system does not tell. */
  readonly startTicks: string | undefined;
}

/**
 * Makes the folder if it is missing and takes it for this process.
 * @throws DataFolderError: FOLDER_IN_USE names folder and process, FORMAT_TOO_NEW both versions.
 */
export function openDataFolder(path: string): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    takeLock(path);
  } catch (error) {
    if (error instanceof DataFolderError) throw error;
    throw new DataFolderError('FOLDER_UNUSABLE', `the data folder ${path} cannot be used: ${textOf(error)}`, error);
  }
  let isHeld = true;
  const release = (): void => {
    if (isHeld) rmSync(join(path, lockName), { force: true });
    isHeld = false;
  };
  try {
    checkFormat(path);
  } catch (error) {
    release();
    throw error;
  }
  return { path, database: join(path, databaseName), freeBytes: () => freeBytes(path), release };
}

/** The process that holds a folder; undefined when none does. */
export function folderHolder(path: string): number | undefined {
  const holder = readHolder(join(path, lockName));
  return holder !== undefined && isRunning(holder) ? holder.pid : undefined;
}

/** A lock file is made in one step or not at all; one of a dead process is taken over. */
function takeLock(path: string): void {
  const file = join(path, lockName);
  const mine: Holder = { pid: process.pid, startTicks: startTicks(process.pid) };
  for (let attempt = 0; attempt < lockAttemptsMax; attempt++) {
    try {
      return writeFileSync(file, JSON.stringify(mine), { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(file);
    if (holder !== undefined && isRunning(holder)) {
      const text = `the data folder ${path} is in use by the broker with process id ${holder.pid}; stop that one first`;
      throw new DataFolderError('FOLDER_IN_USE', text);
    }
    rmSync(file, { force: true });
  }
  throw new DataFolderError('FOLDER_IN_USE', `the data folder ${path} is being taken by another broker`);
}

function readHolder(file: string): Holder | undefined {
  try {
    const { pid, startTicks: ticks } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return typeof pid === 'number' ? { pid, startTicks: ticks } : undefined;
  } catch {
    return undefined;
  }
}

function isRunning(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const [state, ticks] = [statField(holder.pid, stateField), startTicks(holder.pid)];
  if (state === 'Z' || state === 'X') return false;
  return ticks === undefined || holder.startTicks === undefined || ticks === holder.startTicks;
}

/** Fields of /proc/PID/stat, counted from 1. A process in state Z has ended, and only its parent has not asked yet. */
const [stateField, startField] = [3, 22];

function startTicks(pid: number): string | undefined {
  return statField(pid, startField);
}

/** The second field is a name in brackets that may hold anything. Undefined where there is no such file. */
function statField(pid: number, field: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[field - 3];
  } catch {
    return undefined;
  }
}

function checkFormat(path: string): void {
  const file = join(path, formatName);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    writeFormat(file);
    return syncFolder(dirname(path));
  }
  const { format } = JSON.parse(text) as { format?: unknown };
  if (typeof format !== 'number') throw new DataFolderError('FOLDER_UNUSABLE', `${file} names no format version`);
  if (format < formatVersion) return writeFormat(file);
  if (format === formatVersion) return;
  const text2 = `the data folder ${path} has format version ${format}, this broker reads up to ${formatVersion}; use a newer broker`;
  throw new DataFolderError('FORMAT_TOO_NEW', text2);
}

function writeFormat(file: string): void {
  writeDurably(file, `${JSON.stringify({ format: formatVersion })}\n`);
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
