import type { FieldTable, OutgoingMethod, OutgoingNamed } from '@torcello/amqp091';
import { MessagingError, type Topology, type TopologyOptions } from '@torcello/messaging';
import type { BrokerProfile } from './broker-profile.js';
import { driverLimits } from './limits.js';
import type { OsloFlags, TopologySettings } from './settings.js';

/** The AMQP entities that a topology stands for, in the order in which they are made. */
export interface Declarations {
  readonly exchanges: readonly OutgoingNamed<'exchange.declare'>[];
  readonly queue: OutgoingNamed<'queue.declare'>;
  readonly bindings: readonly OutgoingNamed<'queue.bind'>[];
}

interface Shape {
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly isQuorum: boolean;
  readonly exchange: { readonly type: 'topic' | 'fanout'; readonly isDurable: boolean; readonly isAutoDelete: boolean };
  readonly expiresMs: number | undefined;
  /** Further queue arguments. */
  readonly more?: FieldTable;
}

/**
 * Maps a topology's kind to RabbitMQ's shapes. Without oslo's flags in the URL: shared queues and mailboxes are durable
 * (quorum queues on RabbitMQ unless the URL says classic) and their exchanges durable topics; fanout queues are durable
 * classic queues that expire, on a transient fanout exchange as oslo declares it. With oslo's flags shared and fanout
 * are exactly what oslo.messaging declares under the same options (oslo 1.2, 1.13).
 * @throws MessagingError CAPABILITY_MISSING for an option that the queue type cannot honour.
 */
export function declarations(topology: Topology, profile: BrokerProfile, settings: TopologySettings): Declarations {
  const shape = shapeOf(topology, profile, settings);
  const { queue } = topology.source;
  const reached = topology.reachedBy.filter(({ exchange }) => exchange !== '');
  return {
    exchanges: [...new Set(reached.map(({ exchange }) => exchange))].map((exchange) => ({
      name: 'exchange.declare',
      exchange,
      type: shape.exchange.type,
      durable: shape.exchange.isDurable,
      autoDelete: shape.exchange.isAutoDelete,
    })),
    queue: {
      name: 'queue.declare',
      queue,
      durable: shape.isDurable,
      autoDelete: shape.isAutoDelete,
      arguments: queueArguments(topology, shape),
    },
    bindings: reached.map(({ exchange, routingKey }) => ({ name: 'queue.bind', queue, exchange, routingKey })),
  };
}

/** The queue on which answers come in: classic, kept for a while without a reader, valid on every RabbitMQ. */
export function replyQueue(name: string, keepMs: number, settings: TopologySettings): OutgoingMethod {
  const isQuorum = settings.oslo?.isTransientQuorum ?? false;
  const isDurable = settings.oslo === undefined || isQuorum;
  const lifeMs = settings.transientQueueMs ?? keepMs;
  const args = { 'x-queue-type': isQuorum ? 'quorum' : undefined, 'x-expires': lifeMs === 0 ? undefined : lifeMs };
  return { name: 'queue.declare', queue: name, durable: isDurable, arguments: args };
}

function shapeOf(topology: Topology, profile: BrokerProfile, settings: TopologySettings): Shape {
  switch (topology.kind) {
    case 'mailbox':
      return mailboxShape(topology.options, profile, settings);
    case 'shared':
      return sharedShape(topology.options, profile, settings);
    case 'fanout':
      return fanoutShape(topology.options, settings);
  }
}

function mailboxShape(options: TopologyOptions, profile: BrokerProfile, settings: TopologySettings): Shape {
  const isDurable = options.durable ?? true;
  const isForeign = options.foreignArguments !== undefined;
  const isQuorum = isDurable && !isForeign && settings.queueType === 'quorum' && profile.product === 'RabbitMQ';
  return {
    isDurable,
    isAutoDelete: false,
    isQuorum,
    exchange: { type: 'topic', isDurable, isAutoDelete: false },
    expiresMs: options.expiresMs,
  };
}

function sharedShape(options: TopologyOptions, profile: BrokerProfile, { oslo }: TopologySettings): Shape {
  const isQuorum = profile.usesQuorum && options.durable !== false;
  const isDurable = oslo === undefined ? (options.durable ?? true) : oslo.isDurable || isQuorum;
  const isAutoDelete = oslo?.isAutoDelete ?? false;
  const exchange = { type: 'topic', isDurable, isAutoDelete } as const;
  const more = isQuorum && oslo !== undefined ? osloQuorumArguments(oslo) : {};
  return { isDurable, isAutoDelete: isAutoDelete && !isQuorum, isQuorum, exchange, expiresMs: options.expiresMs, more };
}

function fanoutShape(options: TopologyOptions, { oslo, transientQueueMs }: TopologySettings): Shape {
  const isQuorum = oslo?.isTransientQuorum ?? false;
  const isExchangeDurable = oslo === undefined ? (options.durable ?? false) : isQuorum;
  const expiresMs = transientQueueMs ?? options.expiresMs ?? driverLimits.transientQueueMs;
  return {
    isDurable: oslo === undefined || isQuorum,
    isAutoDelete: false,
    isQuorum,
    exchange: { type: 'fanout', isDurable: isExchangeDurable, isAutoDelete: true },
    expiresMs: expiresMs === 0 ? undefined : expiresMs,
  };
}

/**
 * So many deliveries that a mailbox never drops a letter for having been handed out too often (RabbitMQ 4 does it after
 * 20). A number, because without a limit a quorum queue puts a released message behind the younger ones.
 */
const liftedDeliveryLimit = 2_147_483_647;

function queueArguments(topology: Topology, shape: Shape): FieldTable {
  const { options, kind } = topology;
  if (options.foreignArguments !== undefined) return options.foreignArguments as FieldTable;
  if (shape.isQuorum && options.priorityMax !== undefined) throw cannot('priorityMax', 'a quorum queue');
  const isLifted = kind === 'mailbox' && shape.isQuorum;
  const overflow = options.whenFull === 'drop-oldest' ? 'drop-head' : 'reject-publish';
  return {
    'x-queue-type': shape.isQuorum ? 'quorum' : undefined,
    'x-delivery-limit': isLifted ? liftedDeliveryLimit : undefined,
    'x-max-length': options.lengthMax,
    'x-overflow': options.lengthMax === undefined ? undefined : overflow,
    'x-message-ttl': options.messageTtlMs,
    'x-expires': shape.expiresMs,
    'x-max-priority': options.priorityMax,
    'x-dead-letter-exchange': options.deadLetter?.exchange,
    'x-dead-letter-routing-key': options.deadLetter?.routingKey,
    'x-single-active-consumer': options.singleReader === true ? true : undefined,
    ...shape.more,
  };
}

function osloQuorumArguments(oslo: OsloFlags): FieldTable {
  return {
    'x-delivery-limit': oslo.quorumDeliveryLimit === 0 ? undefined : oslo.quorumDeliveryLimit,
    'x-max-in-memory-length': oslo.quorumMemoryLengthMax === 0 ? undefined : oslo.quorumMemoryLengthMax,
    'x-max-in-memory-bytes': oslo.quorumMemoryBytesMax === 0 ? undefined : oslo.quorumMemoryBytesMax,
  };
}

function cannot(option: string, what: string): MessagingError {
  const details = { option };
  return new MessagingError('CAPABILITY_MISSING', `${what} cannot honour ${option}`, { details });
}
