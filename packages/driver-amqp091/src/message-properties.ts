import { untyped, type BasicProperties, type FieldTable } from '@torcello/amqp091';
import type { IncomingMessage, MessageProperties, OutgoingMessage } from '@torcello/messaging';

const [transient, persistent] = [1, 2];
const noHeaders: FieldTable = {};

/** The message as AMQP properties. Headers are written even when empty: Python peers look into them unasked. */
export function toBasicProperties(message: OutgoingMessage): BasicProperties {
  const { properties: given, headers, expiresMs } = message;
  const properties: { -readonly [K in keyof BasicProperties]: BasicProperties[K] } = {
    headers: headers as FieldTable,
    deliveryMode: message.persistent ? persistent : transient,
  };
  if (given.contentType !== undefined) properties.contentType = given.contentType;
  if (given.contentEncoding !== undefined) properties.contentEncoding = given.contentEncoding;
  if (given.priority !== undefined) properties.priority = given.priority;
  if (given.correlationId !== undefined) properties.correlationId = given.correlationId;
  if (given.replyTo !== undefined) properties.replyTo = given.replyTo;
  if (given.messageId !== undefined) properties.messageId = given.messageId;
  if (given.type !== undefined) properties.type = given.type;
  if (given.appId !== undefined) properties.appId = given.appId;
  if (given.userId !== undefined) properties.userId = given.userId;
  if (given.timestampMs !== undefined) properties.timestamp = Math.floor(given.timestampMs / 1000);
  if (expiresMs !== undefined) properties.expiration = String(Math.max(0, Math.floor(expiresMs)));
  return properties;
}

/** AMQP properties as a message; the body is the one that came in, uncopied. */
export function toMessage(properties: BasicProperties, body: Uint8Array): IncomingMessage {
  const found: { -readonly [K in keyof MessageProperties]: MessageProperties[K] } = {};
  if (properties.contentType !== undefined) found.contentType = properties.contentType;
  if (properties.contentEncoding !== undefined) found.contentEncoding = properties.contentEncoding;
  if (properties.priority !== undefined) found.priority = properties.priority;
  if (properties.correlationId !== undefined) found.correlationId = properties.correlationId;
  if (properties.replyTo !== undefined) found.replyTo = properties.replyTo;
  if (properties.messageId !== undefined) found.messageId = properties.messageId;
  if (properties.type !== undefined) found.type = properties.type;
  if (properties.appId !== undefined) found.appId = properties.appId;
  if (properties.userId !== undefined) found.userId = properties.userId;
  if (properties.timestamp !== undefined) found.timestampMs = Number(properties.timestamp) * 1000;
  return { body, properties: found, headers: sentHeaders(properties.headers) };
}

/** The queue's own count, which it puts among the sender's headers. */
const countHeader = 'x-delivery-count';

/** How often a quorum queue handed the message out before; 0 when it never was redelivered. */
export function earlierDeliveries(properties: BasicProperties, redelivered: boolean): number | undefined {
  const count = untyped(properties.headers?.[countHeader]);
  if (typeof count === 'number') return count;
  return redelivered ? undefined : 0;
}

/** The headers as the sender wrote them. */
function sentHeaders(headers: FieldTable | undefined): FieldTable {
  if (headers === undefined) return noHeaders;
  if (headers[countHeader] === undefined) return headers;
  const { [countHeader]: _count, ...sent } = headers;
  return sent;
}
