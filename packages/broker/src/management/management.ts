import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HostPort, Logger } from '@torcello/platform';
import { administratorTag } from '../access/users.js';
import type { User } from '../access/users.js';
import type { Broker } from '../broker.js';
import type { BrokerLimits } from '../limits.js';
import { HttpError } from './http-error.js';
import { routes } from './routes.js';
import { arranged } from './arranged.js';
import type { Answer, Route } from './route.js';

const headersMsMax = 10_000;
const requestMsMax = 30_000;
const headerBytesMax = 16 * 1024;
const connectionsMax = 100;

/** A running management interface. */
export interface Management {
  readonly address: HostPort;
  stop(): Promise<void>;
}

/** Serves the management interface over HTTP; port 0 lets the system choose. @throws Node's system error. */
export async function startManagement(options: {
  readonly broker: Broker;
  readonly limits: BrokerLimits;
  readonly logger: Logger;
  readonly at: HostPort;
}): Promise<Management> {
  const { broker, limits, logger, at } = options;
  const timeouts = { headersTimeout: headersMsMax, requestTimeout: requestMsMax, maxHeaderSize: headerBytesMax };
  const server = createServer(timeouts, (request, response) => {
    serve({ broker, limits }, request).then(
      (answer) => respond(response, answer),
      (error: unknown) => respond(response, answerFor(error, logger)),
    );
  });
  server.maxConnections = connectionsMax;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, resolve);
  });
  server.on('error', (error) => logger.error('the management interface failed', { error }));
  return { address: { host: at.host, port: (server.address() as AddressInfo).port }, stop: () => stop(server) };
}

interface Place {
  readonly broker: Broker;
  readonly limits: BrokerLimits;
}

async function serve(place: Place, request: IncomingMessage): Promise<Answer> {
  const segments = pathOf(request.url ?? '');
  const matching = routes.filter((route) => matches(route, segments));
  const route = matching.find(({ method }) => method === request.method);
  const isPublic = route?.isPublic === true;
  const user = isPublic ? undefined : await authenticate(place.broker, request.headers.authorization);
  if (matching.length === 0) throw new HttpError(404, 'there is nothing at this path');
  if (route === undefined) throw new HttpError(405, 'this path does not know the method');
  const { managementBodyBytesMax, definitionsBytesMax } = place.limits;
  const bytesMax = route.isLarge === true ? definitionsBytesMax : managementBodyBytesMax;
  const hasBody = route.method === 'PUT' || route.method === 'POST';
  const body = hasBody ? await bodyOf(request, bytesMax) : {};
  const query = new URLSearchParams(request.url?.split('?')[1]);
  const said = request.headers['x-reason'];
  const reason = typeof said === 'string' && said !== '' ? said : undefined;
  const answer = await route.serve({ ...place, user, names: namesIn(route, segments), query, reason, body });
  return arranged(answer, query);
}

function pathOf(url: string): readonly string[] {
  const [path = ''] = url.split('?');
  if (path === '/metrics') return ['metrics'];
  const [empty, api, ...segments] = path.split('/');
  if (empty !== '' || api !== 'api') throw new HttpError(404, 'there is nothing at this path');
  try {
    return segments.map(decodeURIComponent);
  } catch {
    throw new HttpError(400, 'the path is not well encoded');
  }
}

function matches(route: Route, segments: readonly string[]): boolean {
  const parts = route.path.split('/');
  return parts.length === segments.length && parts.every((part, at) => part === '*' || part === segments[at]);
}

function namesIn(route: Route, segments: readonly string[]): readonly string[] {
  const parts = route.path.split('/');
  return segments.filter((_segment, at) => parts[at] === '*');
}

/** Only administrators come in. */
async function authenticate(broker: Broker, authorization: string | undefined): Promise<User> {
  const [scheme = '', encoded = ''] = (authorization ?? '').split(' ');
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const at = text.indexOf(':');
  if (scheme.toLowerCase() !== 'basic' || at < 0) throw new HttpError(401, 'a login is needed');
  const user = await broker.users.login(text.slice(0, at), text.slice(at + 1));
  if (user === undefined) throw new HttpError(401, 'the login is wrong');
  if (!user.tags.includes(administratorTag)) throw new HttpError(401, 'the user is not an administrator');
  return user;
}

async function bodyOf(request: IncomingMessage, bytesMax: number): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new HttpError(413, `the body is over ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  if (bytes === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // The answer below says it.
  }
  throw new HttpError(400, 'the body is no JSON object');
}

function answerFor(error: unknown, logger: Logger): Answer {
  if (error instanceof HttpError) {
    return { status: error.status, body: { error: reasonWord(error.status), reason: error.message } };
  }
  logger.error('a management request failed', { error });
  return { status: 500, body: { error: 'internal_error', reason: 'the broker failed here' } };
}

function reasonWord(status: number): string {
  if (status === 401) return 'not_authorised';
  return status === 404 ? 'not_found' : 'bad_request';
}

function respond(response: ServerResponse, { status, body, text }: Answer): void {
  if (status === 401) response.setHeader('WWW-Authenticate', 'Basic realm="Torcello broker"');
  if (text !== undefined) {
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4' }).end(text);
    return;
  }
  if (body === undefined) {
    response.writeHead(status).end();
    return;
  }
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
