import fs from 'node:fs';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { connect, describeTransportUrl, isMessagingError, lazyDriver, parseTransportUrl } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import { jsonLogger, sleep, systemClock, systemRandom } from '@torcello/platform';
import type { Logger } from '@torcello/platform';
import { KeystoneTokens } from './access/keystone.js';
import { Api } from './api.js';
import type { ApiOptions } from './api.js';
import { checkTransport } from './doctor/check-transport.js';
import { StartError } from './errors.js';
import { managedAccounts, refusedAccounts, sharedAccounts } from './machines/accounts.js';
import type { AgentAccounts } from './machines/accounts.js';
import { isUp } from './messaging/broker-side.js';
import { readOptions, readTransport, usage } from './options.js';
import type { ProgramOptions } from './options.js';
import { readRestoreOptions, restoreUsage, runRestore } from './restore/command.js';
import type { Secrets } from './secrets.js';

/** AMQP 1.0 is loaded when a URL asks for it. */
const drivers = [
  amqp091Driver(),
  lazyDriver(['amqp1', 'amqp1s'], '@torcello/driver-amqp10', async () =>
    (await import('@torcello/driver-amqp10')).amqp10Driver(),
  ),
];

const exitUnreachable = 4;

/** So long the first answer of the broker is waited for before the API says that it is ready without it. */
const brokerWaitMs = 5_000;

/** The program `torcello-api`: the only file that names drivers. Answers the exit code. */
export async function main(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const logger = jsonLogger({
    clock: systemClock,
    write: (line) => process.stderr.write(line),
    fields: { program: 'api' },
  });
  try {
    if (args[0] === 'restore') {
      await restore(args.slice(1));
      return 0;
    }
    if (args[0] === '--check-transport') return await check(args.slice(1), env);
    const options = readOptions(args, env);
    if (options === undefined) {
      process.stdout.write(usage);
      return 0;
    }
    await run(options, logger);
    return 0;
  } catch (error) {
    process.stderr.write(`torcello-api: ${error instanceof Error ? error.message : 'an unknown error'}\n`);
    if (!(error instanceof StartError)) logger.error('the API ended', { error });
    return 1;
  }
}

async function restore(args: readonly string[]): Promise<void> {
  const options = readRestoreOptions(args);
  if (options !== undefined) makeDataFolder(options.data);
  process.stdout.write(options === undefined ? restoreUsage : await runRestore({ ...options, clock: systemClock }));
}

/** For `torcello doctor`, where no API runs: one line of JSON on stdout. */
async function check(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const url = readTransport(args, env);
  const found = await checkTransport(url, (signal) =>
    connect(url, { drivers, connectionName: 'torcello-doctor', signal }),
  );
  process.stdout.write(`${JSON.stringify(found)}\n`);
  return found.reached ? 0 : exitUnreachable;
}

async function run(options: ProgramOptions, logger: Logger): Promise<void> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort(new Error('asked to stop'));
  process.once('SIGTERM', stop).once('SIGINT', stop);
  makeDataFolder(options.data);
  const api = await Api.open({
    dataDirectory: options.data,
    clock: systemClock,
    random: systemRandom,
    logger,
    accounts: (secrets) => accountsOf(options, secrets),
    planKey: () => readFile(options.planKey),
    ...keystoneOf(options, logger),
    timings: options.timings,
    ...optional('transportUrl', nameOf(options.transport)),
    ...optional('publicUrl', options.publicUrl),
    ...agentFiles(options.agentBundle),
  });
  let transport: Transport | undefined;
  try {
    const url = await api.listen({ host: options.host, port: options.port });
    // A failure that no waiting cures ends the program; everything else is mended in the background.
    const working = attach(api, options, {
      signal: stopping.signal,
      logger,
      onTransport: (made) => (transport = made),
    });
    await Promise.race([working, sleep(systemClock, brokerWaitMs, stopping.signal).catch(() => undefined)]);
    process.stdout.write(`${JSON.stringify({ ready: true, api: url })}\n`);
    await Promise.race([working.then(() => untilAborted(stopping.signal)), untilAborted(stopping.signal)]);
  } finally {
    stop();
    // Without a broker nothing can be handed over; waiting for it would only hold up the end.
    if (!isUp(transport)) await transport?.close();
    await api.stop();
    await transport?.close();
  }
}

async function attach(
  api: Api,
  options: ProgramOptions,
  with_: {
    readonly signal: AbortSignal;
    readonly logger: Logger;
    readonly onTransport: (transport: Transport) => void;
  },
): Promise<void> {
  try {
    const transport = await connect(options.transport, {
      drivers,
      connectionName: 'torcello-api',
      clock: systemClock,
      random: systemRandom,
      logger: with_.logger,
      signal: with_.signal,
    });
    with_.onTransport(transport);
    await api.attach(transport);
  } catch (error) {
    if (with_.signal.aborted) return;
    if (!isMessagingError(error)) throw error;
    throw new StartError(
      'BROKER_REFUSED',
      `the broker cannot be used: ${error.message} (${error.code}); see --transport`,
      { cause: error },
    );
  }
}

function accountsOf(options: ProgramOptions, secrets: Secrets): AgentAccounts {
  const { brokerManagement, transport, agentTransport, allowsSharedAgentLogin } = options;
  if (brokerManagement !== undefined) {
    return managedAccounts({
      managementUrl: brokerManagement,
      transportUrl: transport,
      agentTransportUrl: agentTransport,
      secrets,
    });
  }
  return allowsSharedAgentLogin ? sharedAccounts(agentTransport) : refusedAccounts();
}

/** Undefined for a URL that is none: connecting says so. */
function nameOf(transport: string): string | undefined {
  try {
    return describeTransportUrl(parseTransportUrl(transport));
  } catch (error) {
    if (isMessagingError(error)) return undefined;
    throw error;
  }
}

/** The API's own tokens first: they need nobody else. */
function keystoneOf(options: ProgramOptions, logger: Logger): Pick<ApiOptions, 'tokens'> {
  const { keystone: url, keystoneAdminRole } = options;
  if (url === undefined) return {};
  const keystone = new KeystoneTokens({ url, clock: systemClock, logger, ...optional('adminRole', keystoneAdminRole) });
  return { tokens: (own) => ({ check: async (token) => (await own.check(token)) ?? (await keystone.check(token)) }) };
}

function makeDataFolder(folder: string): void {
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    fs.accessSync(folder, fs.constants.W_OK);
  } catch (cause) {
    throw new StartError(
      'DATA_UNUSABLE',
      `the data folder ${folder} cannot be made or written; take another one with --data`,
      { cause },
    );
  }
}

/** The agent and the template of its installer beside it (`install.sh`, in the same folder or in `assets`). */
function agentFiles(bundle: string | undefined): { readonly agentBundle?: string; readonly installScript?: string } {
  if (bundle === undefined) return {};
  const agentBundle = readFile(bundle);
  if (agentBundle === undefined)
    throw new StartError('USAGE', `--agent-bundle ${bundle} cannot be read; build the agent, or leave the option out`);
  const script =
    readFile(new URL('install.sh', pathToFolder(bundle))) ??
    readFile(new URL('../assets/install.sh', pathToFolder(bundle)));
  return { agentBundle, ...optional('installScript', script) };
}

function pathToFolder(file: string): URL {
  return new URL('./', new URL(file, `file://${process.cwd()}/`));
}

function readFile(file: string | URL | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function optional<Key extends string>(key: Key, value: string | undefined): { readonly [Name in Key]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [Name in Key]?: string };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
