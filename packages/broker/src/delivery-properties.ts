import { encodeProperties, typed } from '@torcello/amqp091';
import type { Message } from './queue/message.js';

/** The properties of a delivery: as they came, with a quorum queue's `x-delivery-count` if there is one. */
export function deliveryProperties(message: Message, returns: number | undefined): Uint8Array {
  if (returns === undefined) return message.propertyBytes;
  const properties = message.properties();
  return encodeProperties({
    ...properties,
    headers: { ...properties.headers, 'x-delivery-count': typed('l', returns) },
  });
}
