import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { systemClock } from '@torcello/platform';
import { seededRandom } from '@torcello/platform/testing';
import { temporaryFolder as freshFolder } from '@torcello/test-support';
import type { CliContext, StopSignal } from '../src/context.js';
import { runCommandLine } from '../src/run-command-line.js';

/** What a route of the fake API does with a request. A plain value is answered as JSON. */
export type Route = (request: Seen, response: ServerResponse) => unknown;

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface FakeApi extends AsyncDisposable {
  readonly url: string;
  /** Every request so far, as `METHOD /path`. */
  readonly seen: Seen[];
  calls(): readonly string[];
}

/** Throw it from a route: the API refuses. */
export class Refusal {
  readonly status: number;
  readonly body: unknown;
  readonly type: string;
  constructor(status: number, body: unknown, type = 'application/json') {
    this.status = status;
    this.body = body;
    this.type = type;
  }
}

/** An API of the given routes (`GET /v1/environments`); an unknown one is refused with 404. */
export async function fakeApi(routes: Readonly<Record<string, Route>>): Promise<FakeApi> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://fake');
      const { method = 'GET', headers } = request;
      const told = { method, path: url.pathname, query: url.searchParams, headers, body: Buffer.concat(chunks) };
      seen.push(told);
      answer(routes, told, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    calls: () => seen.map((request) => `${request.method} ${request.path}`),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function answer(routes: Readonly<Record<string, Route>>, request: Seen, response: ServerResponse): void {
  const route = routes[`${request.method} ${request.path}`];
  try {
    if (route === undefined) throw new Refusal(404, { error: { message: `no route ${request.path}`, code: 404 } });
    const value = route(request, response);
    if (response.headersSent) return;
    response.setHeader('content-type', 'application/json').end(value === undefined ? '' : JSON.stringify(value));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    response.writeHead(error.status, { 'content-type': error.type }).end(JSON.stringify(error.body));
  }
}

/** Sends server-sent events; `undefined` as the last one leaves the stream open. */
export function sendEvents(
  response: ServerResponse,
  events: readonly ({ readonly event: string; readonly id?: string; readonly data: unknown } | undefined)[],
): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const item of events) {
    if (item === undefined) return;
    const id = item.id === undefined ? '' : `id: ${item.id}\n`;
    response.write(`event: ${item.event}\n${id}data: ${JSON.stringify(item.data)}\n\n`);
  }
  response.end();
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestWorld {
  readonly url?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every piece that the command writes, and with a way to send it a signal. */
  readonly onWrite?: (text: string, send: (signal: StopSignal) => void) => void;
  readonly isTerminal?: boolean;
}

/** Runs one command line against a world of its own. */
export async function torcello(args: readonly string[], world: TestWorld = {}): Promise<CommandResult> {
  const written = { stdout: '', stderr: '' };
  const { context, send } = testContext(world, (name, text) => {
    written[name] += text;
    world.onWrite?.(text, send);
  });
  const exitCode = await runCommandLine(args, context);
  return { exitCode, ...written };
}

export function testContext(
  world: TestWorld,
  write: (name: 'stdout' | 'stderr', text: string) => void,
): { readonly context: CliContext; readonly send: (signal: StopSignal) => void } {
  const listeners = new Set<(signal: StopSignal) => void>();
  const terminal = world.isTerminal === true ? { isTTY: true, columns: 80, rows: 24 } : {};
  const context: CliContext = {
    env: {
      ...(world.url === undefined ? {} : { TORCELLO_URL: world.url, TORCELLO_TOKEN: 'secret-token' }),
      ...world.env,
    },
    cwd: world.cwd ?? tmpdir(),
    stdout: { write: (text) => write('stdout', text), ...terminal },
    stderr: { write: (text) => write('stderr', text) },
    clock: systemClock,
    random: seededRandom(1),
    fetch: globalThis.fetch,
    signals: {
      listen: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  };
  return { context, send: (signal) => listeners.forEach((listener) => listener(signal)) };
}

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export function temporaryFolder(): Promise<TemporaryFolder> {
  const folder = freshFolder('cli');
  return Promise.resolve({ path: folder.path, [Symbol.asyncDispose]: () => Promise.resolve(folder.remove()) });
}
