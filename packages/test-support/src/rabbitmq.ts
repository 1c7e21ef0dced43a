import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.js';
import { run } from './process.js';
import type { Running } from './process.js';
import { temporaryFolder } from './temporary-folder.js';

/** A private RabbitMQ node on a free port with its own data. */
export interface RabbitMq {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** `amqp://guest:guest@127.0.0.1:PORT` for the vhost (default `/`). */
  url(vhost?: string): string;
  /** Makes a fresh vhost with all rights for guest and answers its name. */
  freshVhost(): Promise<string>;
  /** Runs `rabbitmqctl` against this node. */
  control(...args: readonly string[]): Promise<string>;
  /** kill -9 of the node (unless the node is shared by the whole run). */
  kill(): Promise<void>;
  /** Starts the node again after `kill`, or after it ended by itself, on the same port and data. */
  restart(): Promise<void>;
  /** Whether the node's process is there (a shared node always is). */
  isAlive(): boolean;
  /** Stops node and port mapper; a shared node goes on. */
  stop(): Promise<void>;
}

/** Why RabbitMQ cannot be started here, or undefined. */
export function rabbitMqMissing(): string | undefined {
  return serverFolder() === undefined ? 'RabbitMQ is not installed (apt-get install rabbitmq-server)' : undefined;
}

const sharedNode = 'TORCELLO_TEST_RABBIT_NODE';

/**
 * The node that the test run shares (started by the runner, named in the environment), else a node of one's own.
 * @param options.own - true for tests that kill it.
 * @param options.plugins - names of plugins to enable; such a node is one's own.
 * @param options.data - folder for the data of such a node, which stays the caller's; default: one that goes with the node.
 * @param options.settings - more lines for `rabbitmq.conf` of a node of one's own.
 */
export async function startRabbitMq(
  options: {
    readonly own?: boolean;
    readonly plugins?: readonly string[];
    readonly data?: string;
    readonly settings?: readonly string[];
  } = {},
): Promise<RabbitMq> {
  const shared = process.env[sharedNode];
  if (shared !== undefined && options.own !== true && options.plugins === undefined)
    return attach(JSON.parse(shared) as NodeSettings);
  const missing = rabbitMqMissing();
  if (missing !== undefined) throw new Error(missing);
  return startOwn(options);
}

/** The variable that hands a running node on to the processes of a test run. */
export function shareRabbitMq(node: RabbitMq): Readonly<Record<string, string>> {
  return { [sharedNode]: JSON.stringify((node as OwnNode).settings) };
}

interface NodeSettings {
  readonly port: number;
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
}
interface OwnNode extends RabbitMq {
  readonly settings: NodeSettings;
}

function attach(settings: NodeSettings): OwnNode {
  const { port } = settings;
  const control = async (...args: readonly string[]): Promise<string> => {
    const program = path.join(existingServerFolder(), 'sbin', 'rabbitmqctl');
    const { stdout } = await promisify(execFile)(program, ['-n', settings.name, ...args], {
      env: { ...process.env, ...settings.env },
    });
    return stdout;
  };
  const notOurs = (): Promise<void> => Promise.reject(new Error('this node is shared: start one with { own: true }'));
  return {
    settings,
    host: '127.0.0.1',
    port,
    url: (vhost = '/') => `amqp://guest:guest@127.0.0.1:${port}/${encodeURIComponent(vhost)}`,
    freshVhost: async () => {
      const vhost = `test-${process.pid}-${performance.now().toString(36).replace('.', '')}`;
      await control('add_vhost', vhost);
      await control('set_permissions', '-p', vhost, 'guest', '.*', '.*', '.*');
      return vhost;
    },
    control,
    kill: notOurs,
    restart: notOurs,
    isAlive: () => true,
    stop: () => Promise.resolve(),
  };
}

interface OwnOptions {
  readonly plugins?: readonly string[];
  readonly data?: string;
  readonly settings?: readonly string[];
}

async function startOwn(options: OwnOptions): Promise<OwnNode> {
  const folder = temporaryFolder('rabbitmq');
  const settings = await prepare(folder.path, options);
  let node = await boot(settings);
  return {
    ...attach(settings),
    kill: () => node.stop('SIGKILL'),
    restart: async () => {
      await node.stop('SIGKILL');
      node = await boot(settings);
    },
    isAlive: () => node.child.exitCode === null && node.child.signalCode === null,
    stop: async () => {
      await node.stop('SIGTERM');
      await stopPortMapper(settings);
      folder.remove();
    },
  };
}

async function prepare(folder: string, options: OwnOptions): Promise<NodeSettings> {
  const [port, distPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  const name = `torcello${port}@localhost`;
  for (const part of ['home', 'data', 'log']) mkdirSync(path.join(folder, part), { recursive: true });
  const config = path.join(folder, 'rabbitmq.conf');
  const plugins = path.join(folder, 'enabled_plugins');
  const lines = [`listeners.tcp.1 = 127.0.0.1:${port}`, 'log.console = false', 'loopback_users = none'];
  writeFileSync(config, [...lines, ...(options.settings ?? []), ''].join('\n'));
  writeFileSync(plugins, `[${(options.plugins ?? []).join(',')}].\n`);
  return {
    port,
    name,
    env: {
      HOME: path.join(folder, 'home'),
      RABBITMQ_NODENAME: name,
      RABBITMQ_MNESIA_BASE: options.data ?? path.join(folder, 'data'),
      RABBITMQ_LOG_BASE: path.join(folder, 'log'),
      RABBITMQ_CONFIG_FILE: config,
      RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
      RABBITMQ_PID_FILE: path.join(folder, 'node.pid'),
      RABBITMQ_DIST_PORT: String(distPort),
      ERL_EPMD_PORT: String(epmdPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
    },
  };
}

async function boot(settings: NodeSettings): Promise<Running> {
  const server = run(path.join(existingServerFolder(), 'sbin', 'rabbitmq-server'), [], { env: settings.env });
  await Promise.race([listening(settings.port), server.exited.then(() => Promise.reject(endedEarly(server)))]);
  await attach(settings).control('await_startup');
  const pid = Number(readFileSync(settings.env['RABBITMQ_PID_FILE'] ?? '', 'utf8').trim());
  return { ...server, stop: (signal = 'SIGTERM') => endNode(server, pid, signal) };
}

/** The start script may stand between us and the Erlang machine, so the signal goes to the pid that the node wrote. */
async function endNode(server: Running, pid: number, signal: NodeJS.Signals): Promise<void> {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await server.exited;
}

function endedEarly(server: Running): Error {
  const { stdout, stderr } = server.output();
  return new Error(`RabbitMQ ended before it listened\n${stdout}\n${stderr}`);
}

async function stopPortMapper({ env }: NodeSettings): Promise<void> {
  const epmd = ['/usr/bin/epmd', '/usr/lib/erlang/bin/epmd'].find((candidate) => existsSync(candidate)) ?? 'epmd';
  await promisify(execFile)(epmd, ['-kill'], { env: { ...process.env, ...env } });
}

/** Polls, because a foreign process offers nothing better; gives up after three minutes: other tests keep the machine busy. */
async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 1800; attempt += 1) {
    if (await accepts(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing listens on port ${port} after three minutes`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => undefined);
    socket.once('connect', () => socket.destroy());
  });
}

function existingServerFolder(): string {
  const folder = serverFolder();
  if (folder === undefined) throw new Error(rabbitMqMissing());
  return folder;
}

function serverFolder(): string | undefined {
  const base = '/usr/lib/rabbitmq/lib';
  if (!existsSync(base)) return undefined;
  const found = readdirSync(base).find((name) => name.startsWith('rabbitmq_server-'));
  return found === undefined ? undefined : path.join(base, found);
}
