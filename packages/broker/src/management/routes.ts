import { everything, userLimits } from '../access/users.js';
import type { Permissions, UserLimit } from '../access/users.js';
import { patternFromRegex } from '../access/name-pattern.js';
import type { NamePattern } from '../access/name-pattern.js';
import { topicPatternFromRegex } from '../access/topic-pattern.js';
import { defaultVhost } from '../broker.js';
import { exportDefinitions, exportVhost, importDefinitions, importVhost } from './definitions.js';
import { healthRoutes } from './health-routes.js';
import { HttpError } from './http-error.js';
import { listingRoutes } from './listing-routes.js';
import { policyRoutes } from './policy-routes.js';
import { created, freshName, noContent, ok, userNamed, vhostNamed } from './route.js';
import type { Answer, Route, RouteRequest } from './route.js';

/** The part of RabbitMQ's management interface that the broker has, under the same names. */
export const routes: readonly Route[] = [
  ...healthRoutes,
  ...listingRoutes,
  ...policyRoutes,
  { method: 'GET', path: 'definitions', serve: ({ broker }) => ok(exportDefinitions(broker)) },
  { method: 'GET', path: 'definitions/*', serve: (request) => ok(exportVhost(vhostNamed(request))) },
  { method: 'POST', path: 'definitions', isLarge: true, serve: putDefinitions },
  { method: 'POST', path: 'definitions/*', isLarge: true, serve: putVhostDefinitions },
  { method: 'PUT', path: 'vhosts/*', serve: putVhost },
  { method: 'DELETE', path: 'vhosts/*', serve: deleteVhost },
  { method: 'PUT', path: 'users/*', serve: putUser },
  { method: 'DELETE', path: 'users/*', serve: deleteUser },
  { method: 'PUT', path: 'permissions/*/*', serve: putPermissions },
  { method: 'PUT', path: 'topic-permissions/*/*', serve: putTopicPermissions },
  { method: 'PUT', path: 'user-limits/*/*', serve: putUserLimit },
  { method: 'DELETE', path: 'user-limits/*/*', serve: deleteUserLimit },
  { method: 'DELETE', path: 'connections/*', serve: closeConnection },
  { method: 'DELETE', path: 'connections/username/*', serve: closeConnections },
];

async function putDefinitions({ broker, body }: RouteRequest): Promise<Answer> {
  await importDefinitions(broker, body);
  return noContent;
}

async function putVhostDefinitions(request: RouteRequest): Promise<Answer> {
  await importVhost(request.broker, vhostNamed(request).name, request.body);
  return noContent;
}

/** Who makes a virtual host may do everything in it, as on RabbitMQ. */
async function putVhost({ broker, names, user }: RouteRequest): Promise<Answer> {
  const name = freshName('vhost', names[0] ?? '');
  const isThere = broker.vhosts.has(name);
  const maker = isThere || user === undefined ? undefined : broker.users.get(user.name);
  if (maker !== undefined) broker.users.setPermissions(maker, name, everything);
  await broker.createVhost(name);
  return isThere ? noContent : created;
}

async function deleteVhost(request: RouteRequest): Promise<Answer> {
  const { name } = vhostNamed(request);
  if (name === defaultVhost) throw new HttpError(400, `the vhost '${name}' stays: each start of the broker makes it`);
  await request.broker.deleteVhost(name);
  return noContent;
}

async function putUser({ broker, names, body }: RouteRequest): Promise<Answer> {
  const name = freshName('user', names[0] ?? '');
  const { password } = body;
  if (typeof password !== 'string' && password !== undefined) throw new HttpError(400, 'password is not a string');
  if (password === undefined && body['password_hash'] !== '') {
    throw new HttpError(400, 'a password is needed (or an empty password_hash for a user who cannot log in)');
  }
  const isThere = broker.users.get(name) !== undefined;
  if (!isThere && broker.users.size >= broker.limits.usersMax) throw new HttpError(400, 'there are too many users');
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
  const read = topicPatternFromRegex;
  const rights = { write: pattern(body, 'write', read), read: pattern(body, 'read', read) };
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

function closeConnection({ broker, names, reason }: RouteRequest): Answer {
  if (broker.closeConnection(names[0] ?? '', reason)) return noContent;
  throw new HttpError(404, 'there is no such connection');
}

function closeConnections({ broker, names, reason }: RouteRequest): Answer {
  broker.closeConnectionsOf(names[0] ?? '', reason);
  return noContent;
}

/** Tags as an array, or as RabbitMQ's older form, a list with commas. */
function tagsOf(value: unknown): string[] {
  const list = typeof value === 'string' ? value.split(',') : (value ?? []);
  if (!Array.isArray(list)) throw new HttpError(400, 'tags are neither a list nor a string');
  return list.map((tag: unknown) => String(tag).trim()).filter((tag) => tag !== '');
}

function pattern(
  body: Readonly<Record<string, unknown>>,
  right: keyof typeof everything,
  read: typeof patternFromRegex = patternFromRegex,
): NamePattern {
  const regex = body[right];
  if (typeof regex !== 'string') throw new HttpError(400, `${right} is not a string`);
  const names = read(regex);
  if (names !== undefined) return names;
  const forms = "literals, '.*', '^', '$' and alternatives, where a backslash stands before each dot";
  throw new HttpError(
    400,
    `${right} '${regex}' is not understood: this broker runs no regular expressions, and reads only ${forms}`,
  );
}
