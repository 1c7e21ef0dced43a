import { limits, parseDuration } from '@torcello/contracts';
import { Command } from 'commander';
import { usageError } from '../cli-error.js';
import type { CliContext, TextSink } from '../context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { startUp } from '../plant/up.js';
import { defaultAmqpAddress, defaultApiAddress, defaultDataFolder } from '../plant/data-folder.js';
import type { CommandRun } from './command-kit.js';

interface UpOptions {
  readonly data: string;
  readonly api: string;
  readonly amqp: string;
  readonly transport?: string;
  readonly allowSharedAgentLogin?: true;
  readonly mailboxLifetime?: string;
  readonly json?: true;
}

/** `torcello up`: broker, API and conductor in one go. */
export function upCommand(run: CommandRun): Command {
  return new Command('up')
    .description('start broker, API and conductor, and keep them running until Ctrl-C')
    .option('--data <dir>', 'data folder', defaultDataFolder)
    .option('--api <host:port>', 'where the API listens (loopback only)', defaultApiAddress)
    .option('--amqp <host:port>', 'where the broker listens (loopback only)', defaultAmqpAddress)
    .option('--transport <url>', 'use this broker and start none (also by TORCELLO_TRANSPORT, which others cannot see)')
    .option('--allow-shared-agent-login', 'with --transport: give agents the login of that URL')
    .option(
      '--mailbox-lifetime <duration>',
      'a mailbox whose agent is silent for so long ends (default: 30d; also by TORCELLO_MAILBOX_LIFETIME)',
    )
    .option('--json', 'print {"api","amqp","token","join"} as one line once everything listens')
    .action(async (options: UpOptions) => {
      run.exitCode = await up(run.context, options);
    });
}

async function up(context: CliContext, options: UpOptions): Promise<ExitCode> {
  const stopped = new AbortController();
  const mailboxLifetime = (options.mailboxLifetime ?? context.env['TORCELLO_MAILBOX_LIFETIME']) || undefined;
  if (mailboxLifetime !== undefined) requireLifetime(mailboxLifetime);
  const plant = startUp(context, {
    data: options.data,
    api: options.api,
    amqp: options.amqp,
    transport: (options.transport ?? context.env['TORCELLO_TRANSPORT']) || undefined,
    allowSharedAgentLogin: options.allowSharedAgentLogin === true,
    mailboxLifetime,
    note: (text) => context.stderr.write(`${text}\n`),
  });
  const unlisten = context.signals.listen((signal) => {
    // The second one means it: nothing is waited for any more.
    if (stopped.signal.aborted) plant.kill();
    else context.stderr.write(signal === 'SIGINT' ? '\nStopping; once more stops at once\n' : 'Stopping\n');
    stopped.abort();
  });
  try {
    const first = await Promise.race([plant.ready, aborted(stopped.signal)]);
    if (first !== 'aborted') {
      tell(context.stdout, first, options);
      await aborted(stopped.signal);
    }
    return exitCodes.ok;
  } finally {
    await plant.stop();
    unlisten();
  }
}

/** @throws CliError `usage`, before anything is started. */
function requireLifetime(text: string): void {
  const ms = parseDuration(text);
  const isFit = ms !== undefined && ms >= limits.mailboxLifetimeMsMin.value && ms <= limits.mailboxLifetimeMsMax.value;
  if (!isFit) throw usageError(`--mailbox-lifetime ${text} is no duration from 1s to 3650d`, '--mailbox-lifetime 7d');
}

function tell(
  stdout: TextSink,
  up: {
    readonly api: string;
    readonly amqp: string;
    readonly broker: string;
    readonly token: string;
    readonly join: string | null;
  },
  options: UpOptions,
): void {
  if (options.json === true) {
    const { api, amqp, token, join } = up;
    stdout.write(`${JSON.stringify({ api, amqp, token, join })}\n`);
    return;
  }
  const data = options.data === defaultDataFolder ? '' : ` --data ${options.data}`;
  const lines = [
    `API          ${up.api}   (broker ${up.broker})`,
    `Admin token  ${up.token}`,
    up.join === null
      ? 'Join line    none: agents would get the login of the broker URL; allow it with --allow-shared-agent-login'
      : `Join line    ${up.join}`,
    `Try          npx torcello package import examples/hello-web${data}`,
  ];
  stdout.write(`${lines.join('\n')}\n`);
}

function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
}
