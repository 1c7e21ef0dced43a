import { encodeProperties, typed } from '@torcello/amqp091';
import type { Message } from './queue/message.js';

/** The properties of a delivery: as they came, with RabbitMQ's `x-delivery-count` on what was given back before. */
export function deliveryProperties(message: Message, returns: number): Uint8Array {
  if (returns === 0) return message.propertyBytes;
  const properties = message.properties();
  return encodeProperties({
    ...properties,
    headers: { ...properties.headers, 'x-delivery-count': typed('l', returns) },
  });
}
