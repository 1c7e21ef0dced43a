import { Command } from 'commander';
import { agentCommand } from './commands/agent.js';
import { backupCommand, restoreCommand } from './commands/backup.js';
import { cancelCommand } from './commands/cancel.js';
import type { CommandRun } from './commands/command-kit.js';
import { contractCommand } from './commands/contract.js';
import { deadLetterCommand } from './commands/deadletter.js';
import { deployCommand } from './commands/deploy.js';
import { deploymentCommand } from './commands/deployment.js';
import { doctorCommand } from './commands/doctor.js';
import { environmentCommand } from './commands/environment.js';
import { logsCommand } from './commands/logs.js';
import { machineCommand } from './commands/machine.js';
import { mailboxCommand } from './commands/mailbox.js';
import { packageCommand } from './commands/package.js';
import { programCommand } from './commands/programs.js';
import { quarantineCommand } from './commands/quarantine.js';
import { resumeCommand } from './commands/resume.js';
import { tokenCommand } from './commands/token.js';
import { upCommand } from './commands/up.js';
import { whyCommand } from './commands/why.js';
import { exitCodeMeanings } from './exit-codes.js';
import { ownVersion } from './own-version.js';

/** The whole command line as data; nothing runs until it is parsed. */
export function torcelloProgram(run: CommandRun): Command {
  const program = new Command('torcello')
    .description('Deploys applications to fleets of machines.')
    .version(ownVersion)
    .enablePositionalOptions()
    .addHelpText('after', `\nExit codes:\n${exitCodeLines().join('\n')}`);
  const commands = [
    upCommand(run),
    packageCommand(run),
    environmentCommand(run),
    machineCommand(run),
    deployCommand(run),
    deploymentCommand(run),
    cancelCommand(run),
    resumeCommand(run),
    whyCommand(run),
    logsCommand(run),
    mailboxCommand(run),
    deadLetterCommand(run),
    doctorCommand(run),
    agentCommand(run),
    contractCommand(run),
    backupCommand(run),
    restoreCommand(run),
    quarantineCommand(run),
    tokenCommand(run),
    programCommand(run, 'api', 'run the API alone'),
    programCommand(run, 'conductor', 'run a conductor alone'),
    programCommand(run, 'broker', 'run the embedded broker alone'),
  ];
  for (const command of commands) program.addCommand(command);
  for (const command of everyCommand(program)) silence(run, command);
  return program;
}

/** The command and all below it. */
export function everyCommand(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** A parse error is thrown instead of ending the process, and the help goes where the run says. */
function silence(run: CommandRun, command: Command): void {
  const { stdout, stderr } = run.context;
  command
    .exitOverride()
    .showHelpAfterError('  try: the same with --help')
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      getOutHelpWidth: () => stdout.columns ?? 100,
      getErrHelpWidth: () => stderr.columns ?? 100,
    });
}

function exitCodeLines(): readonly string[] {
  return Object.entries(exitCodeMeanings).map(([code, meaning]) => `  ${code.padStart(3)}  ${meaning}`);
}
