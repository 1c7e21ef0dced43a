import type { Broker } from '@torcello/broker';
import type { RabbitMq } from '@torcello/test-support';
import { durableQueue, make } from '../scenario.js';
import type { Place, Scenario, Step } from '../scenario.js';

const name = 'limited';
/** Names that the limited user has a right on, by the right. */
const granted = { configure: 'perm-configure', write: 'perm-write', read: 'perm-read' } as const;

/**
 * Makes a user on both brokers who may configure, write and read only what is called `perm-configure…`, and so on, and in
 * `amq.topic` only keys that begin with `perm.`. Connection `c` logs in as that user.
 */
export async function permissionUsers(at: {
  readonly rabbit: RabbitMq;
  readonly broker: Broker;
  readonly vhost: string;
}): Promise<Readonly<Record<string, string>>> {
  const { rabbit, broker, vhost } = at;
  const user = `${name}-${vhost}`;
  const { configure, write, read } = granted;
  await rabbit.control('add_user', user, user);
  const writeAll = `^(${write}.*|amq\\.topic)$`;
  await rabbit.control('set_permissions', '-p', vhost, user, `^${configure}.*$`, writeAll, `^(${read}.*|amq\\.topic)$`);
  const topicRegex = '^(perm\\..*|{username}\\.{client_id}\\..*|{username}\\.own)$';
  await rabbit.control('set_topic_permissions', '-p', vhost, user, 'amq.topic', topicRegex, topicRegex);
  await broker.users.put(user, { password: user, tags: [] });
  const change = (set: (there: NonNullable<ReturnType<Broker['users']['get']>>) => void): void => {
    for (const one of ['guest', user]) {
      const there = broker.users.get(one);
      if (there !== undefined && (one === user || !Object.hasOwn(there.permissions, vhost))) set(there);
    }
  };
  change((there) =>
    broker.users.setPermissions(
      there,
      vhost,
      there.name === 'guest'
        ? { configure: ['*'], write: ['*'], read: ['*'] }
        : { configure: [`${configure}*`], write: [`${write}*`, 'amq.topic'], read: [`${read}*`, 'amq.topic'] },
    ),
  );
  const limited = broker.users.get(user);
  const topics = ['perm.*', '{username}.{client_id}.*', '{username}.own'];
  const rights = { write: topics, read: topics };
  if (limited !== undefined) broker.users.setTopicPermissions(limited, { vhost, exchange: 'amq.topic' }, rights);
  return { c: user };
}

const names = Object.values(granted);
const on: Place = 'c1';

/** Every operation on names that the user has one right on. */
const operations: Readonly<Record<string, (queue: string) => Step>> = {
  'declare queue': (queue) => ({ on, send: { name: 'queue.declare', queue, ...durableQueue, durable: true } }),
  'delete queue': (queue) => ({ on, send: { name: 'queue.delete', queue } }),
  'purge queue': (queue) => ({ on, send: { name: 'queue.purge', queue } }),
  consume: (queue) => make.consume(queue, {}, on),
  get: (queue) => make.get(queue, true, on),
  'publish to the default exchange': (queue) => ({ on, publish: { routingKey: queue, mandatory: true } }),
  'declare exchange': (exchange) => ({
    on,
    send: { name: 'exchange.declare', exchange, type: 'direct', durable: true },
  }),
  'delete exchange': (exchange) => ({ on, send: { name: 'exchange.delete', exchange: `${exchange}-none` } }),
  'publish to exchange': (exchange) => ({ on, publish: { exchange: `${exchange}-x`, routingKey: 'k' } }),
  'bind queue': (queue) => ({
    on,
    send: { name: 'queue.bind', queue, exchange: 'amq.topic', routingKey: 'perm.k', arguments: {} },
  }),
  'bind queue to a topic that is not allowed': (queue) => ({
    on,
    send: { name: 'queue.bind', queue, exchange: 'amq.topic', routingKey: 'other.k', arguments: {} },
  }),
  'bind queue to an exchange that may not be read': (queue) => ({
    on,
    send: { name: 'queue.bind', queue, exchange: 'amq.direct', routingKey: 'k', arguments: {} },
  }),
  'declare with a dead-letter exchange': (queue) => ({
    on,
    send: {
      name: 'queue.declare',
      queue: `${queue}-new`,
      ...durableQueue,
      arguments: { 'x-dead-letter-exchange': 'amq.direct' },
    },
  }),
  'declare with an alternate exchange': (exchange) => ({
    on,
    send: {
      name: 'exchange.declare',
      exchange: `${exchange}-new`,
      type: 'direct',
      durable: true,
      arguments: { 'alternate-exchange': 'amq.direct' },
    },
  }),
};

const routingKeys = [
  ...['perm.a', 'perm.', 'perm', 'other.a', ''],
  ...['%.own', '%.owner', '%own', 'x%.own', '%.{client_id}.a', '%.x.a', '{username}.own'],
];

const topics: readonly Scenario[] = routingKeys.map((routingKey) => ({
  name: `permission: publish '${routingKey}' to a topic exchange`,
  steps: [{ on, publish: { exchange: 'amq.topic', routingKey } }, make.wait(), make.get('perm-read-none', true, on)],
}));

/** What a user with few rights may do. Queues of the right's name stand ready, made by somebody else. */
export const permissionScenarios: readonly Scenario[] = [
  ...Object.entries(operations).flatMap(([what, step]) =>
    names.map((right) => {
      const queue = `${right}-${what.replaceAll(' ', '-')}`;
      return {
        name: `permission: ${what} with ${right}`,
        steps: [make.queue(queue), make.exchange(`${queue}-x`, 'direct'), step(queue), make.wait()],
      };
    }),
  ),
  ...topics,
  {
    name: 'permission: passive declare without any right',
    steps: [make.queue('secret-queue'), make.count('secret-queue', on)],
  },
];
