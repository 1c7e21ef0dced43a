import { systemClock, systemRandom } from '@torcello/platform';
import { processSignals } from './context.js';
import { runCommandLine } from './run-command-line.js';

// A reader that went away (`torcello … | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  random: systemRandom,
  fetch: globalThis.fetch,
  signals: processSignals,
});
