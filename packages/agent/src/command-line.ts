import { parseArgs } from 'node:util';
import { AgentError } from './errors.js';

export type CommandLine =
  | { readonly command: 'help' }
  | { readonly command: 'version' }
  | {
      readonly command: 'run';
      readonly dataFolder: string;
      readonly joinLine: string | undefined;
      /** Asks the API again with the line of the join, for the broker's address and a login there. */
      readonly renewsLogin?: true;
    };

export const help: string = `Usage: torcello-agent --data DIR [--join LINE]
       torcello-agent --murano FILE

Runs the agent of one machine: takes plans out of its mailbox, carries them out, and tells how they ended.

  --data DIR    where the agent keeps its key, its login, its journal and the applications (required)
  --join LINE   joins the fleet with a line of "torcello machine add"; needed once, and harmless afterwards.
                A line is a secret: other users of the machine can see arguments, so it may stand in the
                environment variable TORCELLO_JOIN instead
  --renew-login with the line of the join: asks the API again where the broker is and for a login there, as after a move
                of the broker. The machine keeps its place and its plans
  --murano FILE in the place of OpenStack Murano's murano-agent, with its agent.conf: takes Murano's plans and nothing
                else; --murano --help tells more
  --version     prints the version
  --help        prints this

When it is ready it prints one line of JSON, {"ready":true,"machine":NAME}. The log is JSON, on standard error. SIGTERM and
SIGINT end the agent and leave a running step running; the next start goes on with it.

Exit codes: 0 ended as asked, 1 wrong use or an unusable data folder, 4 the API or the broker is away or refuses.
`;

/** @throws AgentError USAGE */
export function readCommandLine(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const { values } = parse(words);
  if (values.help === true) return { command: 'help' };
  if (values.version === true) return { command: 'version' };
  const { data: dataFolder } = values;
  if (dataFolder === undefined || dataFolder === '') {
    throw new AgentError('USAGE', 'where does the agent keep its data? Name a folder with --data DIR (see --help)');
  }
  const joinLine = values.join ?? environment['TORCELLO_JOIN'];
  const run = { command: 'run', dataFolder, joinLine: joinLine === '' ? undefined : joinLine } as const;
  if (values['renew-login'] !== true) return run;
  if (run.joinLine !== undefined) return { ...run, renewsLogin: true };
  throw new AgentError('USAGE', '--renew-login needs the line of the join too (--join LINE or TORCELLO_JOIN)');
}

interface Values {
  readonly data?: string | undefined;
  readonly join?: string | undefined;
  readonly 'renew-login'?: boolean | undefined;
  readonly help?: boolean | undefined;
  readonly version?: boolean | undefined;
}

function parse(words: readonly string[]): { readonly values: Values } {
  try {
    return parseArgs({
      args: [...words],
      options: {
        data: { type: 'string' },
        join: { type: 'string' },
        'renew-login': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new AgentError('USAGE', `${(error as Error).message} (see --help)`, error);
  }
}
