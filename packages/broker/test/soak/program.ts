import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { writeHeapSnapshot } from 'node:v8';
import { main } from '../../src/main.js';
import { neededMemoryBytes } from '../../src/process-memory.js';
import type { Insides } from './broker-host.js';

/**
 * The broker's program with a window: whoever connects to the socket that SOAK_PROBE names, and says `figures` or the
 * name of a file for a heap snapshot, is answered after a garbage collection.
 */
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();
const path = process.env['SOAK_PROBE'] ?? '';
rmSync(path, { force: true });

const window = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', (word) => {
    globalThis.gc?.();
    setImmediate(() => {
      globalThis.gc?.();
      if (String(word) === 'figures') socket.end(JSON.stringify(figures()));
      else socket.end(JSON.stringify(writeHeapSnapshot(String(word))));
    });
  });
});
window.listen(path);
window.unref();
process.exitCode = await main(process.argv.slice(2));

function figures(): Insides {
  const { heapUsed, external, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const found = {
    heapBytes: heapUsed,
    externalBytes: external,
    rssBytes: rss,
    neededBytes: neededMemoryBytes(),
    timers,
    loopDelayMs: { typical: delay.percentile(50) / 1e6, most: delay.max / 1e6 },
    processorMs: (user + system) / 1000,
  };
  delay.reset();
  return found;
}
