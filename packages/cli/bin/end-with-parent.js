/**
 * Preloaded into a program that another process started: ends it when that process is gone, however it ended. The
 * channel between the two closes with the parent, so nothing is asked again and again.
 */
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';

/** A program that has not ended by itself after so long is killed. */
const patienceMs = 10_000;

if (isMainThread && process.channel !== undefined) {
  const end = () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), patienceMs).unref();
  };
  process.once('disconnect', end);
  // The channel alone keeps no program alive.
  process.channel.unref();
  if (!process.connected) end();
}
