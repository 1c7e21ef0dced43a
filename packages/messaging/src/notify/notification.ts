import type { IncomingMessage, Topology } from '../driver.js';
import { decodeContext, encodeContext } from '../rpc/request.js';
import { defaultExchange } from '../rpc/target.js';
import { decodeEnvelope, encodeBare, encodeEnvelope, type Payload } from '../wire/envelope.js';

/** oslo.messaging's severities, as they stand in queue names. */
export const priorities = ['audit', 'debug', 'info', 'warn', 'error', 'critical', 'sample'] as const;
export type Priority = (typeof priorities)[number];

/** `v1`: the bare payload. `v2`: in the envelope that RPC uses too. Listeners read both. */
export type NotificationFormat = 'v1' | 'v2';

/** Something happened, told to whom it may concern. */
export interface Notification {
  readonly eventType: string;
  readonly publisherId: string;
  readonly priority: Priority;
  readonly payload: unknown;
  readonly messageId: string;
  /** UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
  readonly timestamp: string;
  readonly context: Readonly<Record<string, unknown>>;
  /** W3C trace context of whoever notified; a handler's own requests carry it on by themselves. */
  readonly traceparent?: string;
}

/** A notification as it was read: the priority is whatever its sender wrote. */
export type IncomingNotification = Omit<Notification, 'priority'> & {
  readonly priority: string;
  readonly uniqueId: string | undefined;
};

/** The queue in which notifications of a topic and priority wait (oslo 1.2). */
export function notificationTopology(topic: string, priority: Priority, exchange: string = defaultExchange): Topology {
  const name = `${topic}.${priority}`;
  const target = { service: 'notify', exchange, topic: name } as const;
  const reachedBy = [{ exchange, routingKey: name, target }];
  return { kind: 'shared', source: { queue: name, target }, reachedBy, options: {} };
}

/** The body of a notification (oslo 1.7). */
export function encodeNotification(
  notification: Notification,
  options: { readonly uniqueId: string; readonly format: NotificationFormat },
): Uint8Array {
  const encode = options.format === 'v1' ? encodeBare : encodeEnvelope;
  const payload = notificationPayload(notification) as Record<string, unknown>;
  payload['_unique_id'] = options.uniqueId;
  return encode(Object.assign(payload, encodeContext(notification.context)));
}

/** What is told, without its context. */
export function notificationPayload(notification: Notification): Payload {
  return {
    message_id: notification.messageId,
    publisher_id: notification.publisherId,
    event_type: notification.eventType,
    priority: notification.priority.toUpperCase(),
    payload: notification.payload ?? null,
    timestamp: notification.timestamp,
  };
}

/** Fields that a sender left out are empty, as oslo.messaging reads them. @throws UNDECODABLE */
export function decodeNotification(message: IncomingMessage): IncomingNotification {
  const body = decodeEnvelope(message);
  const uniqueId = body['_unique_id'];
  return notificationOf(body, {
    context: decodeContext(body),
    uniqueId: typeof uniqueId === 'string' && uniqueId !== '' ? uniqueId : undefined,
  });
}

export function notificationOf(
  body: Payload,
  rest: Pick<IncomingNotification, 'context' | 'uniqueId'>,
): IncomingNotification {
  const text = (name: string): string => (typeof body[name] === 'string' ? body[name] : '');
  return {
    eventType: text('event_type'),
    publisherId: text('publisher_id'),
    priority: text('priority').toLowerCase(),
    payload: body['payload'] ?? null,
    messageId: text('message_id'),
    timestamp: text('timestamp'),
    ...rest,
  };
}

export function isPriority(text: string): text is Priority {
  return (priorities as readonly string[]).includes(text);
}
