import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run, temporaryFolder } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { root } from '../tidy/sources.js';

/** Real programs over loopback: a broker, the API, and as many conductors and agents as a test asks for. */
export interface Stack {
  readonly folder: string;
  /** A REST request with the admin token; resolves with the parsed body. @throws when it is refused. */
  request<T>(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<T>;
  conductor(env?: Readonly<Record<string, string>>, imports?: readonly string[]): Promise<Running>;
  agent(name: string, joinLine: string, env?: Readonly<Record<string, string>>): Promise<Running>;
  /** The broker with the programs' own login. */
  brokerUrl(): string;
  /** Base address of the API, and the admin token. */
  server(): { readonly url: string; readonly token: string };
  /** Pids of broker and API as they run now. */
  pids(): { readonly broker: number | undefined; readonly api: number };
  /** kill -9 of the broker, and the same broker again on its port and data. */
  killBroker(): Promise<void>;
  /** SIGTERM, and its end. */
  endBroker(): Promise<void>;
  restartBroker(): Promise<void>;
  killApi(): Promise<void>;
  restartApi(): Promise<void>;
  /** Ends everything that was started and removes the folder. */
  stop(): Promise<void>;
}

export interface StackOptions {
  /** A broker that runs already; default: the embedded one. */
  readonly transport?: string;
  readonly leaseMs?: number;
  readonly sweepMs?: number;
  /** More arguments for the API. */
  readonly apiArguments?: readonly string[];
  /** More arguments for the embedded broker. */
  readonly brokerArguments?: readonly string[];
  /** The broker as agents reach it, given its own address: through a proxy, say. */
  readonly agentTransport?: (brokerUrl: string) => Promise<string>;
  /** Called with the folder before anything is started; answers what broker and API get into their environment. */
  readonly prepare?: (folder: string) => Readonly<Record<'broker' | 'api', Readonly<Record<string, string>>>>;
}

interface Login {
  readonly user: string;
  readonly password: string;
}

const bin = (program: string): string => path.join(root, 'packages', program, 'bin', `torcello-${program}.js`);

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const folder = temporaryFolder('stack');
  const planKey = makePlanKey(folder.path);
  const login = { user: 'torcello', password: 'only-for-a-test' };
  const own = options.prepare?.(folder.path) ?? { broker: {}, api: {} };
  const started = new Set<Running>();
  const start = async (program: string, args: readonly string[], with_: StartOptions = {}): Promise<Started> => {
    const imports = (with_.imports ?? []).flatMap((file) => ['--import', file]);
    const running = run(process.execPath, [...imports, bin(program), ...args], { env: { ...with_.env } });
    started.add(running);
    const ready = JSON.parse(await running.line((line) => line.startsWith('{"ready"'))) as Record<string, string>;
    return { running, ready };
  };
  const broker =
    options.transport === undefined
      ? await Restartable.of((last) =>
          startBroker(start, { folder: folder.path, login, env: own.broker, more: options.brokerArguments }, last),
        )
      : undefined;
  const transport = options.transport ?? `amqp://${login.user}:${login.password}@${broker?.field('amqp') ?? ''}/`;
  const env = { TORCELLO_TRANSPORT: transport };
  const agentTransport = await options.agentTransport?.(transport);
  const api = await Restartable.of((last) =>
    start(
      'api',
      [
        ...['--data', folder.path, '--listen', last === undefined ? '127.0.0.1:0' : new URL(last['api'] ?? '').host],
        ...['--plan-key', `${planKey}.pub`, '--lease-ms', String(options.leaseMs ?? 2000)],
        ...['--sweep-ms', String(options.sweepMs ?? 500), '--heartbeat-ms', '1000'],
        ...(options.apiArguments ?? []),
        ...(agentTransport === undefined ? [] : ['--agent-transport', agentTransport]),
        ...(broker === undefined
          ? ['--allow-shared-agent-login']
          : ['--broker-management', broker.field('management')]),
      ],
      { env: { ...env, ...own.api } },
    ),
  );
  const token = readFileSync(path.join(folder.path, 'admin-token'), 'utf8').trim();
  return {
    folder: folder.path,
    request: (method, route, body, headers) =>
      request({ method, url: `${api.field('api')}${route}`, token, body, headers }),
    brokerUrl: () => transport,
    server: () => ({ url: api.field('api'), token }),
    conductor: async (more = {}, imports = []) =>
      (await start('conductor', ['--plan-key', planKey], { env: { ...env, ...more }, imports })).running,
    agent: async (name, joinLine, more = {}) => {
      const args = ['--data', path.join(folder.path, 'agents', name), '--join', joinLine];
      return (await start('agent', args, { env: more })).running;
    },
    pids: () => ({ broker: broker?.pid, api: api.pid }),
    killBroker: () => broker?.kill() ?? Promise.reject(new Error('this broker is not ours')),
    endBroker: () => broker?.kill('SIGTERM') ?? Promise.reject(new Error('this broker is not ours')),
    restartBroker: () => broker?.restart() ?? Promise.reject(new Error('this broker is not ours')),
    killApi: () => api.kill(),
    restartApi: () => api.restart(),
    stop: async () => {
      await Promise.all([...started].map((running) => running.stop('SIGKILL')));
      folder.remove();
    },
  };
}

interface StartOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly imports?: readonly string[];
}
interface Started {
  readonly running: Running;
  readonly ready: Readonly<Record<string, string>>;
}

/** A program that can be killed and started again where it was; `make` gets the ready line of the time before. */
class Restartable {
  #current: Started;
  readonly #make: (last: Started['ready'] | undefined) => Promise<Started>;

  private constructor(current: Started, make: (last: Started['ready'] | undefined) => Promise<Started>) {
    this.#current = current;
    this.#make = make;
  }

  static async of(make: (last: Started['ready'] | undefined) => Promise<Started>): Promise<Restartable> {
    return new Restartable(await make(undefined), make);
  }

  field(name: string): string {
    return this.#current.ready[name] ?? '';
  }

  get pid(): number {
    return this.#current.running.pid;
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    return this.#current.running.stop(signal);
  }

  async restart(): Promise<void> {
    this.#current = await this.#make(this.#current.ready);
  }
}

function startBroker(
  start: (program: string, args: readonly string[], options: StartOptions) => Promise<Started>,
  of: {
    readonly folder: string;
    readonly login: Login;
    readonly env: StartOptions['env'];
    readonly more: readonly string[] | undefined;
  },
  last: Started['ready'] | undefined,
): Promise<Started> {
  const portOf = (address: string | undefined): string => /:(\d+)\/?$/.exec(address ?? ':0')?.[1] ?? '0';
  const args = [
    ...['--data', path.join(of.folder, 'broker'), '--port', portOf(last?.['amqp'])],
    ...['--management-port', portOf(last?.['management'])],
    ...(of.more ?? []),
  ];
  const { login, env } = of;
  return start('broker', args, {
    env: { ...env, TORCELLO_BROKER_USER: login.user, TORCELLO_BROKER_PASSWORD: login.password },
  });
}

function makePlanKey(folder: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  mkdirSync(path.join(folder, 'agents'), { recursive: true });
  const file = path.join(folder, 'plan-key.pem');
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
  return file;
}

async function request<T>(call: {
  readonly method: string;
  readonly url: string;
  readonly token: string;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>> | undefined;
}): Promise<T> {
  const isBytes = call.body instanceof Uint8Array;
  const response = await fetch(call.url, {
    method: call.method,
    headers: {
      'x-auth-token': call.token,
      ...(call.body === undefined ? {} : { 'content-type': isBytes ? 'application/zip' : 'application/json' }),
      ...call.headers,
    },
    ...(call.body === undefined
      ? {}
      : { body: isBytes ? (call.body as Uint8Array<ArrayBuffer>) : JSON.stringify(call.body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${call.method} ${call.url}: ${response.status} ${text}`);
  const deployment = response.headers.get('x-torcello-deployment');
  return (deployment === null ? (text === '' ? undefined : JSON.parse(text)) : { deployment }) as T;
}
