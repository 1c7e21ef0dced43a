import { parseArgs } from 'node:util';
import { conductorLimits } from './limits.js';

export interface ProgramOptions {
  readonly transport: string;
  readonly planKey: string;
  readonly deploymentsMax: number;
}

export const usage: string = `Usage: torcello-conductor --plan-key FILE [--transport URL] [--deployments-max NUMBER]

Takes deployments from the API over the transport, turns them into signed plans and puts these into the machines'
mailboxes. Any number of conductors may run; each may be ended at any time.

  --transport URL           the broker, as rabbit://user:password@host:5672/; also from TORCELLO_TRANSPORT, which
                            keeps the password out of the process list
  --plan-key FILE           private key that plans are signed with; made at first start, its public half as FILE.pub
  --deployments-max NUMBER  deployments worked on at once; default ${conductorLimits.deploymentsMax.value}
  --help                    this text
`;

/** What was wrong with the command line, in one line that names the cure. */
export class UsageError extends Error {
  readonly code = 'USAGE';
}

/** 'help', or the options. @throws UsageError */
export function readOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ProgramOptions | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  const transport = values.transport ?? env['TORCELLO_TRANSPORT'];
  if (transport === undefined || transport === '') {
    throw new UsageError('no broker is named: give --transport URL, or set TORCELLO_TRANSPORT');
  }
  const planKey = values['plan-key'];
  if (planKey === undefined) throw new UsageError('no key to sign plans with: give --plan-key FILE (made when absent)');
  const text = values['deployments-max'] ?? String(conductorLimits.deploymentsMax.value);
  const deploymentsMax = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (deploymentsMax < 1) throw new UsageError(`--deployments-max takes a number from 1 to 9999, not "${text}"`);
  return { transport, planKey, deploymentsMax };
}

interface Values {
  readonly transport?: string | undefined;
  readonly 'plan-key'?: string | undefined;
  readonly 'deployments-max'?: string | undefined;
  readonly help?: boolean | undefined;
}

function parse(args: readonly string[]): Values {
  const options = {
    transport: { type: 'string' },
    'plan-key': { type: 'string' },
    'deployments-max': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const [line] = (error as Error).message.split('. ');
    throw new UsageError(`${line ?? 'the options cannot be read'}; see --help`);
  }
}
