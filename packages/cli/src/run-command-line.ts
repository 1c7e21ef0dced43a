import { CommanderError } from 'commander';
import { CliError } from './cli-error.js';
import type { CommandRun } from './commands/command-kit.js';
import type { CliContext } from './context.js';
import { exitCodes, type ExitCode } from './exit-codes.js';
import { safeText } from './output/text.js';
import { torcelloProgram } from './program.js';

/** Runs one command line (without `node torcello`) and resolves with its exit code. Never rejects. */
export async function runCommandLine(args: readonly string[], context: CliContext): Promise<ExitCode> {
  const run: CommandRun = { context, exitCode: exitCodes.ok };
  try {
    await torcelloProgram(run).parseAsync(args, { from: 'user' });
    return run.exitCode;
  } catch (error) {
    return tellError(error, context);
  }
}

/** Says in one line what happened and in one what to try, and names the exit code. */
export function tellError(error: unknown, context: Pick<CliContext, 'stderr'>): ExitCode {
  // Commander has told its own errors and printed the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (!(error instanceof CliError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    context.stderr.write(`torcello: this should not happen:\n${stack}\n`);
    return exitCodes.allFailed;
  }
  const cure = error.cure === undefined ? '' : `  try: ${safeText(error.cure)}\n`;
  context.stderr.write(`torcello: ${safeText(error.message, { keepLines: true })} [${error.code}]\n${cure}`);
  return error.exitCode;
}
