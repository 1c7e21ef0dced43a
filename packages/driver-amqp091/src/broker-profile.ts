import type { FieldTable } from '@torcello/amqp091';
import type { Capabilities } from '@torcello/messaging';
import type { TopologySettings } from './settings.js';

/** What the broker said about itself while connecting, and what follows from it. */
export interface BrokerProfile {
  readonly product: string;
  readonly version: string;
  /** Whether mailboxes and shared queues become quorum queues. */
  readonly usesQuorum: boolean;
  readonly capabilities: Capabilities;
}

const rabbitMq3MessageBytes = 128 * 1024 * 1024;
const rabbitMq4MessageBytes = 16 * 1024 * 1024;
const classicPriorityMax = 255;

/** @param serverProperties - as `connection.start` brings them. */
export function brokerProfile(serverProperties: FieldTable, topology: TopologySettings): BrokerProfile {
  const product = textOf(serverProperties['product']);
  const version = textOf(serverProperties['version']);
  const isRabbitMq = product === 'RabbitMQ';
  const major = Number.parseInt(version, 10);
  const isQuorumAsked = topology.oslo === undefined ? topology.queueType === 'quorum' : topology.oslo.isQuorum;
  const usesQuorum = isRabbitMq && isQuorumAsked;
  return {
    product,
    version,
    usesQuorum,
    capabilities: Object.freeze({
      // RabbitMQ confirms a persistent message of a classic queue after a timer's sync, of a quorum queue after fsync on a
      // majority; our own broker after its sync.
      durableConfirm: usesQuorum || product === 'Torcello',
      returns: true,
      mailboxes: true,
      administers: true,
      deliveryCount: usesQuorum,
      fanout: true,
      priorityMax: usesQuorum ? 0 : classicPriorityMax,
      redelivers: true,
      bounds: true,
      routes: true,
      inspects: true,
      refusesMissing: true,
      keepsReplies: true,
      messageSizeBytesMax: isRabbitMq && major < 4 ? rabbitMq3MessageBytes : rabbitMq4MessageBytes,
    }),
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
