import { amqp091Driver } from '@torcello/driver-amqp091';
import { lazyDriver } from '@torcello/messaging';
import os from 'node:os';
import process from 'node:process';
import { isForMurano, runMuranoProgram } from './murano/program.js';
import { runProgram } from './program.js';

/** The agent's process: everything that it takes from the world outside comes in here. */
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());

const words = process.argv.slice(2);
const run = isForMurano(words) ? runMuranoProgram : runProgram;
void run({
  words,
  environment: { ...process.env, HOME: process.env['HOME'] ?? os.homedir() },
  hostname: os.hostname(),
  nodePath: process.execPath,
  drivers: [
    amqp091Driver(),
    // Loaded when the API says that its broker speaks it.
    lazyDriver(['amqp1', 'amqp1s'], '@torcello/driver-amqp10', async () =>
      (await import('@torcello/driver-amqp10')).amqp10Driver(),
    ),
  ],
  stop: stop.signal,
  writeOut: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
}).then((code) => (process.exitCode = code));
