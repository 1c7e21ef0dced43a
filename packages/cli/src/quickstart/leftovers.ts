import { readdir, readFile } from 'node:fs/promises';
import { sleep, systemClock, type Clock } from '@torcello/platform';

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

/** So long the agents of a killed quickstart get to end by themselves, before what their steps left is looked for. */
const agentsEndMs = 1_000;
/** A keeper waits for as long as its quickstart runs; a hundred years. */
const waitMsMax = 3_155_760_000_000;

/**
 * The keeper's whole life: waits, and when the quickstart is gone without a word ends what it left below `folder`.
 * Told to stop by a quickstart that lives, it only ends.
 */
export async function endLeftoversOfOrphan(folder: string): Promise<void> {
  const hold = systemClock.after(waitMsMax, () => undefined);
  const ended = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
  });
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
  await ended;
  hold.cancel();
  if (process.connected) return;
  await sleep(systemClock, agentsEndMs);
  await endLeftovers(folder, systemClock);
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
