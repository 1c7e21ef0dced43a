import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { diagnosis, statusText, table } from './admin-shown.js';

/** How a running broker is reached by its owner. Lies in the data folder, readable by its owner only. */
export interface RunningBrokerFile {
  readonly pid: number;
  readonly amqp: string;
  readonly management: string;
  readonly user: string;
  readonly password: string;
  /** The folder that it runs from, without links: a copy of the folder has this file too. */
  readonly folder?: string;
}

const runningName = 'running.json';

export function writeRunning(folder: string, running: RunningBrokerFile): void {
  writeFileSync(join(folder, runningName), JSON.stringify(running), { mode: 0o600 });
}

export function removeRunning(folder: string): void {
  rmSync(join(folder, runningName), { force: true });
}

/** A question that could not be answered, as one line for a person. */
export class AdminRefused extends Error {}

/** A question to the broker that runs from a folder. */
export interface AdminQuestion {
  readonly folder: string;
  /** The words behind the verb. */
  readonly words: readonly string[];
  /** Prints JSON instead of a text for people. */
  readonly isJson: boolean;
  /** Of policies: those of the operator. */
  readonly isOperator: boolean;
  readonly vhost: string;
  readonly applyTo: string;
  readonly priority: number;
}

type Row = Readonly<Record<string, unknown>>;
type Rows = readonly Row[];

export type AdminVerb =
  | 'status'
  | 'queues'
  | 'connections'
  | 'users'
  | 'policies'
  | 'set-policy'
  | 'clear-policy'
  | 'export'
  | 'import'
  | 'doctor';

/** Each verb with the words that it takes. */
export const adminVerbs: Readonly<Record<AdminVerb, readonly string[]>> = {
  status: [],
  queues: [],
  connections: [],
  users: [],
  policies: [],
  'set-policy': ['NAME', 'PATTERN', 'DEFINITION'],
  'clear-policy': ['NAME'],
  export: [],
  import: ['FILE'],
  doctor: [],
};

export function isAdminVerb(word: string): word is AdminVerb {
  return Object.hasOwn(adminVerbs, word);
}

/**
 * Asks the broker that runs from this folder, and hands the answer to `print`. False when the answer is that something is wrong.
 * @throws AdminRefused.
 */
export async function runAdmin(
  verb: AdminVerb,
  question: AdminQuestion,
  print: (text: string) => void,
): Promise<boolean> {
  const wanted = adminVerbs[verb];
  if (question.words.length !== wanted.length) {
    throw new AdminRefused(`usage: torcello-broker --data DIR ${[verb, ...wanted].join(' ')}`);
  }
  const running = readRunning(question.folder);
  if (verb === 'doctor') {
    const { text, isWell, findings } = await doctor(running);
    print(question.isJson ? JSON.stringify(findings, undefined, 2) : text);
    return isWell;
  }
  print(await answers[verb](running, question));
  return true;
}

type Answering = (running: RunningBrokerFile, question: AdminQuestion) => Promise<string>;

const queueColumns = ['vhost', 'name', 'type', 'policy', 'messages_ready', 'messages_unacknowledged', 'consumers'];
const connectionColumns = ['user_provided_name', 'user', 'vhost', 'channels', 'state', 'name'];

const answers: Readonly<Record<Exclude<AdminVerb, 'doctor'>, Answering>> = {
  status,
  queues: listing('queues', queueColumns),
  connections: listing('connections', connectionColumns),
  users: listing('users', ['name', 'tags']),
  policies: (running, question) =>
    listing(policyPath(question), ['vhost', 'name', 'pattern', 'apply-to', 'priority', 'definition'])(
      running,
      question,
    ),
  'set-policy': setPolicy,
  'clear-policy': clearPolicy,
  export: async (running) => shownJson(await ask(running, 'GET', 'definitions')),
  import: importFile,
};

function listing(path: string, columns: readonly string[]): Answering {
  return async (running, { isJson }) => {
    const rows = (await ask(running, 'GET', path)) as Rows;
    return isJson ? shownJson(rows) : table(rows, columns);
  };
}

async function status(running: RunningBrokerFile, { isJson }: AdminQuestion): Promise<string> {
  const overview = (await ask(running, 'GET', 'overview')) as Row;
  const [node = {}] = (await ask(running, 'GET', 'nodes')) as Rows;
  const { amqp, management } = running;
  return isJson ? shownJson({ ...overview, amqp, management, node }) : statusText({ overview, node, amqp, management });
}

async function setPolicy(running: RunningBrokerFile, question: AdminQuestion): Promise<string> {
  const [name = '', pattern, text = ''] = question.words;
  const { applyTo, priority } = question;
  const body = { pattern, definition: parsed(text, 'DEFINITION'), priority, 'apply-to': applyTo };
  await ask(running, 'PUT', onePolicy(question, name), JSON.stringify(body));
  return 'set';
}

async function clearPolicy(running: RunningBrokerFile, question: AdminQuestion): Promise<string> {
  await ask(running, 'DELETE', onePolicy(question, question.words[0] ?? ''));
  return 'cleared';
}

function policyPath({ isOperator }: AdminQuestion): string {
  return isOperator ? 'operator-policies' : 'policies';
}

function onePolicy(question: AdminQuestion, name: string): string {
  return [policyPath(question), question.vhost, name].map(encodeURIComponent).join('/');
}

async function importFile(running: RunningBrokerFile, { words: [file = ''] }: AdminQuestion): Promise<string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new AdminRefused(`${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  parsed(text, file);
  await ask(running, 'POST', 'definitions', text);
  return 'imported';
}

function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new AdminRefused(`${what} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** What may be wrong with the broker and with what it holds. */
async function doctor(running: RunningBrokerFile): Promise<ReturnType<typeof diagnosis> & { findings: unknown }> {
  const rows = async (path: string): Promise<Rows> => (await ask(running, 'GET', path)) as Rows;
  const { torcello_blocked: blocked } = (await ask(running, 'GET', 'overview')) as Row;
  const [node = {}] = await rows('nodes');
  const found = diagnosis({
    node,
    blocked,
    queues: await rows('queues'),
    exchanges: await rows('exchanges'),
    policies: [...(await rows('policies')), ...(await rows('operator-policies'))],
    users: await rows('users'),
    permissions: await rows('permissions'),
  });
  const findings = found.text.split('\n').map((line) => ({ grade: line.slice(0, 6).trim(), text: line.slice(6) }));
  return { ...found, findings };
}

function shownJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2);
}

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

/** Time for an answer, in milliseconds. */
const answerMsMax = 30_000;

async function ask(running: RunningBrokerFile, method: string, path: string, body?: string): Promise<unknown> {
  const login = Buffer.from(`${running.user}:${running.password}`).toString('base64');
  const headers = { authorization: `Basic ${login}` };
  const signal = AbortSignal.timeout(answerMsMax);
  const request = { method, headers, signal, ...(body === undefined ? {} : { body }) };
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${running.management}/api/${path}`, request);
    text = await response.text();
  } catch (cause) {
    throw new AdminRefused(silence(running, signal.aborted), { cause });
  }
  if (response.status === 401) {
    const why = `the password of '${running.user}' is not the one that it started with`;
    throw new AdminRefused(`the broker refuses the login: ${why}; set it back, or start the broker again`);
  }
  if (!response.ok) throw new AdminRefused(`the broker refuses: ${reasonIn(text)}`);
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}

function silence({ pid, management }: RunningBrokerFile, isSlow: boolean): string {
  const broker = `the broker with process id ${pid}`;
  if (isSlow) return `${broker} has not answered within ${answerMsMax / 1000} s; on a full disk changes wait for room`;
  if (isRunning(pid)) return `${broker} does not answer at ${management}`;
  return `${broker} is gone, and ended without its last words; start it again: it recovers what it has confirmed`;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function reasonIn(text: string): string {
  try {
    const { reason } = JSON.parse(text) as { readonly reason?: unknown };
    return typeof reason === 'string' ? reason : text;
  } catch {
    return text;
  }
}
