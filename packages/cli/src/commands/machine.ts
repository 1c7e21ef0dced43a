import path from 'node:path';
import type { Command } from 'commander';
import type { ApiClient, MachineRequest } from '../client/api-client.js';
import type { MachineView } from '../client/views.js';
import { CliError, usageError } from '../cli-error.js';
import { writeCloudInit, writeJoinLines } from '../files/join-lines.js';
import { readMachinesFile, requireCount } from '../files/machines-file.js';
import { formatTable } from '../output/table.js';
import { safeText } from '../output/text.js';
import { apiCommand, noun, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';

interface AddOptions extends CommonOptions {
  readonly role?: string;
  readonly count?: string;
  readonly file?: string;
  readonly joinLines?: string;
  readonly cloudInit?: string;
}

/** `torcello machine`: places for agents, real or not yet. */
export function machineCommand(run: CommandRun): Command {
  return noun('machine', 'places for agents, real or not yet', [
    apiCommand<AddOptions>(run, 'add <environment>', 'add machines and get their join lines', add)
      .option('--role <role>', 'role of the new machines')
      .option('--count <number>', 'how many (default: 1)')
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
    apiCommand(
      run,
      'join-line <environment> [machine]',
      'make a new join line; the old one is void then (also by the id of the machine alone)',
      newJoinLine,
    ),
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
  const told = await keepJoinLines(machines, options, context.cwd);
  printer.answer({ machines }, () => [`Added ${machines.length} to ${environment.name}`, ...told]);
}

async function readRequests(options: AddOptions, cwd: string): Promise<readonly MachineRequest[]> {
  const { role, count, file } = options;
  if (file !== undefined) {
    if (role !== undefined || count !== undefined)
      throw usageError('--file cannot go together with --role and --count');
    return readMachinesFile(path.resolve(cwd, file));
  }
  if (role === undefined) throw usageError('machine add needs --role or --file', '--role web --count 3');
  return [{ role, count: requireCount(count ?? '1', '--count') }];
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

async function newJoinLine(
  { client, printer }: ActionWorld<CommonOptions>,
  ...place: readonly string[]
): Promise<void> {
  const machine = await machineAt(client, place);
  const joinLine = await client.newJoinLine(machine.id);
  printer.answer({ machine: machine.name, joinLine }, () => [joinLine]);
}

async function remove({ client, printer }: ActionWorld<CommonOptions>, ...place: readonly string[]): Promise<void> {
  const machine = await machineAt(client, place);
  const { endedPlans } = (await client.deleteMachine(machine.id)) as { endedPlans?: readonly unknown[] };
  const open =
    endedPlans === undefined || endedPlans.length === 0 ? '' : `; open plans of it that ended: ${endedPlans.length}`;
  printer.answer({ deleted: machine.id, ...(endedPlans === undefined ? {} : { endedPlans }) }, () => [
    safeText(`Deleted ${machine.name}${open}`),
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
