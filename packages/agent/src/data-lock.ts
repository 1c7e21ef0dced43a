import { mkdir, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { AgentError, systemCode } from './errors.js';
import { identify, isAlive } from './processes.js';

/** Holds a data folder, so that two agents never work in one. */
export interface DataLock {
  release(): Promise<void>;
}

/**
 * Takes the folder. A lock whose process is gone (by id and start time) is taken over.
 * @throws AgentError DATA_IN_USE
 */
export async function lockData(dataFolder: string): Promise<DataLock> {
  await makeFolder(dataFolder);
  const file = path.join(dataFolder, 'agent.lock');
  for (let isRetry = false; ; isRetry = true) {
    if (await tryLock(file)) return { release: () => rm(file, { force: true }) };
    const holder = await readHolder(file);
    if (holder !== undefined && (await isAlive(holder))) throw inUse(dataFolder, String(holder.pid));
    if (isRetry) throw inUse(dataFolder, 'unknown');
    await rm(file, { force: true });
  }
}

async function makeFolder(dataFolder: string): Promise<void> {
  try {
    await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const message = `the data folder ${dataFolder} cannot be made (${systemCode(error) ?? 'unknown'}): name another with --data`;
    throw new AgentError('DATA_UNREADABLE', message, error);
  }
}

async function tryLock(file: string): Promise<boolean> {
  const self = await identify(process.pid);
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(`${process.pid} ${self?.startTicks ?? ''}\n`);
    await handle.close();
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw new AgentError('DATA_UNREADABLE', `${file} cannot be written: ${(error as Error).message}`, error);
  }
}

async function readHolder(file: string): Promise<{ readonly pid: number; readonly startTicks: string } | undefined> {
  const [pid = '', startTicks = ''] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
  return /^\d+$/.test(pid) ? { pid: Number(pid), startTicks } : undefined;
}

function inUse(dataFolder: string, pid: string): AgentError {
  return new AgentError(
    'DATA_IN_USE',
    `another agent (process ${pid}) works in ${dataFolder}: stop it, or take another folder with --data`,
  );
}
