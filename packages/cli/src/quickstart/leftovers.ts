import { readdir, readFile } from 'node:fs/promises';
import { sleep, type Clock } from '@torcello/platform';

const patienceMs = 2_000;
const pollMs = 50;

/**
 * Ends every process that a step of an agent below `folder` left behind, services too: a step's processes carry their
 * folder in `TORCELLO_FOLDER`. Resolves with how many there were. Where the system does not tell environments: none.
 */
export async function endLeftovers(folder: string, clock: Clock): Promise<number> {
  const pids = await processesBelow(folder);
  for (const pid of pids) signal(pid, 'SIGTERM');
  const untilMs = clock.monotonicMs() + patienceMs;
  while ((await processesBelow(folder)).length > 0 && clock.monotonicMs() < untilMs) await sleep(clock, pollMs);
  for (const pid of await processesBelow(folder)) signal(pid, 'SIGKILL');
  return pids.length;
}

async function processesBelow(folder: string): Promise<readonly number[]> {
  const entries = await readdir('/proc').catch(() => []);
  const pids = entries.filter((entry) => /^\d+$/.test(entry)).map(Number);
  const isOurs = await Promise.all(pids.map((pid) => carriesFolder(pid, folder)));
  return pids.filter((pid, at) => isOurs[at] === true && pid !== process.pid);
}

async function carriesFolder(pid: number, folder: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  return environment.split('\0').some((entry) => entry.startsWith(`TORCELLO_FOLDER=${folder}/`));
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended meanwhile.
  }
}
