import { untyped } from '@torcello/amqp091';
import type { MethodName, MethodNamed } from '@torcello/amqp091';
import type { Random } from '@torcello/platform';
import { AmqpError } from './amqp-error.js';
import { limitReached } from './limit-reached.js';
import type { Channel } from './channel.js';
import { ChannelConsumer } from './channel-consumer.js';
import { nameOrLast, queueNamed } from './channel-scope.js';
import * as topology from './channel-topology.js';
import { settle, transactionHandlers } from './channel-transactions.js';
import { Confirms } from './confirms.js';
import { deliveryProperties } from './delivery-properties.js';
import { directReplyName } from './direct-replies.js';
import { isWholeNumber } from './queue/queue-options.js';

type Handlers = { readonly [N in MethodName]?: (channel: Channel, method: MethodNamed<N>) => void };

/** What a channel does with each method that a client may send without content. */
export const channelHandlers: Handlers = {
  'channel.close': (channel) => channel.close(),
  'channel.close-ok': () => undefined,
  'channel.flow': flow,
  'channel.flow-ok': () => undefined,
  'access.request': (channel) => channel.send({ name: 'access.request-ok' }),
  'exchange.declare': topology.declareExchange,
  'exchange.delete': topology.deleteExchange,
  'exchange.bind': topology.bindExchange,
  'exchange.unbind': topology.unbindExchange,
  'queue.declare': topology.declareQueue,
  'queue.bind': topology.bindQueue,
  'queue.unbind': topology.unbindQueue,
  'queue.purge': topology.purgeQueue,
  'queue.delete': topology.deleteQueue,
  'basic.qos': qos,
  'basic.consume': consume,
  'basic.cancel': cancel,
  'basic.cancel-ok': () => undefined,
  'basic.get': get,
  'basic.ack': (channel, method) => settle(channel, method, 'ack'),
  'basic.reject': (channel, method) => settle(channel, method, method.requeue ? 'requeue' : 'reject'),
  'basic.nack': (channel, method) => settle(channel, method, method.requeue ? 'requeue' : 'reject'),
  'basic.recover': (channel, method) => {
    recover(channel, method.requeue);
    channel.send({ name: 'basic.recover-ok' });
  },
  'basic.recover-async': (channel, method) => recover(channel, method.requeue),
  'confirm.select': (channel, method) => {
    if (channel.transaction !== undefined) {
      throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from tx to confirm mode');
    }
    channel.confirms ??= new Confirms();
    if (!method.noWait) channel.send({ name: 'confirm.select-ok' });
  },
  ...transactionHandlers,
};

function flow(channel: Channel, method: MethodNamed<'channel.flow'>): void {
  if (!method.active) throw new AmqpError('NOT_IMPLEMENTED', 'active=false');
  channel.send({ name: 'channel.flow-ok', active: true });
}

const tagBytes = 16;

/** `basic.qos` with RabbitMQ's meaning: a limit for each consumer to come, or, if permitted, one for the channel. */
function qos(channel: Channel, method: MethodNamed<'basic.qos'>): void {
  if (method.prefetchSize !== 0) {
    throw new AmqpError('NOT_IMPLEMENTED', `prefetch_size!=0 (${method.prefetchSize})`);
  }
  if (method.global && !channel.connection.core.permits.has('global_qos')) {
    const text =
      'feature global_qos is not permitted: set a prefetch for each consumer, or start the broker with --permit global_qos';
    throw new AmqpError('INTERNAL_ERROR', text);
  }
  if (method.global) channel.prefetchTotal = method.prefetchCount;
  else channel.prefetch = method.prefetchCount;
  channel.send({ name: 'basic.qos-ok' });
  if (method.global) channel.serveConsumers();
}

function consume(channel: Channel, method: MethodNamed<'basic.consume'>): void {
  const { core, rights } = channel.connection;
  const tag = method.consumerTag === '' ? freshTag(core.random) : method.consumerTag;
  if (channel.consumers.has(tag) || channel.directReply?.tag === tag) {
    throw new AmqpError('NOT_ALLOWED', `attempt to reuse consumer tag '${tag}'`);
  }
  if (method.queue === directReplyName) return consumeReplies(channel, method, tag);
  rights.need('read', 'queue', nameOrLast(channel, method.queue));
  const queue = queueNamed(channel, method.queue);
  checkExclusiveUse(channel, method);
  if (channel.prefetchTotal > 0 && queue.definition.options.type === 'quorum') {
    throw new AmqpError('NOT_IMPLEMENTED', `queue '${queue.name}' does not support global qos`);
  }
  const { consumersPerChannelMax } = core.limits;
  if (channel.consumers.size >= consumersPerChannelMax) {
    throw limitReached('consumersPerChannelMax', consumersPerChannelMax, { of: 'consumers of one channel' });
  }
  const { unsettledPerConsumerMax, unsettledPerConsumerBytesMax } = core.limits;
  const asked = channel.prefetch === 0 ? unsettledPerConsumerMax : channel.prefetch;
  const consumer = new ChannelConsumer(
    channel,
    { tag, queue, noAck: method.noAck, isExclusive: method.exclusive, priority: consumerPriority(method) },
    { unsettledMax: Math.min(asked, unsettledPerConsumerMax), unsettledBytesMax: unsettledPerConsumerBytesMax },
  );
  channel.consumers.set(tag, consumer);
  if (!method.noWait) channel.send({ name: 'basic.consume-ok', consumerTag: tag });
  queue.addConsumer(consumer);
  queue.dispatch();
}

/** As long as RabbitMQ's: it goes out with every delivery, and some look at its form. */
function freshTag(random: Random): string {
  return `amq.ctag-${Buffer.from(random.bytes(tagBytes)).toString('base64url')}`;
}

function checkExclusiveUse(channel: Channel, method: MethodNamed<'basic.consume'>): void {
  const queue = queueNamed(channel, method.queue);
  const isTaken = queue.hasExclusiveConsumer || (method.exclusive && queue.consumerCount > 0);
  if (isTaken || (method.exclusive && queue.definition.options.isSingleActiveConsumer)) {
    const { name } = channel.connection.vhost;
    throw new AmqpError('ACCESS_REFUSED', `queue '${queue.name}' in vhost '${name}' in exclusive use`);
  }
}

function consumerPriority(method: MethodNamed<'basic.consume'>): number {
  const value = method.arguments['x-priority'];
  if (value === undefined) return 0;
  if (isWholeNumber(value)) return Number(untyped(value));
  throw new AmqpError('PRECONDITION_FAILED', 'x-priority is not a whole number');
}

function consumeReplies(channel: Channel, method: MethodNamed<'basic.consume'>, tag: string): void {
  if (!method.noAck) throw new AmqpError('PRECONDITION_FAILED', 'reply consumer cannot acknowledge');
  if (channel.directReply !== undefined) throw new AmqpError('PRECONDITION_FAILED', 'reply consumer already set');
  const { directReplies } = channel.connection.core;
  const name = directReplies.open((message) => channel.deliverReply(tag, message));
  channel.directReply = { name, tag };
  if (!method.noWait) channel.send({ name: 'basic.consume-ok', consumerTag: tag });
}

/** Deliveries that are out stay valid (§1.8.3.5). */
function cancel(channel: Channel, { consumerTag, noWait }: MethodNamed<'basic.cancel'>): void {
  if (channel.directReply?.tag === consumerTag) {
    channel.connection.core.directReplies.close(channel.directReply.name);
    channel.directReply = undefined;
  }
  const consumer = channel.consumers.get(consumerTag);
  channel.consumers.delete(consumerTag);
  if (!noWait) channel.send({ name: 'basic.cancel-ok', consumerTag });
  consumer?.queue.removeConsumer(consumer);
}

function get(channel: Channel, method: MethodNamed<'basic.get'>): void {
  channel.connection.rights.need('read', 'queue', nameOrLast(channel, method.queue));
  const queue = queueNamed(channel, method.queue);
  if (queue.options.type === 'quorum' && queue.options.isSingleActiveConsumer) {
    const text = `cannot obtain access to locked queue '${queue.name}': a quorum queue with a single active consumer knows no basic.get`;
    throw new AmqpError('RESOURCE_LOCKED', text);
  }
  const entry = queue.take();
  const { counters } = channel.connection.core;
  if (entry === undefined) {
    counters.gotNothing++;
    return channel.send({ name: 'basic.get-empty' });
  }
  counters.got++;
  const { message } = entry;
  const { unsettled, number } = channel;
  const deliveryTag = method.noAck
    ? unsettled.nextTag()
    : channel.expectSettlement({ queue, entry, consumer: undefined });
  const { exchange, routingKey } = message;
  const about = { deliveryTag, redelivered: entry.isRedelivered, exchange, routingKey, messageCount: queue.readyCount };
  channel.connection.sendContent(
    number,
    { name: 'basic.get-ok', ...about },
    { properties: deliveryProperties(message, queue.deliveryCount(entry)), body: message.body },
  );
  if (method.noAck) queue.settle(entry);
}

function recover(channel: Channel, requeue: boolean): void {
  if (!requeue) throw new AmqpError('NOT_IMPLEMENTED', 'requeue=false');
  channel.settling(() => channel.unsettled.requeueAll());
}
