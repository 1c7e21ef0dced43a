import process from 'node:process';
import type { Broker } from '../broker.js';
import type { BrokerLimits } from '../limits.js';
import { nodeName, version } from '../version.js';
import { totalsOf } from './node-listings.js';

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly isCounter?: true;
}

/** The broker in the text format of Prometheus, under the names of RabbitMQ's exporter that its dashboard reads. */
export function metricsText(broker: Broker, limits: BrokerLimits): string {
  return [...nodeMetrics(broker, limits), ...gauges(broker), ...counters(broker)].map(text).join('');
}

function nodeMetrics(broker: Broker, limits: BrokerLimits): Metric[] {
  const { memoryBytes, diskFreeBytes } = broker.resources();
  const reason = broker.blockedReason;
  const identity = { rabbitmq_node: nodeName, rabbitmq_cluster: nodeName };
  return [
    { name: 'rabbitmq_identity_info', help: 'Node and cluster', value: 1, labels: identity },
    { name: 'rabbitmq_build_info', help: 'Version of the broker', value: 1, labels: { torcello_version: version } },
    { name: 'rabbitmq_process_resident_memory_bytes', help: 'Memory in use, without mapped files', value: memoryBytes },
    {
      name: 'rabbitmq_resident_memory_limit_bytes',
      help: 'Memory that publishes may fill',
      value: limits.memoryBytesMax,
    },
    ...(diskFreeBytes === undefined
      ? []
      : [{ name: 'rabbitmq_disk_space_available_bytes', help: 'Free space of the data folder', value: diskFreeBytes }]),
    {
      name: 'rabbitmq_disk_space_available_limit_bytes',
      help: 'Free space below which publishes wait',
      value: limits.diskFreeBytesMin,
    },
    {
      name: 'rabbitmq_alarms_free_disk_space_watermark',
      help: '1 while publishes wait for want of disk',
      value: Number(reason === 'low on disk'),
    },
    {
      name: 'rabbitmq_alarms_memory_used_watermark',
      help: '1 while publishes wait for want of memory',
      value: Number(reason === 'low on memory'),
    },
    { name: 'torcello_broker_blocked', help: '1 while publishes wait', value: Number(reason !== undefined) },
    { name: 'process_resident_memory_bytes', help: 'Resident memory', value: process.memoryUsage.rss() },
  ];
}

function gauges(broker: Broker): Metric[] {
  const totals = totalsOf(broker);
  const { ready, unsettled } = totals;
  return [
    { name: 'rabbitmq_connections', help: 'Connections currently open', value: totals.connections },
    { name: 'rabbitmq_channels', help: 'Channels currently open', value: totals.channels },
    { name: 'rabbitmq_consumers', help: 'Consumers currently connected', value: totals.consumers },
    { name: 'rabbitmq_queues', help: 'Queues available', value: totals.queues },
    { name: 'rabbitmq_queue_messages_ready', help: 'Messages ready to be delivered', value: ready },
    { name: 'rabbitmq_queue_messages_unacked', help: 'Messages delivered, not yet acknowledged', value: unsettled },
    { name: 'rabbitmq_queue_messages', help: 'Sum of ready and unacknowledged messages', value: ready + unsettled },
  ];
}

function counters(broker: Broker): Metric[] {
  const { counters: all } = broker;
  const rows: readonly (readonly [name: string, help: string, value: number])[] = [
    ['rabbitmq_connections_opened_total', 'Connections opened', all.connectionsOpened],
    ['rabbitmq_connections_closed_total', 'Connections closed', all.connectionsClosed],
    ['rabbitmq_channels_opened_total', 'Channels opened', all.channelsOpened],
    ['rabbitmq_channels_closed_total', 'Channels closed', all.channelsClosed],
    ['rabbitmq_queues_declared_total', 'Queues declared', all.queuesDeclared],
    ['rabbitmq_queues_created_total', 'Queues created', all.queuesCreated],
    ['rabbitmq_queues_deleted_total', 'Queues deleted', all.queuesDeleted],
    ['rabbitmq_auth_attempts_failed_total', 'Logins refused', all.loginsRefused],
    ['rabbitmq_channel_messages_published_total', 'Messages published', all.published],
    ['rabbitmq_channel_messages_confirmed_total', 'Publishes confirmed', all.confirmed],
    ['rabbitmq_channel_messages_unroutable_returned_total', 'Publishes returned', all.returned],
    ['rabbitmq_channel_messages_unroutable_dropped_total', 'Publishes that no queue got', all.dropped],
    ['rabbitmq_channel_messages_delivered_ack_total', 'Deliveries to be acknowledged', all.delivered],
    ['rabbitmq_channel_messages_delivered_total', 'Deliveries settled at once', all.deliveredSettled],
    ['rabbitmq_channel_messages_redelivered_total', 'Deliveries that were not the first', all.redelivered],
    ['rabbitmq_channel_messages_acked_total', 'Messages acknowledged', all.acked],
    ['rabbitmq_channel_get_total', 'Messages fetched one by one', all.got],
    ['rabbitmq_channel_get_empty_total', 'Fetches that found nothing', all.gotNothing],
  ];
  return rows.map(([name, help, value]) => ({ name, help, value, isCounter: true }));
}

function text({ name, help, value, labels = {}, isCounter }: Metric): string {
  const pairs = Object.entries(labels).map(([label, content]) => `${label}="${content}"`);
  const shown = pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
  return `# HELP ${name} ${help}\n# TYPE ${name} ${isCounter === true ? 'counter' : 'gauge'}\n${name}${shown} ${value}\n`;
}
