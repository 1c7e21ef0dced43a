import path from 'node:path';
import { readFile } from 'node:fs/promises';
import { ApiClient } from '../client/api-client.js';
import { HttpClient } from '../client/http.js';
import type { MachineView } from '../client/views.js';
import type { CliContext } from '../context.js';
import type { ChildEvent } from '../supervisor/supervised-child.js';
import { Supervisor } from '../supervisor/supervisor.js';
import { startControlPlane, stopControlPlane } from './control-plane.js';
import { dataFolderFiles, openDataFolder } from './data-folder.js';
import { parseListenAddress, requireFree } from './ports.js';

export interface UpSettings {
  readonly data: string;
  readonly api: string;
  readonly amqp: string;
  readonly transport: string | undefined;
  readonly allowSharedAgentLogin: boolean;
  /** A duration, as `7d`; undefined: the API's own default. */
  readonly mailboxLifetime: string | undefined;
  /** Told in a line when a program died and is started again. */
  readonly note: (text: string) => void;
}

export interface UpReady {
  readonly api: string;
  /** The broker's URL with the control plane's login. */
  readonly amqp: string;
  /** The same without login. */
  readonly broker: string;
  readonly token: string;
  /** For a spare machine; null where agents get no login of their own. */
  readonly join: string | null;
}

export interface Up {
  /** Settles when everything listens, or with why it does not. */
  readonly ready: Promise<UpReady>;
  /** Resolves when nothing of it runs any more. */
  stop(): Promise<void>;
  /** Ends every process at once. */
  kill(): void;
}

/** The environment and role of the machine that a join line of `up` is for. */
const spare = { environment: 'default', role: 'web' } as const;

/** Starts broker, API and conductor, and sees to a join line for a spare machine. */
export function startUp(context: CliContext, settings: UpSettings): Up {
  const supervisor = new Supervisor();
  const files = dataFolderFiles(path.resolve(context.cwd, settings.data));
  const ready = start(context, settings, supervisor);
  return {
    ready,
    stop: async () => {
      await stopControlPlane(files, supervisor);
      await ready.catch(() => undefined);
      await supervisor.stop();
    },
    kill: () => supervisor.kill(),
  };
}

async function start(context: CliContext, settings: UpSettings, supervisor: Supervisor): Promise<UpReady> {
  const api = parseListenAddress(settings.api, '--api');
  const amqp = parseListenAddress(settings.amqp, '--amqp');
  await requireFree(api, '--api');
  if (settings.transport === undefined) await requireFree(amqp, '--amqp');
  const files = await openDataFolder(path.resolve(context.cwd, settings.data));
  const plane = await startControlPlane({
    files,
    api,
    amqp,
    transport: settings.transport,
    allowSharedAgentLogin: settings.allowSharedAgentLogin,
    mailboxLifetime: settings.mailboxLifetime,
    supervisor,
    env: context.env,
    clock: context.clock,
    random: context.random,
    onEvent: (event) => noteDeath(event, settings.note),
  });
  const token = (await readFile(files.adminToken, 'utf8')).trim();
  const client = new ApiClient(new HttpClient({ url: plane.api, token, foundIn: files.folder }, context));
  const givesJoinLine = settings.transport === undefined || settings.allowSharedAgentLogin;
  const join = givesJoinLine ? await spareJoinLine(client) : null;
  return { api: plane.api, amqp: plane.transport, broker: plane.broker, token, join };
}

function noteDeath(event: ChildEvent, note: (text: string) => void): void {
  if (event.type === 'died') note(`${event.name} died (${event.how}); it starts again in ${event.restartInMs} ms`);
}

/** A join line for a machine that nobody has joined as yet; environment and machine are made when there is none. */
async function spareJoinLine(client: ApiClient): Promise<string | null> {
  const all = await client.environments();
  const environment =
    all.find(({ name }) => name === spare.environment) ?? (await client.createEnvironment(spare.environment));
  const [machines, agents] = await Promise.all([client.machines(environment.id), client.agents()]);
  const joined = new Set(
    agents.filter(({ joinedAt }) => joinedAt !== null && joinedAt !== undefined).map((agent) => agent.machineId),
  );
  const isSpare = (machine: MachineView): boolean => machine.role === spare.role && !joined.has(machine.id);
  const waiting = machines.find(isSpare);
  if (waiting !== undefined) return client.newJoinLine(waiting.id);
  const [made] = await client.addMachines(environment.id, { role: spare.role, count: 1 });
  return made?.joinLine ?? null;
}
