import path from 'node:path';
import { parseDuration } from '@torcello/contracts';
import type { Command } from 'commander';
import type { ApiClient, MachineRequest } from '../client/api-client.js';
import type { EndedPlanView, MachineView } from '../client/views.js';
import { CliError, usageError } from '../cli-error.js';
import { writeCloudInit, writeJoinLines, writeSecretFile } from '../files/join-lines.js';
import { readMachinesFile, requireCount } from '../files/machines-file.js';
import { formatTable } from '../output/table.js';
import { safeText } from '../output/text.js';
import { apiCommand, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

interface AddOptions extends CommonOptions {
  readonly role?: string;
  readonly count?: string;
  readonly kind?: string;
  readonly lifetime?: string;
  readonly file?: string;
  readonly joinLines?: string;
  readonly cloudInit?: string;
}

interface SetupOptions extends CommonOptions {
  readonly userData?: boolean;
  readonly output?: string;
}

/** `torcello machine`: places for agents, real or not yet. */
export function machineCommand(run: CommandRun): Command {
  return noun('machine', 'places for agents, real or not yet', [
    apiCommand<AddOptions>(run, 'add <environment>', 'add machines and get their join lines', add)
      .option('--role <role>', 'role of the new machines')
      .option('--count <number>', 'how many (default: 1)')
      .option(
        '--kind <kind>',
        "whose agent works on them: agent (ours, the default) or muranoagent (OpenStack Murano's)",
      )
      .option('--lifetime <duration>', 'how long their mailboxes live while their agents are silent, as 7d')
      .option('--file <machines.yaml>', 'machines from a file: a list of role with count or names')
      .option('--join-lines <file>', 'write the join lines to a file (mode 0600) instead of the screen')
      .option('--cloud-init <dir>', 'write cloud-init user data, one file a machine'),
    apiCommand(
      run,
      'list <environment>',
      'list the machines of an environment',
      async ({ client, printer }, name = '') => {
        const environment = await client.environmentNamed(name);
        const machines = await client.machines(environment.id);
        printer.answer(machines, () =>
          machines.length === 0
            ? [`No machine yet. Try: torcello machine add ${name} --role ROLE`]
            : machineTable(machines),
        );
      },
    ),
    apiCommand<JoinLineOptions>(
      run,
      'join-line <environment> [machine]',
      'make a new join line; the old one is void then (also by the id of the machine alone)',
      newJoinLine,
    ).option('--replace', 'the machine was made anew: what was open for the agent that had joined ends at once'),
    apiCommand<SetupOptions>(
      run,
      'agent-conf <environment> [machine]',
      'agent.conf for a machine of kind muranoagent; holds a secret (also by the id of the machine alone)',
      agentConf,
    )
      .option('--user-data', 'cloud-init user data that installs the agent with it')
      .option('--output <file>', 'write it to a file (mode 0600) instead of the screen'),
    apiCommand(
      run,
      'delete <environment> [machine]',
      'take a machine away; its open plans end (also by the id of the machine alone)',
      remove,
    ),
  ]);
}

export function machineTable(machines: readonly MachineView[]): readonly string[] {
  const rows = machines.map(({ name, role, state, id }) => [name, role, state, id]);
  return formatTable([{ title: 'MACHINE' }, { title: 'ROLE' }, { title: 'STATE' }, { title: 'ID' }], rows);
}

async function add({ client, printer, context, options }: ActionWorld<AddOptions>, name = ''): Promise<void> {
  const requests = await readRequests(options, context.cwd);
  const environment = await client.environmentNamed(name);
  const machines: MachineView[] = [];
  for (const request of requests) machines.push(...(await client.addMachines(environment.id, request)));
  const told =
    options.kind === 'muranoagent'
      ? await keepMuranoSetups(client, machines, { options, cwd: context.cwd })
      : await keepJoinLines(machines, options, context.cwd);
  printer.answer({ machines }, () => [`Added ${machines.length} to ${environment.name}`, ...told]);
}

function readLifetime(text: string | undefined): Pick<MachineRequest, 'lifetimeMs'> {
  if (text === undefined) return {};
  const lifetimeMs = parseDuration(text);
  if (lifetimeMs === undefined) throw usageError(`--lifetime ${text} is no duration`, '--lifetime 7d');
  return { lifetimeMs };
}

async function readRequests(options: AddOptions, cwd: string): Promise<readonly MachineRequest[]> {
  const { role, count, file, kind = 'agent' } = options;
  if (kind !== 'agent' && kind !== 'muranoagent') throw usageError('--kind is agent or muranoagent');
  if (kind === 'muranoagent' && options.joinLines !== undefined)
    throw usageError('machines of kind muranoagent have no join lines', '--cloud-init DIR');
  if (file !== undefined) {
    if (role !== undefined || count !== undefined || options.kind !== undefined || options.lifetime !== undefined)
      throw usageError('--file cannot go together with --role, --count, --kind and --lifetime');
    return readMachinesFile(path.resolve(cwd, file));
  }
  if (role === undefined) throw usageError('machine add needs --role or --file', '--role web --count 3');
  const request = { role, count: requireCount(count ?? '1', '--count'), ...readLifetime(options.lifetime) };
  return [kind === 'muranoagent' ? { ...request, kind } : request];
}

/** Puts the join lines where they were asked for and tells it in lines. */
async function keepJoinLines(
  machines: readonly MachineView[],
  options: AddOptions,
  cwd: string,
): Promise<readonly string[]> {
  const told: string[] = [];
  if (options.joinLines !== undefined) {
    const file = path.resolve(cwd, options.joinLines);
    await writeJoinLines(file, machines);
    told.push(`Join lines are in ${file}`);
  }
  if (options.cloudInit !== undefined) {
    const folder = path.resolve(cwd, options.cloudInit);
    await writeCloudInit(folder, machines);
    told.push(`cloud-init user data is in ${folder}`);
  }
  if (told.length > 0) return told;
  return [
    ...machines.map(({ name, joinLine }) => `${name} ${joinLine ?? ''}`),
    'Each is good for one agent: torcello agent --data DIR --join LINE',
  ];
}

/** Machines of this kind join nothing: each gets its configuration. */
async function keepMuranoSetups(
  client: ApiClient,
  machines: readonly MachineView[],
  { options, cwd }: { readonly options: AddOptions; readonly cwd: string },
): Promise<readonly string[]> {
  if (options.cloudInit === undefined)
    return [
      ...machines.map(({ name, id }) => safeText(`${name} ${id}`)),
      'The configuration of each: torcello machine agent-conf ID, or --user-data for cloud-init',
    ];
  const folder = path.resolve(cwd, options.cloudInit);
  for (const { name, id } of machines)
    await writeSecretFile(path.join(folder, `${name}.yaml`), await client.muranoSetup(id, 'user-data'));
  return [`cloud-init user data is in ${folder}`];
}

async function agentConf(
  { client, printer, options, context }: ActionWorld<SetupOptions>,
  ...place: readonly string[]
): Promise<void> {
  const machine = await machineAt(client, place);
  const what = options.userData === true ? 'user-data' : 'agent-conf';
  const content = await client.muranoSetup(machine.id, what);
  if (options.output === undefined)
    return printer.answer({ machine: machine.name, content }, () => content.trimEnd().split('\n'));
  const file = path.resolve(context.cwd, options.output);
  await writeSecretFile(file, content);
  printer.answer({ machine: machine.name, file }, () => [`Written to ${file}`]);
}

interface JoinLineOptions extends CommonOptions {
  readonly replace?: true;
}

async function newJoinLine(
  { client, printer, options }: ActionWorld<JoinLineOptions>,
  ...place: readonly string[]
): Promise<void> {
  const machine = await machineAt(client, place);
  if (options.replace !== true) {
    const joinLine = await client.newJoinLine(machine.id);
    printer.answer({ machine: machine.name, joinLine }, () => [joinLine]);
    return;
  }
  const { joinLine, endedPlans = [] } = await client.replaceMachine(machine.id);
  printer.answer({ machine: machine.name, joinLine, endedPlans }, () => [joinLine, ...endedPlans.map(endedLine)]);
}

/** What becomes of a plan whose machine came to its end. */
function endedLine({ planId, deploymentId, stage, state, becomes }: EndedPlanView): string {
  const text = becomes === 'neverStarted' ? 'never started' : 'unknown: the agent may have run it, or run it still';
  return safeText(`Plan ${planId} (${stage} of deployment ${deploymentId}) was ${state} and ended: ${text}`);
}

async function remove({ client, printer }: ActionWorld<CommonOptions>, ...place: readonly string[]): Promise<void> {
  const machine = await machineAt(client, place);
  const { endedPlans = [] } = await client.deleteMachine(machine.id);
  printer.answer({ deleted: machine.id, endedPlans }, () => [
    safeText(`Deleted ${machine.name}`),
    ...endedPlans.map(endedLine),
  ]);
}

/** The machine of an environment by name or id, or of an id alone. @throws CliError `unknown_machine`. */
async function machineAt(
  client: ApiClient,
  [first = '', second]: readonly string[],
): Promise<{ readonly id: string; readonly name: string }> {
  if (second === undefined && /^[0-9a-f]{32}$/.test(first)) return { id: first, name: first };
  if (second === undefined) throw usageError('name the environment and the machine, or the id of the machine');
  const environment = await client.environmentNamed(first);
  const machines = await client.machines(environment.id);
  const machine = machines.find(({ name, id }) => name === second || id === second);
  if (machine !== undefined) return machine;
  throw new CliError('unknown_machine', `there is no machine ${second} in ${first}`, {
    cure: `torcello machine list ${first} shows which there are`,
  });
}
