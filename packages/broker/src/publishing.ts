import { encodeProperties } from '@torcello/amqp091';
import type { BasicProperties, ContentCommand, MethodNamed } from '@torcello/amqp091';
import { AmqpError } from './amqp-error.js';
import type { ChannelConnection } from './channel-scope.js';
import { directReplyName } from './direct-replies.js';
import { Message } from './queue/message.js';
import { durationMsMax } from './queue/queue-options.js';
import { refused } from './queue/queue.js';
import type { Queue } from './queue/queue.js';
import type { Refusal } from './store/commit-log.js';

/** What became of a publish. */
export interface PublishOutcome {
  /** Commit that makes it safe; 0 when nothing of it goes to disk. */
  readonly ticket: number;
  /** Some queue, or the broker for want of space, did not take it. */
  readonly isRefused: boolean;
  /** No queue matched. */
  readonly isUnrouted: boolean;
  readonly message: Message;
}

/** A publish with the properties that its message will carry. */
interface Content {
  readonly properties: BasicProperties;
  readonly propertyBytes: Uint8Array;
  readonly body: Uint8Array;
  readonly hiddenCopies?: readonly string[];
}

/** A publish that was checked and routed, and not handed to any queue yet. */
export interface RoutedPublish {
  readonly message: Message;
  readonly queues: readonly Queue[];
  readonly isMandatory: boolean;
  /** It goes straight to a channel that waits for direct replies, or to nobody. */
  readonly isDirectReply: boolean;
}

const noReceiver = { ticket: 0, isRefused: false, isUnrouted: true };

/**
 * Checks a publish and finds the queues that it reaches.
 * @param replyName - where the channel receives direct replies; undefined when it does not.
 * @throws NOT_FOUND, ACCESS_REFUSED, PRECONDITION_FAILED, RESOURCE_ERROR; NOT_IMPLEMENTED for `immediate`.
 */
export function routePublish(
  connection: ChannelConnection,
  command: ContentCommand,
  replyName: string | undefined,
): RoutedPublish {
  const method = command.method as MethodNamed<'basic.publish'>;
  checkTarget(connection, method);
  checkProperties(connection, command.properties);
  const content = withDirectReply(withoutHiddenCopies(command), replyName);
  const { exchange, routingKey } = method;
  const message = new Message({ exchange, routingKey, ...content, arrivedAtMs: connection.core.clock.now() });
  const isMandatory = method.mandatory;
  if (exchange === '' && routingKey.startsWith(directReplyName)) {
    return { message, isMandatory, queues: [], isDirectReply: true };
  }
  const queues = connection.vhost.route(exchange, routingKey, command.properties);
  return { message, isMandatory, queues, isDirectReply: false };
}

/**
 * Hands a routed publish to its queues; none of them takes it while the broker wants no publishes.
 * @param refusal - what becomes of it when the disk turns out to be full; undefined when it must wait for room.
 */
export function handToQueues(
  connection: ChannelConnection,
  routed: RoutedPublish,
  refusal: Refusal | undefined,
): PublishOutcome {
  const { message } = routed;
  if (routed.isDirectReply) return answerDirectly(connection, message);
  connection.core.bodies.share(message, routed.queues);
  let ticket = 0;
  let isRefused = false;
  let isUnrouted = true;
  for (const queue of routed.queues) {
    if (queue.isDeleted) continue;
    isUnrouted = false;
    const result = queue.enqueue(message, refusal);
    if (result === refused) isRefused = true;
    else if (result > ticket) ticket = result;
  }
  return { ticket, isRefused, isUnrouted, message };
}

function checkTarget({ vhost, rights }: ChannelConnection, method: MethodNamed<'basic.publish'>): void {
  if (method.immediate) throw new AmqpError('NOT_IMPLEMENTED', 'immediate=true');
  rights.need('write', 'exchange', method.exchange);
  if (method.exchange === '') return;
  const { definition } = vhost.exchange(method.exchange);
  if (definition.isInternal) {
    throw new AmqpError('ACCESS_REFUSED', `cannot publish to internal exchange '${method.exchange}'`);
  }
  if (definition.type === 'topic') rights.needTopic('write', method.exchange, method.routingKey);
}

function checkProperties({ rights }: ChannelConnection, properties: BasicProperties): void {
  const { expiration, userId } = properties;
  if (expiration !== undefined && !(/^\d{1,12}$/.test(expiration) && Number(expiration) <= durationMsMax)) {
    throw new AmqpError('PRECONDITION_FAILED', `invalid expiration '${expiration}'`);
  }
  if (userId !== undefined && userId !== rights.userName && !rights.mayImpersonate) {
    const text = `user_id property set to '${userId}' but authenticated user was '${rights.userName}'`;
    throw new AmqpError('PRECONDITION_FAILED', text);
  }
}

/** Nobody who receives a message sees its BCC. */
function withoutHiddenCopies(content: ContentCommand): Content {
  const { headers } = content.properties;
  if (headers?.['BCC'] === undefined) return content;
  const { BCC: hidden, ...shown } = headers;
  const hiddenCopies = Array.isArray(hidden) ? hidden.filter((key): key is string => typeof key === 'string') : [];
  return { ...rewritten(content, { ...content.properties, headers: shown }), hiddenCopies };
}

function withDirectReply(content: Content, replyName: string | undefined): Content {
  if (content.properties.replyTo !== directReplyName) return content;
  if (replyName === undefined) {
    throw new AmqpError('PRECONDITION_FAILED', 'fast reply consumer does not exist');
  }
  return rewritten(content, { ...content.properties, replyTo: replyName });
}

function rewritten(content: Content, properties: BasicProperties): Content {
  return { ...content, properties, propertyBytes: encodeProperties(properties) };
}

function answerDirectly(connection: ChannelConnection, message: Message): PublishOutcome {
  const receiver = connection.core.directReplies.receiver(message.routingKey);
  receiver?.(message);
  return { ...noReceiver, isUnrouted: receiver === undefined, message };
}
