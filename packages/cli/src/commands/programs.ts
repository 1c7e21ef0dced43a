import { spawn } from 'node:child_process';
import { Command } from 'commander';
import type { CliContext } from '../context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { programBin, type ProgramName } from '../plant/program-bins.js';
import type { CommandRun } from './command-kit.js';

/** A command that is one of the programs: every argument is the program's own, `--help` too. */
export function programCommand(run: CommandRun, name: ProgramName, description: string): Command {
  return new Command(name)
    .description(description)
    .usage('[options of the program; --help shows them]')
    .argument('[options...]')
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .helpCommand(false)
    .action(async (args: readonly string[]) => {
      run.exitCode = await runProgram(run.context, programBin(name), args);
    });
}

/** Runs a program in the place of this one: its streams, its signals, its exit code. */
function runProgram(context: CliContext, script: string, args: readonly string[]): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: 'inherit', env: { ...context.env } });
    const unlisten = context.signals.listen((signal) => child.kill(signal));
    child.once('error', (error) => {
      unlisten();
      reject(error);
    });
    child.once('exit', (code) => {
      unlisten();
      // A program's own exit code is passed on as it is.
      resolve((code ?? exitCodes.allFailed) as ExitCode);
    });
  });
}
