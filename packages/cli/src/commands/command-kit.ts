import { Command } from 'commander';
import { ApiClient } from '../client/api-client.js';
import { findServer } from '../client/find-server.js';
import { HttpClient } from '../client/http.js';
import type { CliContext } from '../context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { Printer } from '../output/printer.js';
import { safeText } from '../output/text.js';

/** The run that a command belongs to: the world, and where its exit code goes. */
export interface CommandRun {
  readonly context: CliContext;
  exitCode: ExitCode;
}

/** Options that every command has which talks to the API. */
export interface CommonOptions {
  readonly data?: string;
  readonly json?: true;
}

/** What an action gets besides its arguments. */
export interface ActionWorld<Options> {
  readonly context: CliContext;
  readonly options: Options;
  readonly client: ApiClient;
  readonly printer: Printer;
}

type Action<Options> = (world: ActionWorld<Options>, ...args: readonly string[]) => Promise<ExitCode | void>;

/** A command that talks to the API: with `--json`, `--data`, and an action that may resolve with an exit code. */
export function apiCommand<Options extends CommonOptions>(
  run: CommandRun,
  nameAndArgs: string,
  description: string,
  action: Action<Options>,
): Command {
  const [name = nameAndArgs, ...args] = nameAndArgs.split(' ');
  const command = new Command(name);
  for (const argument of args) command.argument(argument);
  return command
    .description(description)
    .option('--json', 'answer with one JSON value on stdout')
    .option('--data <dir>', 'data folder that tells address and token (default: ./torcello-data)')
    .action(async (...given: readonly unknown[]) => {
      const options = given.at(-2) as Options;
      const values = given.slice(0, -2) as readonly string[];
      const { context } = run;
      const server = await findServer(context, options);
      const client = new ApiClient(new HttpClient(server, { ...context, note: noteFor(context) }));
      const printer = new Printer(context, options.json === true);
      run.exitCode = (await action({ context, options, client, printer }, ...values)) ?? exitCodes.ok;
    });
}

/** Why a request waits is told beside the answer. */
function noteFor({ stderr }: CliContext): (text: string) => void {
  return (text) => void stderr.write(`torcello: ${safeText(text)}\n`);
}

/** A noun with its verbs. */
export function noun(name: string, description: string, verbs: readonly Command[]): Command {
  const command = new Command(name).description(description);
  for (const verb of verbs) command.addCommand(verb);
  return command;
}

/** Gathers an option that may be given several times. */
export function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
