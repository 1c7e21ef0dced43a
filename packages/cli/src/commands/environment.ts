import path from 'node:path';
import { hexId } from '@torcello/platform';
import type { Command } from 'commander';
import type { ApiClient } from '../client/api-client.js';
import type { EnvironmentView, MachineView, ServiceView } from '../client/views.js';
import { usageError } from '../cli-error.js';
import type { ExitCode } from '../exit-codes.js';
import { parseSettings, readEnvironmentFile, type EnvironmentRequest } from '../files/environment-file.js';
import { parseRoleCount } from '../files/machines-file.js';
import { parseDuration } from '@torcello/contracts';
import { watchAndTell } from '../watch/watch-deployment.js';
import { apiCommand, gather, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';
import { machineTable } from './machine.js';

interface CreateOptions extends CommonOptions {
  readonly app?: readonly string[];
  readonly set?: readonly string[];
  readonly machines?: readonly string[];
  readonly file?: string;
}

interface DeleteOptions extends CommonOptions {
  readonly abandon?: true;
  readonly watch?: true;
  readonly watchTimeout?: string;
}

/** `torcello environment`: applications that are managed together, with their machines. */
export function environmentCommand(run: CommandRun): Command {
  return noun('environment', 'applications that are managed together, and their machines', [
    apiCommand<CreateOptions>(
      run,
      'create <name>',
      'create an environment, with an application if one is named',
      create,
    )
      .option('--app <fqn[@version]>', 'application to stage; may be repeated', gather)
      .option('--set <key=value>', 'property of the application (YAML value); may be repeated', gather)
      .option('--machines <role=count>', 'machines to add; may be repeated', gather)
      .option('--file <env.yaml>', 'applications and machines from a file'),
    apiCommand(run, 'list', 'list the environments', async ({ client, printer }) => {
      const environments = await client.environments();
      printer.table(environments, {
        columns: [{ title: 'ENVIRONMENT' }, { title: 'STATUS' }, { title: 'UPDATED' }, { title: 'ID' }],
        rows: environments.map(({ name, status, updated, id }) => [name, status, updated, id]),
        empty: 'No environment yet. Try: torcello environment create NAME --app FQN',
      });
    }),
    apiCommand(run, 'show <environment>', 'show one environment with applications and machines', show),
    apiCommand<DeleteOptions>(
      run,
      'delete <environment>',
      'destroy what is deployed, then delete the environment',
      remove,
    )
      .option('--abandon', 'drop it without touching the machines')
      .option('--watch', 'follow the destroying to its end')
      .option('--watch-timeout <duration>', 'end the watch after this time, as 10m'),
  ]);
}

async function create({ client, printer, context, options }: ActionWorld<CreateOptions>, name = ''): Promise<void> {
  const request = await readRequest(options, context.cwd);
  // Everything that can be refused without a trace is asked before the first change.
  const types = await Promise.all(request.applications.map(({ app }) => client.packageNamed(app)));
  const services = request.applications.map(({ name: own, properties }, at) => {
    const found = types[at];
    if (found === undefined) throw new TypeError('every application has its package');
    const type = `${found.fully_qualified_name}/${found.version}`;
    return { '?': { id: hexId(context.random), type, name: own ?? found.name }, ...properties };
  });
  const environment = await client.createEnvironment(name);
  try {
    await stage(client, environment, services);
    const machines: MachineView[] = [];
    for (const item of request.machines) machines.push(...(await client.addMachines(environment.id, item)));
    printer.answer({ ...environment, services, machines }, () => created(environment, services, machines));
  } catch (error) {
    await client.deleteEnvironment(environment.id, true);
    throw error;
  }
}

async function stage(client: ApiClient, environment: EnvironmentView, services: readonly ServiceView[]): Promise<void> {
  if (services.length === 0) return;
  const session = await client.configure(environment.id);
  for (const service of services) await client.addService(environment.id, session.id, service);
}

async function readRequest(options: CreateOptions, cwd: string): Promise<EnvironmentRequest> {
  const { app = [], set = [], machines = [], file } = options;
  if (file !== undefined) {
    if (app.length + set.length + machines.length > 0) {
      throw usageError('--file cannot go together with --app, --set and --machines', 'write them into the file');
    }
    return readEnvironmentFile(path.resolve(cwd, file));
  }
  if (set.length > 0 && app.length !== 1) {
    throw usageError(
      '--set needs exactly one --app',
      'describe several applications in a file and name it with --file',
    );
  }
  const properties = parseSettings(set);
  return {
    applications: app.map((name) => ({ app: name, properties })),
    machines: machines.map((text) => parseRoleCount(text, '--machines')),
  };
}

function created(
  environment: EnvironmentView,
  services: readonly ServiceView[],
  machines: readonly MachineView[],
): readonly string[] {
  const next =
    services.length === 0 || machines.length > 0
      ? []
      : [`Then machines: torcello machine add ${environment.name} --role ROLE --count N`];
  return [
    `Created environment ${environment.name} (${environment.id})`,
    ...services.map((service) => `Staged ${service['?'].type} as ${service['?'].name ?? ''}`),
    ...machines.map(({ name, joinLine }) => `${name} joins with: torcello agent --join ${joinLine ?? ''}`),
    ...next,
    ...(services.length === 0 ? [] : [`Deploy it: torcello deploy ${environment.name} --watch`]),
  ];
}

async function show({ client, printer }: ActionWorld<CommonOptions>, name = ''): Promise<void> {
  const { id } = await client.environmentNamed(name);
  const [environment, machines, staged] = await Promise.all([
    client.environment(id),
    client.machines(id),
    stagedServices(client, id),
  ]);
  const services = environment.services ?? [];
  printer.answer({ ...environment, services, staged, machines }, () => [
    `${environment.name} (${environment.id}): ${environment.status}`,
    ...services.map((service) => `deployed: ${describeService(service)}`),
    ...staged.map((service) => `staged: ${describeService(service)}`),
    ...(machines.length === 0 ? ['No machine yet.'] : machineTable(machines)),
  ]);
}

async function stagedServices(client: ApiClient, environmentId: string): Promise<readonly ServiceView[]> {
  const session = await client.stagedSession(environmentId);
  if (session === undefined) return [];
  return (await client.environment(environmentId, session.id)).services ?? [];
}

function describeService(service: ServiceView): string {
  const { '?': identity, ...properties } = service;
  return `${identity.type} ${JSON.stringify(properties)}`;
}

async function remove(world: ActionWorld<DeleteOptions>, name = ''): Promise<ExitCode | void> {
  const { client, printer, context, options } = world;
  const timeoutMs = watchTimeoutMs(options.watchTimeout);
  const environment = await client.environmentNamed(name);
  const deployment = await client.deleteEnvironment(environment.id, options.abandon === true);
  if (deployment !== undefined && options.watch === true) {
    return watchAndTell(context, client, deployment, { timeoutMs, printer });
  }
  printer.answer({ environment: environment.id, deployment: deployment ?? null }, () =>
    deployment === undefined
      ? [`Deleted environment ${environment.name}`]
      : [
          `Deployment ${deployment} destroys what runs in ${environment.name}; then the environment goes`,
          `Watch it: torcello deployment show ${deployment} --watch`,
        ],
  );
}

/** Reads `--watch-timeout`. @throws CliError when it is no duration. */
export function watchTimeoutMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined)
    throw usageError(`--watch-timeout ${text} is no duration`, '--watch-timeout 90s, or 10m, or 1h30m');
  return ms;
}

/** Reads `--deliver-within`. @throws CliError when it is no duration. */
export function deliverWithinMs(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0) throw usageError(`--deliver-within ${text} is no duration`, '--deliver-within 5d');
  return ms;
}
