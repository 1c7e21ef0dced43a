import type { IncomingMessage, MessageProperties } from '../driver.js';
import { MessagingError } from '../errors.js';
import { notificationOf, notificationPayload } from '../notify/notification.js';
import { progressWindowOf, requestOf, requestPayload, type ReplyAddress } from '../rpc/request.js';
import { decodeEnvelope, encodeBare, envelope, openEnvelope, type Payload } from './envelope.js';
import { steeringOf, type Reply } from './reply.js';
import type { Wire, WireMessage } from './wire.js';

/** Application properties that Python does not look at. */
const [uniqueIdHeader, wantsAcceptanceHeader, acceptedHeader] = [
  'torcello-unique-id',
  'torcello-accept',
  'torcello-accepted',
] as const;
const [progressHeader, steerAtHeader, steerHeader] = [
  'torcello-progress',
  'torcello-steer-at',
  'torcello-steer',
] as const;

/**
 * oslo.messaging over AMQP 1.0 (oslo (b)): the body is text, without envelope for RPC; ids and addresses stand in the
 * message's properties; a sign of life is an answer without a body. What oslo lacks travels in application properties.
 * Notifications stay durable, where oslo's are not: they are promised to wait for their listeners.
 */
export const amqp1Wire: Wire = {
  request: ({ context, reply, uniqueId, ...request }) => {
    const monitor = reply?.monitorMs === undefined ? {} : { call_monitor_timeout: Math.ceil(reply.monitorMs / 1000) };
    const body = encodeBare({ request: requestPayload(request), context, ...monitor });
    const properties = reply === undefined ? {} : { messageId: reply.messageId, replyTo: reply.queue };
    return text(body, properties, {
      ...(uniqueId === undefined ? {} : { [uniqueIdHeader]: uniqueId }),
      ...(reply?.wantsAcceptance === true ? { [wantsAcceptanceHeader]: true } : {}),
      ...(reply?.progressWindow === undefined ? {} : { [progressHeader]: reply.progressWindow }),
    });
  },
  readRequest: (message) => {
    const body = decodeEnvelope(message);
    const request = openEnvelope(objectOf(body['request'], 'a request without content'));
    const context = objectOf(body['context'] ?? {}, 'a context that is no object');
    return requestOf(request, { context, reply: replyAddress(message, body), uniqueId: uniqueIdOf(message) });
  },
  reply: ({ messageId, result, failure, isEnding, isAccepted, uniqueId, ...rest }) => {
    const headers = {
      [uniqueIdHeader]: uniqueId,
      ...(isAccepted ? { [acceptedHeader]: true } : {}),
      ...(rest.progressAt === undefined ? {} : { [progressHeader]: rest.progressAt }),
      ...(rest.steerAt === undefined ? {} : { [steerAtHeader]: rest.steerAt }),
      ...(rest.steer === undefined ? {} : { [steerHeader]: rest.steer }),
    };
    const properties = { correlationId: messageId };
    if (rest.progressAt !== undefined) return text(encodeBare({ response: result ?? null }), properties, headers);
    if (!isEnding) {
      const beat = { body: new Uint8Array(), bodyAs: 'nothing', properties, headers, persistent: false } as const;
      return rest.monitorMs === undefined ? beat : { ...beat, expiresMs: rest.monitorMs };
    }
    return text(encodeBare(failure === undefined ? { response: result ?? null } : { failure }), properties, headers);
  },
  readReply,
  notification: (notification, { uniqueId, format }) => {
    const payload = notificationPayload(notification);
    const request = format === 'v1' ? payload : envelope(payload);
    const body = encodeBare({ request, context: notification.context });
    return { ...text(body, {}, { [uniqueIdHeader]: uniqueId }), persistent: true };
  },
  readNotification: (message) => {
    const body = decodeEnvelope(message);
    const request = openEnvelope(objectOf(body['request'], 'a notification without content'));
    const context = objectOf(body['context'] ?? {}, 'a context that is no object');
    return notificationOf(request, { context, uniqueId: uniqueIdOf(message) });
  },
};

function readReply(message: IncomingMessage): Reply {
  const { correlationId: messageId } = message.properties;
  if (messageId === undefined) throw new MessagingError('UNDECODABLE', 'an answer names no request');
  const { headers } = message;
  const [progress, steerAt, steer] = [headers[progressHeader], headers[steerAtHeader], headers[steerHeader]];
  const more = steeringOf({ progress, steerAt, steer });
  const blank = { messageId, result: null, failure: undefined, ...more };
  if (message.body.byteLength === 0) {
    return { ...blank, isEnding: false, isAccepted: headers[acceptedHeader] === true };
  }
  const { response, failure } = decodeEnvelope(message);
  const text = typeof failure === 'string' && failure !== '' ? failure : undefined;
  const isEnding = more.progressAt === undefined;
  return { ...blank, result: response ?? null, failure: text, isEnding, isAccepted: false };
}

function replyAddress({ properties, headers }: IncomingMessage, body: Payload): ReplyAddress | undefined {
  const { messageId, replyTo: queue } = properties;
  if (messageId === undefined || queue === undefined) return undefined;
  const seconds = body['call_monitor_timeout'];
  const monitorMs = typeof seconds === 'number' && seconds > 0 ? Math.trunc(seconds * 1000) : undefined;
  const wantsAcceptance = headers[wantsAcceptanceHeader] === true;
  return { messageId, queue, monitorMs, wantsAcceptance, ...progressWindowOf(headers[progressHeader]) };
}

function uniqueIdOf({ headers }: IncomingMessage): string | undefined {
  const value = headers[uniqueIdHeader];
  return typeof value === 'string' ? value : undefined;
}

function text(body: Uint8Array, properties: MessageProperties, headers: Payload): WireMessage {
  return { body, bodyAs: 'text', properties, headers, persistent: false };
}

function objectOf(value: unknown, otherwise: string): Payload {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Payload;
  throw new MessagingError('UNDECODABLE', otherwise);
}
