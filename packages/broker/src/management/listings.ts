import { createHash } from 'node:crypto';
import { untyped } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';
import { Exchange } from '../exchange.js';
import type { Binding } from '../exchange.js';
import type { Queue } from '../queue/queue.js';
import { nodeName } from '../version.js';
import type { Vhost } from '../vhost.js';

/** One thing as it is shown. */
export type Shown = Readonly<Record<string, unknown>>;

/** Everything of one kind, over all virtual hosts or in one of them, as RabbitMQ's management interface shows it. */
export function shownQueues(vhosts: Iterable<Vhost>): Shown[] {
  return Array.from(vhosts).flatMap((vhost) => Array.from(vhost.queues.values(), (queue) => shownQueue(vhost, queue)));
}

export function shownQueue(vhost: Vhost, queue: Queue): Shown {
  const { definition, readyCount, unsettledCount } = queue;
  const { policy, operatorPolicy, definition: effective } = vhost.policiesOf(queue);
  return {
    name: queue.name,
    vhost: vhost.name,
    type: definition.options.type,
    durable: definition.isDurable,
    auto_delete: definition.isAutoDelete,
    exclusive: definition.owner !== undefined,
    arguments: plainTable(definition.arguments),
    state: 'running',
    node: nodeName,
    message_bytes_ready: queue.readyBytes,
    consumers: queue.consumerCount,
    messages: readyCount + unsettledCount,
    messages_ready: readyCount,
    messages_unacknowledged: unsettledCount,
    policy: policy?.name ?? null,
    operator_policy: operatorPolicy?.name ?? null,
    effective_policy_definition: effective,
    torcello_may_be_seen: queue.mayBeSeen,
  };
}

export function shownExchanges(vhosts: Iterable<Vhost>): Shown[] {
  return Array.from(vhosts).flatMap((vhost) =>
    Array.from(vhost.exchanges.values(), (one) => shownExchange(vhost, one)),
  );
}

export function shownExchange(vhost: Vhost, exchange: Exchange): Shown {
  const { definition } = exchange;
  const { policy } = vhost.policiesOf(exchange);
  return {
    name: definition.name,
    vhost: vhost.name,
    type: definition.type,
    durable: definition.isDurable,
    auto_delete: definition.isAutoDelete,
    internal: definition.isInternal,
    arguments: plainTable(definition.arguments),
    ...(policy === undefined ? {} : { policy: policy.name }),
  };
}

/** Declared bindings, without those that every queue has to the nameless exchange. */
export function shownBindings(vhosts: Iterable<Vhost>): Shown[] {
  return Array.from(vhosts).flatMap((vhost) =>
    [...vhost.exchanges.values()].flatMap((source) =>
      Array.from(source.bindings.values(), (binding) => shownBinding(vhost, binding)),
    ),
  );
}

/** The binding of every queue to the nameless exchange, under its name. */
export function shownDefaultBindings(vhosts: Iterable<Vhost>): Shown[] {
  return Array.from(vhosts).flatMap((vhost) =>
    Array.from(vhost.queues.keys(), (name) => ({
      source: '',
      vhost: vhost.name,
      destination: name,
      destination_type: 'queue',
      routing_key: name,
      arguments: {},
      properties_key: propertiesKey(name, {}),
    })),
  );
}

function shownBinding(vhost: Vhost, binding: Binding): Shown {
  return {
    source: binding.source.name,
    vhost: vhost.name,
    destination: binding.destination.name,
    destination_type: binding.destination instanceof Exchange ? 'exchange' : 'queue',
    routing_key: binding.routingKey,
    arguments: plainTable(binding.arguments),
    properties_key: propertiesKey(binding.routingKey, binding.arguments),
  };
}

/** What tells bindings between the same two apart, as a part of a path. */
function propertiesKey(routingKey: string, args: FieldTable): string {
  const key = encodeURIComponent(routingKey);
  if (Object.keys(args).length === 0) return key === '' ? '~' : key;
  const hash = createHash('sha256')
    .update(JSON.stringify(plainTable(args)))
    .digest('base64url')
    .slice(0, 6);
  return `${key}~${hash}`;
}

/** A table without the types of the wire, for JSON. */
export function plainTable(table: FieldTable): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, plainValue(value)]));
}

function plainValue(value: unknown): unknown {
  const plain = untyped(value as Parameters<typeof untyped>[0]);
  if (typeof plain === 'bigint') return Number(plain);
  if (Array.isArray(plain)) return plain.map(plainValue);
  if (plain instanceof Date || plain instanceof Uint8Array) return String(plain);
  return typeof plain === 'object' && plain !== null ? plainTable(plain as FieldTable) : plain;
}
