import { parseArgs } from 'node:util';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect, isMessagingError } from '@torcello/messaging';
import { hexId, jsonLogger, systemClock, systemRandom } from '@torcello/platform';
import { UsageError } from '../options.js';
import { MuranoBridge } from './murano-bridge.js';
import { TorcelloApi } from './torcello-api.js';

const usage = `Usage: torcello-murano-bridge --api URL [--transport URL] [--machines agent|muranoagent]

Stands in the place of murano-engine: takes the tasks of a real murano-api, has Torcello carry them out, and answers with
reports and results. What cannot be run (MuranoPL) ends as a failed deployment that says why.

  --transport URL     Murano's broker, as its transport_url; also from TORCELLO_TRANSPORT. With Murano's default settings
                      it ends in ?amqp_durable_queues=false
  --api URL           Torcello's API; its token comes from TORCELLO_TOKEN
  --machines KIND     whose agent works on machines that the bridge adds; default agent
  --help              this text

Prints one line of JSON, {"ready":true}, when it takes tasks. Ends on SIGTERM and SIGINT; its tasks go back to the broker.
`;

interface Settings {
  readonly transport: string;
  readonly api: string;
  readonly token: string;
  readonly machineKind: 'agent' | 'muranoagent';
}

/** The program; resolves with its exit code: 1 for a wrong command line, 4 for a broker that refuses. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const settings = readSettings(args, process.env);
    if (settings === undefined) process.stdout.write(usage);
    else await bridge(settings);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError) && !isMessagingError(error)) throw error;
    process.stderr.write(`torcello-murano-bridge: ${error.message}\n`);
    return error instanceof UsageError ? 1 : 4;
  }
}

async function bridge(settings: Settings): Promise<void> {
  const { transport: url, api, token, machineKind } = settings;
  const logger = jsonLogger({ clock: systemClock, write: (line) => process.stderr.write(line) });
  const ended = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
  });
  const transport = await connect(url, {
    drivers: [amqp091Driver()],
    connectionName: 'torcello-murano-bridge',
    logger,
  });
  const apiUrl = api.replace(/\/+$/, '');
  const service = new MuranoBridge({
    transport,
    clock: systemClock,
    logger,
    server: hexId(systemRandom),
    api: (task) => new TorcelloApi({ url: apiUrl, token, task, machineKind, pollMs: 1_000, clock: systemClock }),
  });
  try {
    await service.start();
    process.stdout.write('{"ready":true}\n');
    await ended;
    await service.stop();
  } finally {
    await transport.close();
  }
}

/** Undefined where help is asked for. @throws UsageError */
function readSettings(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Settings | undefined {
  const options = {
    transport: { type: 'string' },
    api: { type: 'string' },
    machines: { type: 'string', default: 'agent' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  let values: { transport?: string; api?: string; machines?: string; help?: boolean };
  try {
    ({ values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false }));
  } catch (error) {
    throw new UsageError(`${(error as Error).message}; see --help`);
  }
  if (values.help === true) return undefined;
  const { api, machines: machineKind } = values;
  const transport = values.transport ?? env['TORCELLO_TRANSPORT'] ?? '';
  const token = env['TORCELLO_TOKEN'] ?? '';
  if (api === undefined || transport === '') throw new UsageError('--api and --transport are needed; see --help');
  if (token === '') throw new UsageError('the token of the API is needed in TORCELLO_TOKEN');
  if (machineKind !== 'agent' && machineKind !== 'muranoagent')
    throw new UsageError('--machines is agent or muranoagent');
  return { transport, api, token, machineKind };
}
