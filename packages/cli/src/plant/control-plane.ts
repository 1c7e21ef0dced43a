import path from 'node:path';
import type { Clock, Random } from '@torcello/platform';
import type { ChildEvent, ProgramStart } from '../supervisor/supervised-child.js';
import { readyText, type ReadyLine } from '../supervisor/ready-line.js';
import type { Supervisor } from '../supervisor/supervisor.js';
import { removeRunningAddress, requireUnused, writePrivate, type DataFolderFiles } from './data-folder.js';
import { formatAddress, type ListenAddress } from './ports.js';
import { agentBundle, programBin } from './program-bins.js';
import { requireReachable } from './reach-broker.js';
import { brokerLogin, ensurePlanKey } from './secrets.js';

export interface ControlPlaneOptions {
  readonly files: DataFolderFiles;
  /** Port 0: the system chooses, and a restarted program gets the same again. */
  readonly api: ListenAddress;
  /** Where the embedded broker listens. */
  readonly amqp: ListenAddress;
  /** A broker that runs already; then none is started. */
  readonly transport: string | undefined;
  /** Agents get the login of `transport` itself, because that broker has no accounts of theirs. */
  readonly allowSharedAgentLogin: boolean;
  /** A mailbox whose agent is silent for so long ends, as `7d`. Default: the API's own. */
  readonly mailboxLifetime?: string | undefined;
  /** A conductor's lease ends so long after its last renewal. Default: the API's own. */
  readonly leaseMs?: number;
  readonly supervisor: Supervisor;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent?: (event: ChildEvent) => void;
}

/** Broker, API and conductor, each in its own process. */
export interface ControlPlane {
  /** Base address of the API. */
  readonly api: string;
  /** The broker's URL with the control plane's own login: a secret. */
  readonly transport: string;
  /** The same without login and password. */
  readonly broker: string;
}

interface BrokerPlace {
  readonly transport: string;
  readonly management: string | undefined;
}

/** Starts the three and resolves when all of them listen. Whoever asked ends them through the supervisor. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { files } = options;
  await requireUnused(files);
  await ensurePlanKey(files);
  const broker =
    options.transport === undefined
      ? await startBroker(options)
      : await externalBroker(options.transport, options.clock);
  const [apiLine] = await Promise.all([startApi(options, broker), startConductor(options, broker)]);
  const api = readyText(apiLine, 'api');
  await writePrivate(files.address, `${JSON.stringify({ api, transport: broker.transport, pid: process.pid })}\n`);
  return { api, transport: broker.transport, broker: withoutLogin(broker.transport) };
}

/** Ends the three; the address is taken back, because nobody listens there any more. */
export async function stopControlPlane(files: DataFolderFiles, supervisor: Supervisor): Promise<void> {
  await removeRunningAddress(files);
  await supervisor.stop();
}

async function startBroker(options: ControlPlaneOptions): Promise<BrokerPlace> {
  const { files, amqp, random } = options;
  const login = await brokerLogin(files, random);
  const line = await options.supervisor.start({
    ...childOf(options, 'broker'),
    program: (last) => ({
      script: programBin('broker'),
      args: flags({
        '--data': files.broker,
        '--host': amqp.host,
        '--port': String(portAgain(last, 'amqp') ?? amqp.port),
        '--management-port': String(portAgain(last, 'management') ?? 0),
      }),
      env: {
        ...plainEnvironment(options.env),
        TORCELLO_BROKER_USER: login.user,
        TORCELLO_BROKER_PASSWORD: login.password,
      },
    }),
  });
  return {
    transport: `rabbit://${login.user}:${login.password}@${readyText(line, 'amqp')}/`,
    management: readyText(line, 'management'),
  };
}

async function externalBroker(transport: string, clock: Clock): Promise<BrokerPlace> {
  await requireReachable(transport, clock);
  return { transport, management: undefined };
}

function startApi(options: ControlPlaneOptions, broker: BrokerPlace): Promise<ReadyLine> {
  const { files, api } = options;
  const program = (last: ReadyLine | undefined): ProgramStart => ({
    script: programBin('api'),
    args: [
      ...flags({
        '--data': files.folder,
        '--listen': formatAddress({ host: api.host, port: portAgain(last, 'api') ?? api.port }),
        '--plan-key': files.planKeyPublic,
        '--broker-management': broker.management,
        '--lease-ms': options.leaseMs === undefined ? undefined : String(options.leaseMs),
        '--mailbox-lifetime': options.mailboxLifetime,
        '--agent-bundle': agentBundle(),
      }),
      ...(options.allowSharedAgentLogin ? ['--allow-shared-agent-login'] : []),
    ],
    env: { ...plainEnvironment(options.env), TORCELLO_TRANSPORT: broker.transport },
  });
  return options.supervisor.start({ ...childOf(options, 'api'), program });
}

function startConductor(options: ControlPlaneOptions, broker: BrokerPlace): Promise<ReadyLine> {
  const program = (): ProgramStart => ({
    script: programBin('conductor'),
    args: ['--plan-key', options.files.planKey],
    env: { ...plainEnvironment(options.env), TORCELLO_TRANSPORT: broker.transport },
  });
  return options.supervisor.start({ ...childOf(options, 'conductor'), program });
}

/** Flags with their values, without those that have none. */
function flags(values: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.entries(values).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
}

function childOf(
  options: ControlPlaneOptions,
  name: string,
): { name: string; logFile: string; clock: Clock; onEvent?: (event: ChildEvent) => void } {
  const { clock, files, onEvent } = options;
  const logFile = path.join(files.logs, `${name}.log`);
  return { name, logFile, clock, ...(onEvent === undefined ? {} : { onEvent }) };
}

/** The port of an address in an earlier ready line (`127.0.0.1:5673` or `http://127.0.0.1:8082`). */
function portAgain(last: ReadyLine | undefined, field: string): number | undefined {
  if (last === undefined) return undefined;
  const port = /:(\d+)\/?$/.exec(readyText(last, field))?.[1];
  return port === undefined ? undefined : Number(port);
}

/** What a child inherits: everything but Torcello's own settings, which are given to each one by name. */
export function plainEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(env).filter(([name, value]) => value !== undefined && !name.startsWith('TORCELLO_'));
  return Object.fromEntries(entries) as Record<string, string>;
}

function withoutLogin(transport: string): string {
  return transport.replace(/\/\/[^/@]*@/g, '//');
}
