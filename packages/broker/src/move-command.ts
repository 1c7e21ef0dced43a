import process from 'node:process';
import { systemClock } from '@torcello/platform';
import type { Clock } from '@torcello/platform';
import { AdminRefused, queuesSeen, readRunningIfAny } from './admin.js';
import { startBroker } from './broker.js';
import { openDataFolder, DataFolderError } from './data-folder.js';
import type { DataFolder } from './data-folder.js';
import { move } from './move/move.js';
import type { TargetAddress } from './move/target-client.js';
import { LmdbStore } from './store/lmdb-store.js';

const amqpPort = 5672;
const amqpsPort = 5671;
/** Time that a running broker has for its end, in milliseconds, and how often its end is looked for. */
const endMsMax = 60_000;
const endCheckMs = 100;

/** Where `--to` points. @throws AdminRefused. */
export function targetFrom(text: string): TargetAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['amqp:', 'amqps:'].includes(url.protocol) || url.hostname === '') {
    throw new AdminRefused('move needs --to amqp://USER:PASSWORD@HOST:PORT/VHOST');
  }
  const isTls = url.protocol === 'amqps:';
  return {
    host: url.hostname.replaceAll(/[[\]]/g, ''),
    port: url.port === '' ? (isTls ? amqpsPort : amqpPort) : Number(url.port),
    isTls,
    user: decodeURIComponent(url.username) || 'guest',
    password: decodeURIComponent(url.password) || 'guest',
    vhost: decodeURIComponent(url.pathname.slice(1)) || '/',
  };
}

/**
 * Moves everything durable of a data folder to another broker. One that runs from it is asked which messages are out with
 * readers, and stopped first. Prints a line a queue and a sum. @throws AdminRefused, DataFolderError, TargetError.
 */
export async function runMove(at: { readonly folder: string; readonly to: string }): Promise<void> {
  const target = targetFrom(at.to);
  const seen = await stopRunning(at.folder, systemClock);
  const folder = await openWhenFree(at.folder, systemClock);
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  try {
    const broker = await startBroker({ store: new LmdbStore(folder.database, () => folder.freeBytes()) });
    try {
      const report = await move({
        broker,
        target,
        clock: systemClock,
        ...(seen === undefined ? {} : { mayBeSeen: (vhost, queue) => seen.has(`${vhost}\0${queue}`) }),
        onQueue: (vhost, queue, messages) => print(`${vhost} ${JSON.stringify(queue)}: ${messages} messages`),
      });
      print(JSON.stringify({ moved: true, ...report }));
    } finally {
      await broker.stop();
    }
  } finally {
    folder.release();
  }
}

/** The queues with messages that are out with readers; undefined when no broker runs and nobody knows. */
async function stopRunning(folder: string, clock: Clock): Promise<ReadonlySet<string> | undefined> {
  const running = readRunningIfAny(folder);
  if (running === undefined) return undefined;
  const seen = await queuesSeen(running).catch(() => undefined);
  try {
    process.kill(running.pid, 'SIGTERM');
  } catch {
    return undefined;
  }
  const untilMs = clock.monotonicMs() + endMsMax;
  while (isThere(running.pid) && clock.monotonicMs() < untilMs) await pause(clock);
  return seen;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
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
    await pause(clock);
  }
}

function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.after(endCheckMs, resolve));
}
