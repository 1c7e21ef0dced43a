import { readFileSync, realpathSync } from 'node:fs';
import { isIP } from 'node:net';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { jsonLogger, systemClock, systemRandom } from '@torcello/platform';
import type { HostPort, Logger } from '@torcello/platform';
import { administratorTag } from './access/users.js';
import { AdminRefused, adminVerbs, isAdminVerb, removeRunning, runAdmin, writeRunning } from './admin.js';
import type { AdminQuestion, AdminVerb } from './admin.js';
import { startBroker } from './broker.js';
import type { Broker, FirstUser } from './broker.js';
import { permits } from './broker-core.js';
import type { Permit } from './broker-core.js';
import { DataFolderError, openDataFolder } from './data-folder.js';
import type { DataFolder } from './data-folder.js';
import { DiskReserve } from './disk-reserve.js';
import { forgetLastStop, heldAtStop, writeLastStop } from './last-stop.js';
import { defaultLimits } from './limits.js';
import type { BrokerLimits } from './limits.js';
import { rabbitMqLimits } from './rabbitmq-limits.js';
import { startManagement } from './management/management.js';
import type { Management } from './management/management.js';
import { MoveRefused, MoveUnfinished } from './move/target-error.js';
import { moveMemory } from './move/move-state.js';
import { runMove } from './move-command.js';
import { writeDurably } from './durable-file.js';
import { openStore } from './open-store.js';
import { tlsIdentityFrom } from './tls.js';
import type { TlsIdentity } from './tls.js';
import { StoreDamage, StoreFull } from './store/message-store.js';

/** What the command line of `torcello-broker` says. */
export interface MainOptions {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly managementPort: number;
  readonly permits: readonly Permit[];
  readonly asRabbitMq: boolean;
  readonly limits: BrokerLimits;
  readonly tls: TlsIdentity | undefined;
}

/** A question to a broker that runs. */
interface AdminOptions {
  readonly verb: AdminVerb;
  readonly question: AdminQuestion;
}

/** A move of everything to another broker. */
interface MoveOptions {
  readonly data: string;
  readonly to: string;
}

const usage = `torcello-broker: the embedded AMQP 0-9-1 broker of Torcello (one node, no replication)

  --data DIR             folder that holds everything (needed)
  --host HOST            address to listen on; without TLS loopback only (127.0.0.1)
  --port PORT            AMQP port; 0: the system chooses (5673)
  --management-port PORT HTTP management port; 0: the system chooses (0)
  --tls-certificate FILE, --tls-key FILE  speak TLS on the AMQP port; PEM files
  --tls-client-authorities FILE  take client certificates of these authorities as logins (EXTERNAL)
  --permit FEATURE       permit a deprecated feature: ${permits.join(', ')} (none; may be repeated)
  --as-rabbitmq          tell clients that this is RabbitMQ, for those that ask for the name (Celery)
  --limits rabbitmq      the limits of RabbitMQ, for programs that count on them (this broker's own, which are smaller)
  --limit NAME=NUMBER    another limit than the default one, by its name in docs/limits.md (may be repeated)
  --help                 show this

Asking the broker that runs from the folder: torcello-broker --data DIR VERB
  status | queues | connections | users   show them; with --json for programs
  doctor                                  say what may be wrong; exit code 1 when something is
  export                                  print the definitions, in RabbitMQ's form
  import FILE                             declare what a file of definitions holds
  policies                                show the policies, with --operator those of the operator
  set-policy NAME PATTERN DEFINITION      make or change one; DEFINITION is JSON, e.g. '{"max-length":1000}'
    --apply-to WHAT  all, queues, classic_queues, quorum_queues or exchanges (all)
    --priority N     of all that match only the highest counts (0)
    --vhost NAME     (/)     --operator    one that users cannot pass
  clear-policy NAME                       take it away
  move --to amqp://USER:PASSWORD@HOST/VHOST  stop it and move everything durable to RabbitMQ, messages too

On its first start it makes an administrator: TORCELLO_BROKER_USER and TORCELLO_BROKER_PASSWORD, or the user
'torcello' with a password that it writes to DIR/admin-password.
Once it listens it prints one JSON line: {"ready":true,"amqp":"HOST:PORT","management":"http://HOST:PORT"}.`;

const passwordFile = 'admin-password';
const defaultUser = 'torcello';
const passwordBytes = 24;

/** A refusal to start, as one line for a person. */
class StartRefused extends Error {}

/** Runs the broker as a process until a signal ends it. Resolves with the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let folder: DataFolder | undefined;
  try {
    const options = readOptions(args);
    if (options === undefined) return 0;
    if ('to' in options) {
      await runMove({ folder: options.data, to: options.to });
      return 0;
    }
    if ('verb' in options) {
      const print = (text: string): void => void process.stdout.write(`${text}\n`);
      return (await runAdmin(options.verb, options.question, print)) ? 0 : 1;
    }
    folder = openDataFolder(options.data);
    await serve(options, folder);
    return 0;
  } catch (error) {
    process.stderr.write(`torcello-broker: ${lineFor(error)}\n`);
    return 1;
  } finally {
    folder?.release();
  }
}

function parsedArgs(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      data: { type: 'string' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '5673' },
      'management-port': { type: 'string', default: '0' },
      permit: { type: 'string', multiple: true, default: [] },
      'tls-certificate': { type: 'string' },
      'tls-key': { type: 'string' },
      'tls-client-authorities': { type: 'string' },
      'as-rabbitmq': { type: 'boolean', default: false },
      limits: { type: 'string', default: 'own' },
      limit: { type: 'string', multiple: true, default: [] },
      to: { type: 'string' },
      json: { type: 'boolean', default: false },
      operator: { type: 'boolean', default: false },
      vhost: { type: 'string', default: '/' },
      'apply-to': { type: 'string', default: 'all' },
      priority: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
  });
}

type Values = ReturnType<typeof parsedArgs>['values'];

/** Undefined when only the usage was asked for. */
function readOptions(args: readonly string[]): MainOptions | AdminOptions | MoveOptions | undefined {
  const { values, positionals } = parsedArgs(args);
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return undefined;
  }
  const { data } = values;
  if (data === undefined) throw new StartRefused('--data DIR is needed');
  const [word, ...words] = positionals;
  if (word === 'move') return { data, to: values.to ?? '' };
  if (word !== undefined) return { verb: verbOf(word), question: questionFrom(data, words, values) };
  return startOptions(data, values);
}

function questionFrom(folder: string, words: readonly string[], values: Values): AdminQuestion {
  const priority = Number(values.priority);
  if (!/^-?\d{1,9}$/.test(values.priority)) throw new StartRefused(`--priority ${values.priority} is no whole number`);
  const { vhost, json: isJson, operator: isOperator, 'apply-to': applyTo } = values;
  return { folder, words, isJson, isOperator, vhost, applyTo, priority };
}

function startOptions(data: string, values: Values): MainOptions {
  const tls = tlsFrom({
    certificate: values['tls-certificate'],
    key: values['tls-key'],
    clientAuthorities: values['tls-client-authorities'],
  });
  if (tls === undefined && !isLoopback(values.host)) {
    const text = `--host ${values.host} is refused: without TLS the broker listens on loopback only (127.0.0.1, ::1, localhost)`;
    throw new StartRefused(text);
  }
  return {
    data,
    host: values.host,
    port: portOf('--port', values.port),
    managementPort: portOf('--management-port', values['management-port']),
    permits: values.permit.map(permitOf),
    asRabbitMq: values['as-rabbitmq'],
    limits: limitsFrom(setOf(values.limits), values.limit),
    tls,
  };
}

async function serve(options: MainOptions, folder: DataFolder): Promise<void> {
  const write = (line: string): void => void process.stderr.write(line);
  const logger = jsonLogger({ clock: systemClock, write, fields: { program: 'broker' } });
  const diskReserve = new DiskReserve(folder.path, { bytes: options.limits.diskReserveBytes, random: systemRandom });
  forgetLastStop(folder.path);
  const store = openStore(folder, diskReserve, options.limits.diskFreeBytesMin);
  if (store.hasDropped)
    logger.warn('the last commit before the end was not whole, and is dropped: it was not confirmed');
  const broker = await startBroker({
    store,
    users: [firstUser(folder)],
    usersInBackground: true,
    permits: options.permits,
    asRabbitMq: options.asRabbitMq,
    limits: options.limits,
    diskFreeBytes: () => folder.freeBytes() + store.reusableBytes,
    diskReserve,
    logger,
    onFatal: (error) => dieOf(error, folder),
  });
  warnOfMove(folder, logger);
  const ended = untilSignal();
  const services = await listen(broker, options, logger);
  logger.info('the broker listens', { amqp: services.amqp, data: folder.path, replication: 'none' });
  const ready = { ready: true, amqp: services.amqp, management: `http://${services.managementAddress}` };
  const { name: user, password } = firstUser(folder);
  const { amqp, management } = ready;
  writeRunning(folder.path, { pid: process.pid, amqp, management, user, password, folder: realpathSync(folder.path) });
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  const signal = await ended;
  removeRunning(folder.path);
  logger.info('the broker stops', { signal });
  noteStop(folder, broker, logger);
  await services.management.stop();
  await broker.stop();
}

/** Clients that did not get the new address would publish to a broker that nobody reads. */
function warnOfMove(folder: DataFolder, logger: Logger): void {
  const { target, finishedAtMs } = moveMemory(folder.path).load() ?? {};
  if (finishedAtMs === undefined) return;
  const at = new Date(finishedAtMs).toISOString();
  logger.warn('this broker was moved: what is published here stays here until it is moved again', { target, at });
}

/** What a move tells the operator of; a full disk has no room for it, and the stop goes on. */
function noteStop(folder: DataFolder, broker: Broker, logger: Logger): void {
  try {
    writeLastStop(folder.path, heldAtStop(broker));
  } catch (error) {
    logger.warn('what is not durable could not be noted', { error });
  }
}

interface Services {
  readonly amqp: string;
  readonly management: Management;
  readonly managementAddress: string;
}

async function listen(broker: Broker, options: MainOptions, logger: Logger): Promise<Services> {
  try {
    const { host } = options;
    const amqp = await broker.listen({ host, port: options.port }, options.tls);
    const at = { host: isLoopback(host) ? host : managementHost, port: options.managementPort };
    const management = await startManagement({ broker, limits: options.limits, logger, at });
    return { amqp: textOf(amqp), management, managementAddress: textOf(management.address) };
  } catch (error) {
    await broker.stop();
    throw error;
  }
}

/**
 * Nobody knows what the disk holds after a failed sync: the process ends at once, and the next start recovers what was
 * confirmed.
 */
function dieOf(error: unknown, folder: DataFolder): never {
  const why = error instanceof Error ? error.message : String(error);
  process.stderr.write(`torcello-broker: writing to ${folder.path} failed, so the broker ends here: ${why}\n`);
  folder.release();
  process.exit(1);
}

function firstUser(folder: DataFolder): FirstUser {
  const { TORCELLO_BROKER_USER: name = defaultUser, TORCELLO_BROKER_PASSWORD: password } = process.env;
  return { name, password: password ?? keptPassword(folder), tags: [administratorTag] };
}

/** The password of the folder's own administrator, made at the first start and readable by its owner only. */
function keptPassword(folder: DataFolder): string {
  const file = join(folder.path, passwordFile);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const password = Buffer.from(systemRandom.bytes(passwordBytes)).toString('base64url');
  writeDurably(file, `${password}\n`);
  return password;
}

function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function portOf(option: string, text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new StartRefused(`${option} ${text} is no port (0 to 65535)`);
}

function verbOf(word: string): AdminVerb {
  if (isAdminVerb(word)) return word;
  throw new StartRefused(`'${word}' is none of ${Object.keys(adminVerbs).join(', ')}, move`);
}

function permitOf(name: string): Permit {
  const permit = permits.find((known) => known === name);
  if (permit === undefined) throw new StartRefused(`--permit ${name} is not known: ${permits.join(', ')}`);
  return permit;
}

/** The management interface speaks no TLS, so it stays on this machine. */
const managementHost = '127.0.0.1';

function tlsFrom(files: {
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly clientAuthorities: string | undefined;
}): TlsIdentity | undefined {
  const { certificate, key, clientAuthorities } = files;
  if (certificate === undefined && key === undefined && clientAuthorities === undefined) return undefined;
  if (certificate === undefined || key === undefined) {
    throw new StartRefused('--tls-certificate and --tls-key go together');
  }
  return tlsIdentityFrom({ certificate, key, clientAuthorities });
}

/** Memory that publishes may fill: a part of what the machine, or the container, lets the process have. */
const memoryShare = 0.6;

/** Sets of limits, by their names on the command line. */
const limitSets = { own: defaultLimits, rabbitmq: rabbitMqLimits };

function setOf(name: string): BrokerLimits {
  if (name === 'own' || name === 'rabbitmq') return limitSets[name];
  throw new StartRefused(`--limits ${name} is no set of limits; there are: ${Object.keys(limitSets).join(', ')}`);
}

function limitsFrom(set: BrokerLimits, options: readonly string[]): BrokerLimits {
  const chosen: Record<string, number> = {};
  for (const option of options) {
    const [name = '', value = ''] = option.split('=');
    const isKnown = Object.hasOwn(set, name);
    if (!isKnown || !/^\d{1,15}$/.test(value)) throw new StartRefused(`--limit ${option} is no NAME=NUMBER of a limit`);
    chosen[name] = Number(value);
  }
  const memoryBytes = Math.min(process.constrainedMemory() || Infinity, totalmem());
  const memoryBytesMax = Math.min(set.memoryBytesMax, Math.floor(memoryShare * memoryBytes));
  return { ...set, memoryBytesMax, ...chosen };
}

function textOf({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function lineFor(error: unknown): string {
  const isOwn = [StartRefused, AdminRefused, DataFolderError, MoveRefused, MoveUnfinished].some(
    (kind) => error instanceof kind,
  );
  if (isOwn && error instanceof Error) return error.message;
  if (error instanceof StoreDamage) return `${error.message}; restore the data folder from a copy`;
  if (error instanceof StoreFull)
    return 'the disk of the data folder is full; make room and start again, nothing is lost';
  const { code, message, port } = error as NodeJS.ErrnoException & { readonly port?: number };
  if (code === 'EADDRINUSE') return `port ${port} is taken; choose another one, or 0 to let the system choose`;
  if (code?.startsWith('ERR_PARSE_ARGS') === true) return `${message}\n\n${usage}`;
  return `the start failed: ${message}`;
}
