import { readFile, readdir } from 'node:fs/promises';

/** A process that no other can be mistaken for, within one boot: ids are used again, start times are not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the boot to its start; field 22 of `/proc/<pid>/stat`. */
  readonly startTicks: string;
}

/** Changes with every boot of the machine. `none` where the system does not tell. */
export async function readBootId(): Promise<string> {
  const id = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'none');
  return id.trim();
}

/** The start time in a line of `/proc/<pid>/stat`. The name in brackets before it may hold anything. */
export function startTicksOf(stat: string): string | undefined {
  return fieldsAfterName(stat)[19];
}

/** Undefined when there is no such process, or only its remains wait for its parent. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state] = fieldsAfterName(stat);
  const startTicks = startTicksOf(stat);
  return startTicks === undefined || state === 'Z' || state === 'X' ? undefined : { pid, startTicks };
}

export async function isAlive(process: ProcessIdentity): Promise<boolean> {
  return (await identify(process.pid))?.startTicks === process.startTicks;
}

/** Processes of a group that carry the mark in their environment, so that a stranger with the same id is never hit. */
export async function markedInGroup(group: number, mark: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => ((await isMarked(pid, group, mark)) ? [pid] : [])));
  return found.flat();
}

/** One process of the machine, as far as this user may look. */
export interface ListedProcess {
  readonly pid: number;
  readonly parent: number;
  readonly processGroup: number;
  /** `NAME=value` as it was at its start; empty where it may not be read. */
  readonly environment: readonly string[];
}

/** All processes but those of which only the remains wait for their parent. */
export async function listProcesses(): Promise<readonly ListedProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  return (await Promise.all(pids.map(listed))).flat();
}

async function listed(pid: number): Promise<readonly ListedProcess[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, parent, processGroup] = fieldsAfterName(stat);
  if (state === undefined || state === 'Z' || state === 'X') return [];
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
  return [{ pid, parent: Number(parent), processGroup: Number(processGroup), environment: environment.split('\0') }];
}

/** False when there is nothing to send it to, or it may not be sent. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function isMarked(pid: number, group: number, mark: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, , processGroup] = fieldsAfterName(stat);
  if (processGroup !== String(group) || state === 'Z') return false;
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
  return environment.split('\0').includes(mark);
}

function fieldsAfterName(stat: string): readonly string[] {
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .trim()
    .split(' ')
    .filter((field) => field !== '');
}
