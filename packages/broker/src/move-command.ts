import { realpathSync } from 'node:fs';
import process from 'node:process';
import { sleep, systemClock, systemRandom } from '@torcello/platform';
import type { Clock } from '@torcello/platform';
import { readRunningIfAny } from './admin.js';
import { startBroker } from './broker.js';
import type { Broker } from './broker.js';
import { folderHolder, openDataFolder, DataFolderError } from './data-folder.js';
import type { DataFolder } from './data-folder.js';
import { DiskReserve } from './disk-reserve.js';
import { defaultLimits } from './limits.js';
import { move } from './move/move.js';
import { moveMemory } from './move/move-state.js';
import { MoveTelling } from './move/move-telling.js';
import { targetFrom } from './move/target-address.js';
import { TargetClient } from './move/target-client.js';
import type { TargetAddress } from './move/target-address.js';
import { MoveRefused, MoveUnfinished, TargetError } from './move/target-error.js';
import { openStore } from './open-store.js';

/** Time that a running broker has for its end, in milliseconds, and how often its end is looked for. */
const endMsMax = 60_000;
const endCheckMs = 100;
/** After how long a target that went away is tried again, in milliseconds, and how often without a message moved. */
const retryMs = 3_000;
const retriesMax = 10;
/** Reply codes of what may be over soon: no code (the connection went, a message was refused), forced, internal error. */
const passing: ReadonlySet<number> = new Set([0, 320, 541]);

export interface MoveWish {
  readonly folder: string;
  readonly to: string;
}

/**
 * Moves everything durable of a data folder to another broker; one that runs from it is stopped first. Prints a line a queue
 * and a sum; how far it is goes to standard error. @throws MoveRefused, DataFolderError, TargetError.
 */
export async function runMove(wish: MoveWish): Promise<void> {
  const target = targetFrom(wish.to);
  await checkEntry(target);
  await stopRunning(wish.folder, systemClock);
  const folder = await openWhenFree(wish.folder, systemClock);
  const told = new MoveTelling(folder, target);
  try {
    for (let failed = 0; ;) {
      const before = told.total;
      const error = await tryMove(folder, target, told);
      if (error === undefined) return;
      failed = told.total > before ? 1 : failed + 1;
      if (!error.isPassing || !told.hasBegun || failed > retriesMax) throw error;
      told.tell(`${error.reason}; trying again in ${retryMs / 1000} s`);
      await sleep(systemClock, retryMs);
    }
  } finally {
    folder.release();
  }
}

/** A broker is not stopped for a target that lets nobody in. @throws MoveRefused. */
async function checkEntry(target: TargetAddress): Promise<void> {
  try {
    const client = await TargetClient.open(target, { clock: systemClock });
    await client.close();
  } catch (error) {
    if (error instanceof TargetError) throw new MoveRefused(`${error.message}. Nothing was moved, nothing was stopped`);
    throw error;
  }
}

/** Undefined when the move is done. Each try reads anew what is still here. */
async function tryMove(
  folder: DataFolder,
  target: TargetAddress,
  told: MoveTelling,
): Promise<MoveUnfinished | undefined> {
  const diskReserve = new DiskReserve(folder.path, { bytes: defaultLimits.diskReserveBytes, random: systemRandom });
  const store = openStore(folder, diskReserve);
  const broker = await startBroker({ store, clock: stillClock(systemClock), diskReserve });
  try {
    told.left(broker);
    const memory = moveMemory(folder.path);
    const report = await move({
      broker,
      target,
      memory,
      clock: systemClock,
      realClock: systemClock,
      onProgress: (at) => told.progress(at),
      onQueue: (vhost, queue, messages) => told.print(`${vhost} ${JSON.stringify(queue)}: ${messages} messages`),
      onBlocked: (reason) => told.blocked(reason),
    });
    told.print(JSON.stringify({ moved: true, ...report }));
    told.done();
    return undefined;
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    const full = broker.blockedReason === 'low on disk' ? '; the disk of the data folder is full: make room there' : '';
    return new MoveUnfinished(`${error.message}${full}`, { left: countOf(broker), isPassing: passing.has(error.code) });
  } finally {
    await broker.stop();
  }
}

function countOf({ vhosts }: Broker): number {
  let count = 0;
  for (const { queues } of vhosts.values())
    for (const queue of queues.values()) count += queue.readyCount + queue.unsettledCount;
  return count;
}

/**
 * A clock at which nothing runs out: what waits for its time to live, or for the end of an unused queue, goes to the target
 * as it is. Its instants are on the scale of the clock that it was taken from.
 */
function stillClock(clock: Clock): Clock {
  const [now, monotonicMs] = [clock.now(), clock.monotonicMs()];
  return { now: () => now, monotonicMs: () => monotonicMs, after: () => ({ cancel: () => undefined }) };
}

/** Only the process that holds this folder is ended, whatever an old file says. @throws MoveRefused. */
async function stopRunning(folder: string, clock: Clock): Promise<void> {
  const pid = folderHolder(folder);
  if (pid === undefined) return;
  const running = readRunningIfAny(folder);
  if (running?.folder !== undefined && running.folder !== realpathSync(folder)) {
    const cure = 'stop that broker, copy its folder again, and move from the copy';
    throw new MoveRefused(`${folder} is a copy of ${running.folder}, whose broker runs; ${cure}`);
  }
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new MoveRefused(`the broker with process id ${pid} cannot be stopped: ${(error as Error).message}`);
  }
  process.stderr.write(`torcello-broker: the broker with process id ${pid} is being stopped\n`);
  const untilMs = clock.monotonicMs() + endMsMax;
  while (folderHolder(folder) === pid && clock.monotonicMs() < untilMs) await sleep(clock, endCheckMs);
}

async function openWhenFree(path: string, clock: Clock): Promise<DataFolder> {
  const untilMs = clock.monotonicMs() + endCheckMs * 20;
  for (;;) {
    try {
      return openDataFolder(path);
    } catch (error) {
      const isInUse = error instanceof DataFolderError && error.code === 'FOLDER_IN_USE';
      if (!isInUse || clock.monotonicMs() > untilMs) throw error;
    }
    await sleep(clock, endCheckMs);
  }
}
