import type { FieldTable, FieldValue } from '@torcello/amqp091';
import { patternFromRegex } from '../access/name-pattern.js';
import type { NamePattern } from '../access/name-pattern.js';
import { topicPatternFromRegex } from '../access/topic-pattern.js';
import { hashForRabbitMq, hashFromRabbitMq } from '../access/password.js';
import type { Permissions, TopicPermissions, User } from '../access/users.js';
import { AmqpError } from '../amqp-error.js';
import type { Broker } from '../broker.js';
import { HttpError } from './http-error.js';
import { shownBindings, shownExchanges, shownQueues } from './listings.js';
import { policyRow } from '../policy/policy.js';
import { rabbitMqVersion, version } from '../version.js';
import type { Vhost } from '../vhost.js';
import { freshName } from './route.js';
import { operatorRow, policiesOf, putPolicies } from './policy-definitions.js';
import { permissionsOf, topicPermissionsOf } from './user-listings.js';

type Row = Readonly<Record<string, unknown>>;

/** Everything declared that outlives the broker, as RabbitMQ's definitions: what an import there or here takes. */
export function exportDefinitions(broker: Broker): Row {
  const users = [...broker.users.all()];
  return {
    rabbit_version: rabbitMqVersion,
    torcello_version: version,
    users: users.map(userRow),
    vhosts: Array.from(broker.vhosts.keys(), (name) => ({ name })),
    permissions: users.flatMap(permissionsOf),
    topic_permissions: users.flatMap(topicPermissionsOf),
    global_parameters: [],
    ...topologyOf([...broker.vhosts.values()]),
  };
}

/** What one virtual host holds, without its name: an import may put it into another one. */
export function exportVhost(vhost: Vhost): Row {
  const parts = Object.entries(topologyOf([vhost])).map(([part, all]) => [part, all.map(withoutVhost)]);
  return { rabbit_version: rabbitMqVersion, torcello_version: version, ...(Object.fromEntries(parts) as Row) };
}

function withoutVhost({ vhost: _vhost, ...row }: Row): Row {
  return row;
}

/** Of what goes with the broker's end, a binding to or from it is no part either. */
function topologyOf(vhosts: readonly Vhost[]): Readonly<Record<string, readonly Row[]>> {
  const queues = shownQueues(vhosts).filter((row) => row['durable'] === true && row['exclusive'] === false);
  const exchanges = shownExchanges(vhosts).filter((row) => row['durable'] === true);
  const place = (row: Row, kind: unknown, name: unknown): string => JSON.stringify([row['vhost'], kind, name]);
  const kept = new Set([
    ...queues.map((row) => place(row, 'queue', row['name'])),
    ...exchanges.map((row) => place(row, 'exchange', row['name'])),
  ]);
  const isKept = (row: Row): boolean =>
    kept.has(place(row, row['destination_type'], row['destination'])) &&
    kept.has(place(row, 'exchange', row['source']));
  return {
    parameters: vhosts.flatMap((vhost) => vhost.policies('operator_policy').map(operatorRow)),
    policies: vhosts.flatMap((vhost) => vhost.policies('policy').map(policyRow)),
    queues: queues.map((row) => picked(row, ['name', 'vhost', 'durable', 'auto_delete', 'arguments'])),
    exchanges: exchanges.filter((row) => !isReserved(row)).map(({ policy: _policy, ...row }) => row),
    bindings: shownBindings(vhosts)
      .filter(isKept)
      .map(({ properties_key: _key, ...row }) => row),
  };
}

function picked(row: Row, fields: readonly string[]): Row {
  return Object.fromEntries(fields.map((field) => [field, row[field]]));
}

/** Passwords made here are hashed in a way that RabbitMQ cannot check: there such a user needs a new one. */
function userRow(user: User): Row {
  const { name, tags, limits = {} } = user;
  const { hash, algorithm } = hashForRabbitMq(user.passwordHash);
  return {
    name,
    password_hash: hash,
    hashing_algorithm: algorithm,
    tags,
    limits,
    torcello_hash: user.passwordHash,
  };
}

/** The same for definitions of one virtual host, wherever they came from. @throws HttpError 400. */
export async function importVhost(broker: Broker, vhost: string, definitions: Row): Promise<void> {
  const parts = ['parameters', 'policies', 'exchanges', 'queues', 'bindings'] as const;
  const here = parts.map((part) => [part, rows(definitions, part).map((row) => ({ ...row, vhost }))]);
  await importDefinitions(broker, Object.fromEntries(here) as Row);
}

/**
 * Declares what definitions hold, ours or RabbitMQ's. What is there already must agree. Resolves when all of it is durable.
 * @throws HttpError 400 that names the first row which cannot be taken; rows before it stand.
 */
export async function importDefinitions(broker: Broker, definitions: Row): Promise<void> {
  const policies = policiesOf({ policies: rows(definitions, 'policies'), parameters: rows(definitions, 'parameters') });
  for (const row of rows(definitions, 'vhosts')) await broker.createVhost(freshName('vhost', text(row, 'name')));
  for (const row of rows(definitions, 'users')) restoreUser(broker, row);
  for (const row of rows(definitions, 'permissions')) {
    const permissions: Permissions = {
      configure: names(row, 'configure'),
      write: names(row, 'write'),
      read: names(row, 'read'),
    };
    broker.users.setPermissions(userOf(broker, row), text(row, 'vhost'), permissions);
  }
  for (const row of rows(definitions, 'topic_permissions')) {
    const rights: TopicPermissions = { write: topics(row, 'write'), read: topics(row, 'read') };
    const at = { vhost: text(row, 'vhost'), exchange: text(row, 'exchange') };
    broker.users.setTopicPermissions(userOf(broker, row), at, rights);
  }
  putPolicies(broker, policies);
  for (const row of rows(definitions, 'exchanges')) taken('exchange', row, () => declareExchange(broker, row));
  for (const row of rows(definitions, 'queues')) taken('queue', row, () => declareQueue(broker, row));
  for (const row of rows(definitions, 'bindings')) taken('binding', row, () => bind(broker, row));
  await broker.durable();
}

function restoreUser(broker: Broker, row: Row): void {
  const user = userFrom(broker, row);
  const isNew = broker.users.get(user.name) === undefined;
  if (isNew && broker.users.size >= broker.limits.usersMax) throw new HttpError(400, 'there are too many users');
  broker.users.restore(user);
}

function userFrom(broker: Broker, row: Row): User {
  const name = freshName('user', text(row, 'name'));
  const { permissions = {}, topicPermissions = {} } = broker.users.get(name) ?? {};
  const own = row['torcello_hash'];
  const foreign = row['password_hash'];
  const passwordHash =
    typeof own === 'string'
      ? own
      : typeof foreign === 'string' && foreign !== ''
        ? hashFromRabbitMq(foreign, row['hashing_algorithm'])
        : '';
  if (passwordHash === undefined)
    throw new HttpError(400, `the password of user '${name}' is hashed in a way that is not known`);
  const tags = row['tags'];
  const list = typeof tags === 'string' ? tags.split(',') : Array.isArray(tags) ? tags.map(String) : [];
  const limits = (row['limits'] ?? {}) as NonNullable<User['limits']>;
  return { name, passwordHash, tags: list.filter((tag) => tag !== ''), permissions, topicPermissions, limits };
}

function declareExchange(broker: Broker, row: Row): void {
  vhostOf(broker, row).declareExchange({
    name: freshName('exchange', text(row, 'name')),
    type: text(row, 'type'),
    isDurable: row['durable'] === true,
    isAutoDelete: row['auto_delete'] === true,
    isInternal: row['internal'] === true,
    arguments: tableOf(row),
  });
}

function declareQueue(broker: Broker, row: Row): void {
  vhostOf(broker, row).declareQueue({
    name: freshName('queue', text(row, 'name')),
    isServerNamed: true,
    isDurable: row['durable'] === true,
    isAutoDelete: row['auto_delete'] === true,
    isExclusive: false,
    connection: row,
    arguments: tableOf(row),
  });
}

function bind(broker: Broker, row: Row): void {
  const vhost = vhostOf(broker, row);
  const name = text(row, 'destination');
  const isQueue = row['destination_type'] !== 'exchange';
  const destination = isQueue ? vhost.queue(name, undefined) : vhost.exchange(name);
  if (text(row, 'source') === '') return;
  vhost.bind({
    source: text(row, 'source'),
    destination,
    routingKey: text(row, 'routing_key'),
    arguments: tableOf(row),
  });
}

function taken(what: string, row: Row, declare: () => void): void {
  try {
    declare();
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    throw new HttpError(400, `${what} '${String(row['name'] ?? row['destination'])}': ${error.message}`);
  }
}

function vhostOf(broker: Broker, row: Row): NonNullable<ReturnType<Broker['vhosts']['get']>> {
  const vhost = broker.vhosts.get(text(row, 'vhost'));
  if (vhost === undefined) throw new HttpError(400, `there is no vhost '${text(row, 'vhost')}'`);
  return vhost;
}

function userOf(broker: Broker, row: Row): User {
  const user = broker.users.get(text(row, 'user'));
  if (user === undefined) throw new HttpError(400, `there is no user '${text(row, 'user')}'`);
  return user;
}

function rows(definitions: Row, part: string): Row[] {
  const value = definitions[part] ?? [];
  if (Array.isArray(value) && value.every((row) => typeof row === 'object' && row !== null)) return value as Row[];
  throw new HttpError(400, `${part} is no list of objects`);
}

function text(row: Row, field: string): string {
  const value = row[field];
  if (typeof value === 'string') return value;
  throw new HttpError(400, `${field} is not a string`);
}

function names(row: Row, right: string): NamePattern {
  return patternOf(row, right, patternFromRegex);
}

function topics(row: Row, right: string): NamePattern {
  return patternOf(row, right, topicPatternFromRegex);
}

function patternOf(row: Row, right: string, read: typeof patternFromRegex): NamePattern {
  const regex = text(row, right);
  const pattern = read(regex);
  if (pattern !== undefined) return pattern;
  throw new HttpError(400, `${right} '${regex}' is not understood: this broker runs no regular expressions`);
}

function tableOf(row: Row): FieldTable {
  const value = row['arguments'] ?? {};
  if (typeof value === 'object' && !Array.isArray(value)) return value as Readonly<Record<string, FieldValue>>;
  throw new HttpError(400, 'arguments is no object');
}

function isReserved(row: Row): boolean {
  return String(row['name']).startsWith('amq.') || row['name'] === '';
}
