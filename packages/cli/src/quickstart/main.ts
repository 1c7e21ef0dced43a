import { parseDuration } from '@torcello/contracts';
import { systemClock, systemRandom } from '@torcello/platform';
import { Command } from 'commander';
import { usageError } from '../cli-error.js';
import { processSignals, type CliContext } from '../context.js';
import type { ExitCode } from '../exit-codes.js';
import { tellError } from '../run-command-line.js';
import { runQuickstart } from './quickstart.js';

export { endLeftoversOfOrphan } from './leftovers.js';

/** The quickstart with the arguments of its command line, in the clone at `root`. */
export async function quickstartMain(args: readonly string[], root: string): Promise<ExitCode> {
  const context: CliContext = {
    env: process.env,
    cwd: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    random: systemRandom,
    fetch: globalThis.fetch,
    signals: processSignals,
  };
  try {
    const command = quickstartCommand().parse(args, { from: 'user' });
    const { once, json, timeout } = command.opts<{ once?: true; json?: true; timeout: string }>();
    const timeoutMs = parseDuration(timeout);
    if (timeoutMs === undefined) throw usageError(`--timeout ${timeout} is no duration`, '--timeout 3m');
    const transport = context.env['TORCELLO_TRANSPORT'] || undefined;
    return await runQuickstart(context, { root, isOnce: once === true, isJson: json === true, timeoutMs, transport });
  } catch (error) {
    return tellError(error, context);
  }
}

function quickstartCommand(): Command {
  return new Command('npm run quickstart --')
    .description('deploys examples/hello-web to three machines whose agents start after their plans were stored')
    .option('--once', 'end after the check; exit code 0 only if all three answered')
    .option('--json', 'print a summary as the last line of stdout')
    .option('--timeout <duration>', 'give up after this time', '3m')
    .addHelpText('after', '\nTORCELLO_TRANSPORT=rabbit://… uses that broker instead of the embedded one.')
    .exitOverride();
}
