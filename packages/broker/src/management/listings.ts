import { untyped } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';
import type { Broker } from '../broker.js';
import { Exchange } from '../exchange.js';
import type { Binding } from '../exchange.js';
import type { Queue } from '../queue/queue.js';
import { product, version } from '../version.js';
import type { Vhost } from '../vhost.js';

/** Everything of one kind, over all virtual hosts or in one of them, as RabbitMQ's management interface shows it. */
export function shownQueues(vhosts: Iterable<Vhost>): unknown[] {
  return Array.from(vhosts).flatMap((vhost) => Array.from(vhost.queues.values(), (queue) => shownQueue(vhost, queue)));
}

export function shownQueue(vhost: Vhost, queue: Queue): unknown {
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

export function shownExchanges(vhosts: Iterable<Vhost>): unknown[] {
  return Array.from(vhosts).flatMap((vhost) =>
    Array.from(vhost.exchanges.values(), (one) => shownExchange(vhost, one)),
  );
}

function shownExchange(vhost: Vhost, { definition }: Exchange): unknown {
  return {
    name: definition.name,
    vhost: vhost.name,
    type: definition.type,
    durable: definition.isDurable,
    auto_delete: definition.isAutoDelete,
    internal: definition.isInternal,
    arguments: plainTable(definition.arguments),
  };
}

export function shownBindings(vhosts: Iterable<Vhost>): unknown[] {
  return Array.from(vhosts).flatMap((vhost) =>
    [...vhost.exchanges.values()].flatMap((source) =>
      Array.from(source.bindings.values(), (binding) => shownBinding(vhost, binding)),
    ),
  );
}

export function shownBinding(vhost: Vhost, binding: Binding): unknown {
  return {
    source: binding.source.name,
    vhost: vhost.name,
    destination: binding.destination.name,
    destination_type: binding.destination instanceof Exchange ? 'exchange' : 'queue',
    routing_key: binding.routingKey,
    arguments: plainTable(binding.arguments),
  };
}

/** Sums over the whole broker. */
export interface Totals {
  readonly connections: number;
  readonly channels: number;
  readonly exchanges: number;
  readonly queues: number;
  readonly consumers: number;
  readonly ready: number;
  readonly unsettled: number;
}

export function totalsOf(broker: Broker): Totals {
  const vhosts = [...broker.vhosts.values()];
  const queues = vhosts.flatMap((vhost) => [...vhost.queues.values()]);
  const sum = (count: (queue: Queue) => number): number => queues.reduce((total, queue) => total + count(queue), 0);
  return {
    connections: broker.connectionCount,
    channels: broker.connections().reduce((total, { channels }) => total + channels, 0),
    exchanges: vhosts.reduce((total, vhost) => total + vhost.exchanges.size, 0),
    queues: queues.length,
    consumers: sum((queue) => queue.consumerCount),
    ready: sum((queue) => queue.readyCount),
    unsettled: sum((queue) => queue.unsettledCount),
  };
}

export function shownOverview(broker: Broker): unknown {
  const { ready, unsettled, ...objects } = totalsOf(broker);
  return {
    product_name: product,
    product_version: version,
    management_version: version,
    node: 'torcello@localhost',
    object_totals: objects,
    queue_totals: { messages: ready + unsettled, messages_ready: ready, messages_unacknowledged: unsettled },
  };
}

/** The gauges of the broker in the text format of Prometheus, under the names of RabbitMQ's own exporter. */
export function metricsText(broker: Broker): string {
  const totals = totalsOf(broker);
  const gauges: readonly (readonly [string, string, number])[] = [
    ['rabbitmq_connections', 'Connections currently open', totals.connections],
    ['rabbitmq_channels', 'Channels currently open', totals.channels],
    ['rabbitmq_consumers', 'Consumers currently connected', totals.consumers],
    ['rabbitmq_queues', 'Queues available', totals.queues],
    ['rabbitmq_queue_messages_ready', 'Messages ready to be delivered to consumers', totals.ready],
    ['rabbitmq_queue_messages_unacked', 'Messages delivered to consumers but not yet acknowledged', totals.unsettled],
    ['rabbitmq_queue_messages', 'Sum of ready and unacknowledged messages', totals.ready + totals.unsettled],
    [
      'torcello_broker_blocked',
      '1 while publishes are refused for want of disk or memory',
      broker.blockedReason === undefined ? 0 : 1,
    ],
    ['process_resident_memory_bytes', 'Resident memory in bytes', process.memoryUsage.rss()],
  ];
  return gauges
    .map(([name, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`)
    .join('');
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
