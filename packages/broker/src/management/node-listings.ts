import { availableParallelism } from 'node:os';
import process from 'node:process';
import type { Broker } from '../broker.js';
import type { BrokerLimits } from '../limits.js';
import type { Queue } from '../queue/queue.js';
import { nodeName, product, rabbitMqVersion, version } from '../version.js';
import type { Vhost } from '../vhost.js';
import type { Shown } from './listings.js';

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
    channels: broker.counters.channelsOpened - broker.counters.channelsClosed,
    exchanges: vhosts.reduce((total, vhost) => total + vhost.exchanges.size, 0),
    queues: queues.length,
    consumers: sum((queue) => queue.consumerCount),
    ready: sum((queue) => queue.readyCount),
    unsettled: sum((queue) => queue.unsettledCount),
  };
}

const exchangeTypes = ['direct', 'fanout', 'headers', 'topic'].map((name) => ({ name, enabled: true }));

/** `/api/overview`. The version of RabbitMQ is the one whose interface this is; the product says who answers. */
export function shownOverview(broker: Broker): Shown {
  const { ready, unsettled, ...objects } = totalsOf(broker);
  const { counters } = broker;
  return {
    product_name: product,
    product_version: version,
    rabbitmq_version: rabbitMqVersion,
    management_version: version,
    cluster_name: nodeName,
    node: nodeName,
    exchange_types: exchangeTypes,
    object_totals: objects,
    queue_totals: { messages: ready + unsettled, messages_ready: ready, messages_unacknowledged: unsettled },
    message_stats: {
      publish: counters.published,
      confirm: counters.confirmed,
      return_unroutable: counters.returned,
      drop_unroutable: counters.dropped,
      deliver: counters.delivered,
      deliver_no_ack: counters.deliveredSettled,
      redeliver: counters.redelivered,
      get: counters.got,
      get_empty: counters.gotNothing,
      ack: counters.acked,
    },
    churn_rates: {
      connection_created: counters.connectionsOpened,
      connection_closed: counters.connectionsClosed,
      channel_created: counters.channelsOpened,
      channel_closed: counters.channelsClosed,
      queue_declared: counters.queuesDeclared,
      queue_created: counters.queuesCreated,
      queue_deleted: counters.queuesDeleted,
    },
    listeners: broker.listeners.map(({ host, port, protocol }) => ({
      node: nodeName,
      protocol,
      ip_address: host,
      port,
    })),
    torcello_blocked: broker.blockedReason ?? null,
  };
}

/** The one node that there is. */
export function shownNode(broker: Broker, limits: BrokerLimits): Shown {
  const { memoryBytes, diskFreeBytes } = broker.resources();
  const reason = broker.blockedReason;
  return {
    name: nodeName,
    type: 'disc',
    running: true,
    os_pid: String(process.pid),
    uptime: Math.round(process.uptime() * 1000),
    processors: availableParallelism(),
    mem_used: memoryBytes,
    mem_limit: limits.memoryBytesMax,
    mem_alarm: reason === 'low on memory',
    disk_free: diskFreeBytes ?? null,
    disk_free_limit: limits.diskFreeBytesMin,
    disk_free_alarm: reason === 'low on disk',
    exchange_types: exchangeTypes,
    partitions: [],
    applications: [{ name: product, description: 'one node, no replication', version }],
  };
}

export function shownVhost({ name, queues }: Vhost): Shown {
  let [ready, unsettled] = [0, 0];
  for (const queue of queues.values()) {
    ready += queue.readyCount;
    unsettled += queue.unsettledCount;
  }
  return {
    name,
    description: '',
    tags: [],
    tracing: false,
    cluster_state: { [nodeName]: 'running' },
    messages: ready + unsettled,
    messages_ready: ready,
    messages_unacknowledged: unsettled,
  };
}
