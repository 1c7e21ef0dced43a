import { everything, userLimits } from '../access/users.js';
import type { Permissions, User, UserLimit } from '../access/users.js';
import { patternFromRegex, patternToRegex } from '../access/name-pattern.js';
import type { NamePattern } from '../access/name-pattern.js';
import { exportDefinitions, importDefinitions } from './definitions.js';
import { HttpError } from './http-error.js';
import { metricsText, shownBindings, shownExchanges, shownOverview, shownQueue, shownQueues } from './listings.js';
import { policyRoutes } from './policy-routes.js';
import { created, freshName, noContent, ok, userNamed, vhostNamed } from './route.js';
import type { Answer, Route, RouteRequest } from './route.js';

/** The part of RabbitMQ's management interface that the broker has, under the same names. */
export const routes: readonly Route[] = [
  { method: 'GET', path: 'health/checks/alarms', isPublic: true, serve: alarms },
  { method: 'GET', path: 'metrics', serve: ({ broker }) => ({ status: 200, text: metricsText(broker) }) },
  { method: 'GET', path: 'overview', serve: ({ broker }) => ok(shownOverview(broker)) },
  { method: 'GET', path: 'definitions', serve: ({ broker }) => ok(exportDefinitions(broker)) },
  { method: 'POST', path: 'definitions', isLarge: true, serve: putDefinitions },
  { method: 'GET', path: 'connections', serve: ({ broker }) => ok(broker.connections()) },
  { method: 'GET', path: 'exchanges', serve: ({ broker }) => ok(shownExchanges(broker.vhosts.values())) },
  { method: 'GET', path: 'exchanges/*', serve: (request) => ok(shownExchanges([vhostNamed(request)])) },
  { method: 'GET', path: 'bindings', serve: ({ broker }) => ok(shownBindings(broker.vhosts.values())) },
  { method: 'GET', path: 'bindings/*', serve: (request) => ok(shownBindings([vhostNamed(request)])) },
  { method: 'GET', path: 'vhosts', serve: ({ broker }) => ok(Array.from(broker.vhosts.keys(), (name) => ({ name }))) },
  { method: 'GET', path: 'queues', serve: ({ broker }) => ok(shownQueues(broker.vhosts.values())) },
  { method: 'PUT', path: 'vhosts/*', serve: putVhost },
  { method: 'GET', path: 'users', serve: ({ broker }) => ok([...broker.users.all()].map(shownUser)) },
  { method: 'GET', path: 'users/*', serve: (request) => ok(shownUser(userNamed(request, 0))) },
  { method: 'PUT', path: 'users/*', serve: putUser },
  { method: 'DELETE', path: 'users/*', serve: deleteUser },
  { method: 'GET', path: 'permissions/*/*', serve: getPermissions },
  { method: 'PUT', path: 'permissions/*/*', serve: putPermissions },
  { method: 'PUT', path: 'topic-permissions/*/*', serve: putTopicPermissions },
  { method: 'PUT', path: 'user-limits/*/*', serve: putUserLimit },
  { method: 'DELETE', path: 'user-limits/*/*', serve: deleteUserLimit },
  { method: 'GET', path: 'queues/*', serve: (request) => ok(shownQueues([vhostNamed(request)])) },
  { method: 'GET', path: 'queues/*/*', serve: getQueue },
  { method: 'DELETE', path: 'connections/username/*', serve: closeConnections },
  ...policyRoutes,
];

function alarms({ broker }: RouteRequest): Answer {
  const reason = broker.blockedReason;
  return reason === undefined ? ok({ status: 'ok' }) : { status: 503, body: { status: 'failed', reason } };
}

async function putDefinitions({ broker, body }: RouteRequest): Promise<Answer> {
  await importDefinitions(broker, body);
  return noContent;
}

async function putVhost({ broker, names }: RouteRequest): Promise<Answer> {
  const name = freshName('vhost', names[0] ?? '');
  const isThere = broker.vhosts.has(name);
  await broker.createVhost(name);
  return isThere ? noContent : created;
}

async function putUser({ broker, limits, names, body }: RouteRequest): Promise<Answer> {
  const name = freshName('user', names[0] ?? '');
  const { password } = body;
  if (typeof password !== 'string' && password !== undefined) throw new HttpError(400, 'password is not a string');
  if (password === undefined && body['password_hash'] !== '') {
    throw new HttpError(400, 'a password is needed (or an empty password_hash for a user who cannot log in)');
  }
  const isThere = broker.users.get(name) !== undefined;
  if (!isThere && broker.users.size >= limits.usersMax) throw new HttpError(400, 'there are too many users');
  const tags = tagsOf(body['tags']);
  await broker.users.put(name, password === undefined ? { tags } : { password, tags });
  await broker.durable();
  return isThere ? noContent : created;
}

async function deleteUser(request: RouteRequest): Promise<Answer> {
  const { broker } = request;
  const user = userNamed(request, 0);
  broker.users.delete(user.name);
  broker.closeConnectionsOf(user.name);
  await broker.durable();
  return noContent;
}

function getPermissions(request: RouteRequest): Answer {
  const vhost = vhostNamed(request);
  const user = userNamed(request, 1);
  const rights = Object.hasOwn(user.permissions, vhost.name) ? user.permissions[vhost.name] : undefined;
  if (rights === undefined) throw new HttpError(404, 'no rights were given');
  const shown = Object.entries(rights).map(([right, pattern]) => [right, patternToRegex(pattern as NamePattern)]);
  return ok({ user: user.name, vhost: vhost.name, ...(Object.fromEntries(shown) as Record<string, string>) });
}

async function putPermissions(request: RouteRequest): Promise<Answer> {
  const { broker, body } = request;
  const vhost = vhostNamed(request);
  const user = userNamed(request, 1);
  const permissions: Permissions = {
    configure: pattern(body, 'configure'),
    write: pattern(body, 'write'),
    read: pattern(body, 'read'),
  };
  const isThere = Object.hasOwn(user.permissions, vhost.name);
  broker.users.setPermissions(user, vhost.name, permissions);
  await broker.durable();
  return isThere ? noContent : created;
}

async function putTopicPermissions(request: RouteRequest): Promise<Answer> {
  const { broker, body } = request;
  const vhost = vhostNamed(request);
  const user = userNamed(request, 1);
  const { exchange } = body;
  if (typeof exchange !== 'string') throw new HttpError(400, 'exchange is not a string');
  const isThere = user.topicPermissions[vhost.name]?.[exchange] !== undefined;
  const rights = { write: pattern(body, 'write'), read: pattern(body, 'read') };
  broker.users.setTopicPermissions(user, { vhost: vhost.name, exchange }, rights);
  await broker.durable();
  return isThere ? noContent : created;
}

async function putUserLimit(request: RouteRequest): Promise<Answer> {
  const { broker, body } = request;
  const { value } = body;
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw new HttpError(400, 'value is not a whole number');
  broker.users.setLimit(userNamed(request, 0), limitNamed(request), value < 0 ? undefined : value);
  await broker.durable();
  return noContent;
}

async function deleteUserLimit(request: RouteRequest): Promise<Answer> {
  const { broker } = request;
  broker.users.setLimit(userNamed(request, 0), limitNamed(request), undefined);
  await broker.durable();
  return noContent;
}

function limitNamed({ names }: RouteRequest): UserLimit {
  const limit = userLimits.find((known) => known === names[1]);
  if (limit === undefined) throw new HttpError(400, `limits of a user are ${userLimits.join(', ')}`);
  return limit;
}

function getQueue(request: RouteRequest): Answer {
  const vhost = vhostNamed(request);
  const queue = vhost.queues.get(request.names[1] ?? '');
  if (queue === undefined) throw new HttpError(404, 'there is no such queue');
  return ok(shownQueue(vhost, queue));
}

function closeConnections({ broker, names }: RouteRequest): Answer {
  broker.closeConnectionsOf(names[0] ?? '');
  return noContent;
}

function shownUser(user: User): unknown {
  return { name: user.name, tags: user.tags };
}

/** Tags as an array, or as RabbitMQ's older form, a list with commas. */
function tagsOf(value: unknown): string[] {
  const list = typeof value === 'string' ? value.split(',') : (value ?? []);
  if (!Array.isArray(list)) throw new HttpError(400, 'tags are neither a list nor a string');
  return list.map((tag: unknown) => String(tag).trim()).filter((tag) => tag !== '');
}

function pattern(body: Readonly<Record<string, unknown>>, right: keyof typeof everything): NamePattern {
  const regex = body[right];
  if (typeof regex !== 'string') throw new HttpError(400, `${right} is not a string`);
  const names = patternFromRegex(regex);
  if (names !== undefined) return names;
  const forms = "'.*', '^$', '^name$' and '^prefix.*$', where a backslash stands before each dot";
  throw new HttpError(
    400,
    `${right} '${regex}' is not understood: this broker runs no regular expressions, and reads only ${forms}`,
  );
}
