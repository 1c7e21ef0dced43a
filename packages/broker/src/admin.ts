import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

/** How a running broker is reached by its owner. Lies in the data folder, readable by its owner only. */
export interface RunningBrokerFile {
  readonly pid: number;
  readonly amqp: string;
  readonly management: string;
  readonly user: string;
  readonly password: string;
}

const runningName = 'running.json';

export const adminVerbs = ['status', 'queues', 'connections', 'users', 'export', 'import', 'doctor'] as const;
export type AdminVerb = (typeof adminVerbs)[number];

export function writeRunning(folder: string, running: RunningBrokerFile): void {
  writeFileSync(join(folder, runningName), JSON.stringify(running), { mode: 0o600 });
}

export function removeRunning(folder: string): void {
  rmSync(join(folder, runningName), { force: true });
}

/** A question that could not be answered, as one line for a person. */
export class AdminRefused extends Error {}

type Row = Readonly<Record<string, unknown>>;

/** Asks the broker that runs from this folder, and prints the answer. @throws AdminRefused. */
export async function runAdmin(
  verb: AdminVerb,
  at: { readonly folder: string; readonly file?: string },
): Promise<void> {
  const running = readRunning(at.folder);
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  switch (verb) {
    case 'status':
      return print(JSON.stringify(await ask(running, 'GET', 'overview'), undefined, 2));
    case 'queues':
      return print(table(await ask(running, 'GET', 'queues'), queueColumns));
    case 'connections':
      return print(table(await ask(running, 'GET', 'connections'), connectionColumns));
    case 'users':
      return print(table(await ask(running, 'GET', 'users'), ['name', 'tags']));
    case 'export':
      return print(JSON.stringify(await ask(running, 'GET', 'definitions'), undefined, 2));
    case 'import':
      if (at.file === undefined) throw new AdminRefused('import needs the file of definitions');
      await ask(running, 'POST', 'definitions', readFileSync(at.file, 'utf8'));
      return print('imported');
    case 'doctor':
      return print(await doctor(running));
  }
}

const connectionColumns = ['user_provided_name', 'user', 'vhost', 'channels', 'state', 'name'];
const queueColumns = ['vhost', 'name', 'type', 'messages_ready', 'messages_unacknowledged', 'consumers'];

function readRunning(folder: string): RunningBrokerFile {
  try {
    return JSON.parse(readFileSync(join(folder, runningName), 'utf8')) as RunningBrokerFile;
  } catch {
    throw new AdminRefused(`no broker runs from ${folder}; start it, or name its folder with --data`);
  }
}

/** How the broker that runs from a folder is reached; undefined when none does. */
export function readRunningIfAny(folder: string): RunningBrokerFile | undefined {
  try {
    return readRunning(folder);
  } catch {
    return undefined;
  }
}

/** The queues, as `vhost NUL name`, of which some messages were handed to somebody. @throws AdminRefused. */
export async function queuesSeen(running: RunningBrokerFile): Promise<ReadonlySet<string>> {
  const queues = (await ask(running, 'GET', 'queues')) as Row[];
  const seen = queues.filter(
    (row) => Number(row['messages_unacknowledged']) > 0 || Number(row['messages_redelivered']) > 0,
  );
  return new Set(seen.map(({ vhost, name }) => `${String(vhost)}\0${String(name)}`));
}

async function ask(running: RunningBrokerFile, method: string, path: string, body?: string): Promise<unknown> {
  const login = Buffer.from(`${running.user}:${running.password}`).toString('base64');
  const headers = { authorization: `Basic ${login}` };
  let response: Response;
  try {
    response = await fetch(`${running.management}/api/${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
  } catch (cause) {
    throw new AdminRefused(`the broker with process id ${running.pid} does not answer at ${running.management}`, {
      cause,
    });
  }
  const text = await response.text();
  if (!response.ok) throw new AdminRefused(`the broker refuses: ${text}`);
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}

/** What may be wrong, a line each. */
async function doctor(running: RunningBrokerFile): Promise<string> {
  const alarms = await ask(running, 'GET', 'health/checks/alarms').then(
    () => 'ok    publishes are taken',
    (error: unknown) => `wrong publishes are refused (${String(error)}): make room on the disk, or give it more memory`,
  );
  const queues = (await ask(running, 'GET', 'queues')) as Row[];
  const unread = queues.filter(({ messages_ready: ready, consumers }) => Number(ready) > 0 && consumers === 0);
  const shown = unread.map(
    ({ vhost, name, messages_ready: ready }) =>
      `note  ${String(vhost)} ${String(name)}: ${String(ready)} messages and no reader`,
  );
  return [alarms, ...shown].join('\n');
}

function table(answer: unknown, columns: readonly string[]): string {
  const rows = (answer as Row[]).map((row) => columns.map((column) => cell(row[column])));
  const all = [columns, ...rows];
  const widths = columns.map((_column, at) => Math.max(...all.map((row) => (row[at] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** What clients choose as names goes to a terminal: control characters are shown as a question mark. */
function cell(value: unknown): string {
  const text = typeof value === 'string' ? value : Array.isArray(value) ? value.join(',') : JSON.stringify(value ?? '');
  return text.replaceAll(/\p{Cc}/gu, '?');
}
