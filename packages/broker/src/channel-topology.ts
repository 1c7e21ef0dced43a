import { untyped } from '@torcello/amqp091';
import type { FieldTable, MethodNamed } from '@torcello/amqp091';
import { AmqpError } from './amqp-error.js';
import { nameOrLast, queueNamed } from './channel-scope.js';
import type { ChannelScope } from './channel-scope.js';
import { directReplyName } from './direct-replies.js';
import { Exchange } from './exchange.js';
import type { Destination } from './exchange.js';

/** `exchange.declare` (AMQP 0-9-1 §1.6.2.1). A passive one needs some right on the name: existence is no public fact. */
export function declareExchange(scope: ChannelScope, method: MethodNamed<'exchange.declare'>): void {
  const { vhost, rights } = scope.connection;
  const name = plainName(method.exchange);
  if (method.passive) {
    refuseDefault(name);
    rights.needAny('exchange', name);
    vhost.exchange(name);
    if (!method.noWait) scope.send({ name: 'exchange.declare-ok' });
    return;
  }
  rights.need('configure', 'exchange', name);
  const alternate = textArgument(method.arguments, 'alternate-exchange');
  if (alternate === undefined && method.arguments['alternate-exchange'] !== undefined) {
    throw new AmqpError('PRECONDITION_FAILED', "invalid arg 'alternate-exchange': it is not a string");
  }
  if (alternate !== undefined) {
    rights.need('read', 'exchange', name);
    rights.need('write', 'exchange', alternate);
  }
  vhost.declareExchange({
    name,
    type: method.type,
    isDurable: method.durable,
    isAutoDelete: method.autoDelete,
    isInternal: method.internal,
    arguments: method.arguments,
  });
  if (!method.noWait) answer(scope, method.durable, { name: 'exchange.declare-ok' });
}

/** `exchange.delete`: fine when it is not there, as on RabbitMQ. */
export function deleteExchange(scope: ChannelScope, method: MethodNamed<'exchange.delete'>): void {
  const { vhost, rights } = scope.connection;
  refuseDefault(method.exchange);
  rights.need('configure', 'exchange', method.exchange);
  const exchange = vhost.exchanges.get(method.exchange);
  if (exchange !== undefined) vhost.deleteExchange(exchange, { ifUnused: method.ifUnused });
  if (!method.noWait) answer(scope, exchange?.definition.isDurable === true, { name: 'exchange.delete-ok' });
}

export function bindExchange(scope: ChannelScope, method: MethodNamed<'exchange.bind'>): void {
  const destination = boundExchange(scope, method);
  scope.connection.vhost.bind({ ...bindingOf(method), source: method.source, destination });
  if (!method.noWait) answer(scope, destination.definition.isDurable, { name: 'exchange.bind-ok' });
}

export function unbindExchange(scope: ChannelScope, method: MethodNamed<'exchange.unbind'>): void {
  const destination = exchangeToUnbind(scope, method);
  if (destination !== undefined)
    scope.connection.vhost.unbind({ ...bindingOf(method), source: method.source, destination });
  if (!method.noWait) answer(scope, destination?.definition.isDurable === true, { name: 'exchange.unbind-ok' });
}

/** `queue.declare` (§1.7.2.1), also passive, also with a name made by the broker. */
export function declareQueue(scope: ChannelScope, method: MethodNamed<'queue.declare'>): void {
  const { connection } = scope;
  if (method.passive) return declarePassively(scope, method);
  const isServerNamed = method.queue === '';
  const name = isServerNamed ? connection.vhost.freshQueueName() : plainName(method.queue);
  connection.rights.need('configure', 'queue', name);
  const deadLetter = textArgument(method.arguments, 'x-dead-letter-exchange');
  if (deadLetter !== undefined) {
    connection.rights.need('read', 'queue', name);
    connection.rights.need('write', 'exchange', deadLetter);
  }
  const queue = connection.vhost.declareQueue({
    name,
    isServerNamed,
    isDurable: method.durable,
    isAutoDelete: method.autoDelete,
    isExclusive: method.exclusive,
    connection,
    arguments: method.arguments,
  });
  scope.lastQueue = name;
  const counts = { messageCount: queue.readyCount, consumerCount: queue.consumerCount };
  if (!method.noWait)
    answer(scope, connection.vhost.isDurable(queue), { name: 'queue.declare-ok', queue: name, ...counts });
}

function declarePassively(scope: ChannelScope, method: MethodNamed<'queue.declare'>): void {
  const { connection } = scope;
  const name = plainName(nameOrLast(scope, method.queue));
  if (name === directReplyName || name.startsWith(`${directReplyName}.`)) return declareDirectReply(scope, name);
  connection.rights.needAny('queue', name);
  const queue = queueNamed(scope, name);
  queue.touch();
  scope.lastQueue = name;
  if (method.noWait) return;
  const { readyCount: messageCount, consumerCount } = queue;
  scope.send({ name: 'queue.declare-ok', queue: name, messageCount, consumerCount });
}

/** How a responder asks whether a direct requester is still there. */
function declareDirectReply(scope: ChannelScope, name: string): void {
  const isThere = name === directReplyName || scope.connection.core.directReplies.receiver(name) !== undefined;
  if (!isThere) throw new AmqpError('NOT_FOUND', `no queue '${name}' in vhost '${scope.connection.vhost.name}'`);
  scope.send({ name: 'queue.declare-ok', queue: name, messageCount: 0, consumerCount: 1 });
}

export function bindQueue(scope: ChannelScope, method: MethodNamed<'queue.bind'>): void {
  const destination = boundQueue(scope, method);
  const isShort = method.queue === '' && method.routingKey === '';
  const routingKey = isShort ? destination.name : method.routingKey;
  scope.connection.vhost.bind({ ...bindingOf(method), routingKey, source: method.exchange, destination });
  if (!method.noWait) answer(scope, destination.definition.isDurable, { name: 'queue.bind-ok' });
}

export function unbindQueue(scope: ChannelScope, method: MethodNamed<'queue.unbind'>): void {
  if (!scope.connection.vhost.queues.has(nameOrLast(scope, method.queue))) {
    needUnbind(scope, { source: method.exchange, routingKey: method.routingKey });
    scope.connection.rights.need('write', 'queue', nameOrLast(scope, method.queue));
    return scope.send({ name: 'queue.unbind-ok' });
  }
  const destination = boundQueue(scope, method);
  scope.connection.vhost.unbind({ ...bindingOf(method), source: method.exchange, destination });
  answer(scope, destination.definition.isDurable, { name: 'queue.unbind-ok' });
}

export function purgeQueue(scope: ChannelScope, method: MethodNamed<'queue.purge'>): void {
  scope.connection.rights.need('read', 'queue', nameOrLast(scope, method.queue));
  const queue = queueNamed(scope, method.queue);
  const messageCount = queue.purge();
  if (!method.noWait) answer(scope, queue.definition.isDurable, { name: 'queue.purge-ok', messageCount });
}

/** `queue.delete`: fine when it is not there, as on RabbitMQ. */
export function deleteQueue(scope: ChannelScope, method: MethodNamed<'queue.delete'>): void {
  const { vhost, rights } = scope.connection;
  const name = nameOrLast(scope, method.queue);
  rights.need('configure', 'queue', name);
  if (!vhost.queues.has(name)) {
    if (!method.noWait) scope.send({ name: 'queue.delete-ok', messageCount: 0 });
    return;
  }
  const queue = queueNamed(scope, name);
  const refuse = (why: string): AmqpError =>
    new AmqpError('PRECONDITION_FAILED', `queue '${name}' in vhost '${vhost.name}' ${why}`);
  if (method.ifUnused && queue.consumerCount > 0) throw refuse('in use');
  if (method.ifEmpty && queue.readyCount > 0) throw refuse('is not empty');
  const messageCount = vhost.deleteQueue(queue);
  if (!method.noWait) answer(scope, queue.definition.isDurable, { name: 'queue.delete-ok', messageCount });
}

/** RabbitMQ takes line ends out of names. */
function plainName(name: string): string {
  return name.replaceAll(/[\r\n]/g, '');
}

type Answer = Parameters<ChannelScope['send']>[0];

function answer(scope: ChannelScope, isDurable: boolean, method: Answer): void {
  if (isDurable) scope.sendDurably(method);
  else scope.send(method);
}

function bindingOf(method: { readonly routingKey: string; readonly arguments: FieldTable }): {
  readonly routingKey: string;
  readonly arguments: FieldTable;
} {
  return { routingKey: method.routingKey, arguments: method.arguments };
}

function boundQueue(
  scope: ChannelScope,
  method: MethodNamed<'queue.bind'> | MethodNamed<'queue.unbind'>,
): ReturnType<typeof queueNamed> {
  const name = nameOrLast(scope, method.queue);
  refuseDefault(method.exchange);
  scope.connection.rights.need('write', 'queue', name);
  needSource(scope, method, method.exchange);
  return queueNamed(scope, name);
}

function boundExchange(scope: ChannelScope, method: MethodNamed<'exchange.bind'>): Exchange {
  needBothExchanges(scope, method);
  const destination: Destination = scope.connection.vhost.exchange(method.destination);
  return destination;
}

/** A destination that is gone has taken its bindings along, and there is nothing to undo. */
function exchangeToUnbind(scope: ChannelScope, method: MethodNamed<'exchange.unbind'>): Exchange | undefined {
  needBothExchanges(scope, method);
  return scope.connection.vhost.exchanges.get(method.destination);
}

function needBothExchanges(
  scope: ChannelScope,
  method: MethodNamed<'exchange.bind'> | MethodNamed<'exchange.unbind'>,
): void {
  refuseDefault(method.source);
  refuseDefault(method.destination);
  scope.connection.rights.need('write', 'exchange', method.destination);
  needSource(scope, method, method.source);
}

/** What is not there cannot be bound, and needs no unbinding. */
function needSource(
  scope: ChannelScope,
  method: { readonly name: string; readonly routingKey: string },
  source: string,
): void {
  if (method.name.endsWith('.bind')) scope.connection.rights.need('read', 'exchange', source);
  if (method.name.endsWith('.bind')) scope.connection.vhost.exchange(source);
  needUnbind(scope, { source, routingKey: method.routingKey });
}

function needUnbind(
  { connection: { rights, vhost } }: ChannelScope,
  { source, routingKey }: { readonly source: string; readonly routingKey: string },
): void {
  refuseDefault(source);
  rights.need('read', 'exchange', source);
  if (vhost.exchanges.get(source)?.definition.type === 'topic') rights.needTopic('read', source, routingKey);
}

function refuseDefault(exchange: string): void {
  if (exchange === '') throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
}

function textArgument(args: FieldTable, name: string): string | undefined {
  const value = untyped(args[name]);
  return typeof value === 'string' ? value : undefined;
}
