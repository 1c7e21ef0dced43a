import { spawn } from 'node:child_process';
import path from 'node:path';
import { Command } from 'commander';
import type { CliContext } from '../context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { agentDataFolder } from '../plant/agent-data.js';
import { dataFolderFiles, defaultApiAddress, defaultDataFolder, readRunningAddress } from '../plant/data-folder.js';
import { endWithParent, programBin, type ProgramName } from '../plant/program-bins.js';
import type { ProgramStart } from '../supervisor/supervised-child.js';
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
      const { flags, env } = asksForHelp(args) ? noDefaults : await defaultsOf(run.context, name, args);
      const start = { script: programBin(name), args: [...flags, ...args], env };
      run.exitCode = await runProgram(run.context, start);
    });
}

interface Defaults {
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const noDefaults: Defaults = { flags: [], env: {} };

/**
 * A program that is run by hand keeps its data where `up` keeps it, unless its arguments say otherwise; a
 * conductor finds there the broker of the `up` that runs.
 */
async function defaultsOf(context: CliContext, name: ProgramName, args: readonly string[]): Promise<Defaults> {
  const files = dataFolderFiles(path.resolve(context.cwd, defaultDataFolder));
  const isThere = (flag: string): boolean => args.some((arg) => arg === flag || arg.startsWith(`${flag}=`));
  const unless = (flag: string, value: string): readonly string[] => (isThere(flag) ? [] : [flag, value]);
  switch (name) {
    case 'api':
      return { flags: [...unless('--data', files.folder), ...unless('--listen', defaultApiAddress)], env: {} };
    case 'broker':
      return { flags: unless('--data', files.broker), env: {} };
    case 'conductor': {
      const transport = (await readRunningAddress(files))?.transport;
      const env = transport === undefined || isThere('--transport') ? {} : { TORCELLO_TRANSPORT: transport };
      return { flags: unless('--plan-key', files.planKey), env };
    }
    case 'agent':
      return { flags: isThere('--data') ? [] : ['--data', await agentDataFolder(context, args)], env: {} };
  }
}

function asksForHelp(args: readonly string[]): boolean {
  return args.some((arg) => arg === '--help' || arg === '-h' || arg === '--version');
}

/** Runs a program in the place of this one: its streams, its signals, its exit code. */
function runProgram(context: CliContext, { script, args, env }: ProgramStart): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...endWithParent(), script, ...args], {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      env: { ...env, ...context.env },
    });
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
