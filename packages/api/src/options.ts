import { parseArgs } from 'node:util';
import { limits, parseDuration } from '@torcello/contracts';
import { StartError } from './errors.js';

/** Timings that the command line sets. */
type Timing =
  | 'leaseMs'
  | 'sweepMs'
  | 'heartbeatMs'
  | 'unknownAfterMissed'
  | 'lostAfterMissed'
  | 'mailboxLifetimeMs'
  | 'mailboxSettleMs'
  | 'keepOutputMs'
  | 'keepHistoryMs';

/** What the command line and the environment say. */
export interface ProgramOptions {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly transport: string;
  /** Where agents connect to. */
  readonly agentTransport: string;
  readonly brokerManagement: string | undefined;
  readonly publicUrl: string | undefined;
  readonly allowsSharedAgentLogin: boolean;
  readonly agentBundle: string | undefined;
  readonly planKey: string | undefined;
  /** Base of a Keystone's identity API. */
  readonly keystone: string | undefined;
  readonly keystoneAdminRole: string | undefined;
  /** Only what was given; the API has a default for each. */
  readonly timings: Readonly<Partial<Record<Timing, number>>>;
}

export const usage: string = `torcello-api --data DIR --listen HOST:PORT --transport URL [options]

The API server: keeps the truth, answers over HTTP, works with conductors and agents over the broker.

  --data DIR                   data folder; made when it is not there
  --listen HOST:PORT           where to answer HTTP; loopback only in this release, port 0 takes a free one
  --transport URL              the broker, as amqp://user:password@host:port/; better in TORCELLO_TRANSPORT,
                               a command line is visible to others
  --agent-transport URL        the broker as agents reach it, without login; default: the same
  --broker-management URL      HTTP management of the broker, to give every agent a login of its own
  --allow-shared-agent-login   without management: hand agents the login of --transport
  --public-url URL             the API as agents and people reach it; default: where it listens
  --agent-bundle FILE          the agent that /agent.mjs serves
  --plan-key FILE              public half (PEM) of the key that signs plans
  --keystone URL               also take tokens of this Keystone, as http://keystone:5000/v3; a token's project is the
                               tenant, and a token that is revoked there opens nothing 30 s later
  --keystone-admin-role NAME   holders of this role are administrators; default admin
  --lease-ms NUMBER            a conductor's lease ends so long after its last renewal; default 30000
  --sweep-ms NUMBER            between two looks for deployments that nobody works on; default 5000
  --heartbeat-ms NUMBER        agents give a sign of life so often; default 10000
  --unknown-after-missed NUMBER  after so many missed heartbeats an agent is shown as unknown; default 2
  --lost-after-missed NUMBER     after so many it is shown as lost, and a destroy goes on without it; default 10
  --mailbox-lifetime DURATION  a mailbox whose agent is silent for so long ends (7d, 1h30m); default 30d
  --mailbox-settle-ms NUMBER   so long a letter may be on its way when a mailbox ends; default 30000
  --keep-output DURATION       output of a deployment is kept so long after its end, as 30d; default 30d
  --keep-history DURATION      its history, reports and results; default 365d
  --help                       this text
  --check-transport            as first option, with --transport alone: connect once, print what the broker can do as
                               JSON, and end; exit code 4 when it is not reached

torcello-api restore --data DIR --from FILE puts a backup in the place of what the folder holds.

Prints one line of JSON, {"ready":true,"api":URL}, when it serves. Logs go to stderr. Ends on SIGTERM and SIGINT.
`;

/** @throws StartError USAGE, ADDRESS_REFUSED. Undefined when help was asked for. */
export function readOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ProgramOptions | undefined {
  const values = parse(args);
  if (values.help === true) return undefined;
  const data = values.data ?? missing('--data DIR');
  const transport = values.transport ?? env['TORCELLO_TRANSPORT'] ?? missing('--transport URL (or TORCELLO_TRANSPORT)');
  return {
    data,
    ...readAddress(values.listen ?? missing('--listen HOST:PORT')),
    transport,
    agentTransport: values['agent-transport'] ?? transport,
    brokerManagement: values['broker-management'],
    publicUrl: values['public-url']?.replace(/\/+$/, ''),
    allowsSharedAgentLogin: values['allow-shared-agent-login'] ?? false,
    agentBundle: values['agent-bundle'],
    planKey: values['plan-key'],
    keystone: readKeystone(values.keystone),
    keystoneAdminRole: values['keystone-admin-role'],
    timings: {
      ...duration('leaseMs', '--lease-ms', values['lease-ms']),
      ...duration('sweepMs', '--sweep-ms', values['sweep-ms']),
      ...duration('heartbeatMs', '--heartbeat-ms', values['heartbeat-ms']),
      ...missed(values['unknown-after-missed'], values['lost-after-missed']),
      ...lifetime(values['mailbox-lifetime']),
      ...duration('mailboxSettleMs', '--mailbox-settle-ms', values['mailbox-settle-ms']),
      ...retention('keepOutputMs', '--keep-output', values['keep-output']),
      ...retention('keepHistoryMs', '--keep-history', values['keep-history']),
    },
  };
}

/** Of the command line `--check-transport [--transport URL]`. @throws StartError USAGE. */
export function readTransport(args: readonly string[], env: Readonly<Record<string, string | undefined>>): string {
  const { transport = env['TORCELLO_TRANSPORT'] } = parse(args);
  return transport === undefined || transport === '' ? missing('--transport URL (or TORCELLO_TRANSPORT)') : transport;
}

const settings = {
  data: { type: 'string' },
  listen: { type: 'string' },
  transport: { type: 'string' },
  'agent-transport': { type: 'string' },
  'broker-management': { type: 'string' },
  'public-url': { type: 'string' },
  'allow-shared-agent-login': { type: 'boolean' },
  'agent-bundle': { type: 'string' },
  'plan-key': { type: 'string' },
  keystone: { type: 'string' },
  'keystone-admin-role': { type: 'string' },
  'lease-ms': { type: 'string' },
  'sweep-ms': { type: 'string' },
  'heartbeat-ms': { type: 'string' },
  'unknown-after-missed': { type: 'string' },
  'lost-after-missed': { type: 'string' },
  'mailbox-lifetime': { type: 'string' },
  'mailbox-settle-ms': { type: 'string' },
  'keep-output': { type: 'string' },
  'keep-history': { type: 'string' },
  help: { type: 'boolean' },
} as const;

const durationMsMin = 100;
const durationMsMax = 3_600_000;

function duration(name: string, option: string, text: string | undefined): Readonly<Record<string, number>> {
  if (text === undefined) return {};
  const valueMs = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (valueMs >= durationMsMin && valueMs <= durationMsMax) return { [name]: valueMs };
  throw new StartError('USAGE', `${option} takes ${durationMsMin} to ${durationMsMax} ms, not "${text}"`);
}

const missedMax = 1_000;
const unknownAfterMissedDefault = 2;
const lostAfterMissedDefault = 10;

/** Lost comes after unknown, also where only one of them is given. */
function missed(
  unknownText: string | undefined,
  lostText: string | undefined,
): { readonly unknownAfterMissed?: number; readonly lostAfterMissed?: number } {
  const unknown = count('--unknown-after-missed', unknownText) ?? unknownAfterMissedDefault;
  const lost = count('--lost-after-missed', lostText) ?? lostAfterMissedDefault;
  if (lost <= unknown)
    throw new StartError('USAGE', `--lost-after-missed ${lost} has to be more than --unknown-after-missed ${unknown}`);
  return {
    ...(unknownText === undefined ? {} : { unknownAfterMissed: unknown }),
    ...(lostText === undefined ? {} : { lostAfterMissed: lost }),
  };
}

function count(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= missedMax) return value;
  throw new StartError('USAGE', `${option} takes 1 to ${missedMax}, not "${text}"`);
}

const retentionMsMin = 60_000;
const retentionMsMax = 3_650 * 86_400_000;

function retention(name: string, option: string, text: string | undefined): Readonly<Record<string, number>> {
  if (text === undefined) return {};
  const keepMs = parseDuration(text);
  if (keepMs !== undefined && keepMs >= retentionMsMin && keepMs <= retentionMsMax) return { [name]: keepMs };
  throw new StartError('USAGE', `${option} takes a duration from 1m to 3650d, as 30d, not "${text}"`);
}

function lifetime(text: string | undefined): { readonly mailboxLifetimeMs?: number } {
  if (text === undefined) return {};
  const lifetimeMs = parseDuration(text);
  if (
    lifetimeMs !== undefined &&
    lifetimeMs >= limits.mailboxLifetimeMsMin.value &&
    lifetimeMs <= limits.mailboxLifetimeMsMax.value
  )
    return { mailboxLifetimeMs: lifetimeMs };
  throw new StartError('USAGE', `--mailbox-lifetime takes a duration from 1s to 3650d, as 30d, not "${text}"`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: settings, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new StartError('USAGE', `${why} (see --help)`, { cause });
  }
}

function readKeystone(text: string | undefined): string | undefined {
  if (text === undefined || /^https?:\/\/[^\s?#]+\/v3\/?$/.test(text)) return text;
  throw new StartError('USAGE', `--keystone takes the address of the identity API, ending in /v3, not "${text}"`);
}

function missing(what: string): never {
  throw new StartError('USAGE', `${what} is missing (see --help)`);
}

function readAddress(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || !(port <= 65_535)) throw new StartError('USAGE', `--listen takes HOST:PORT, not ${text}`);
  if (!isLoopback(host)) {
    throw new StartError(
      'ADDRESS_REFUSED',
      `--listen ${text}: only loopback addresses until TLS is built; take 127.0.0.1:${port}`,
    );
  }
  return { host, port };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
