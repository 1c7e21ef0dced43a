import { createHash } from 'node:crypto';
import { headersText } from '@torcello/contracts';
import type { Delivery } from '@torcello/messaging';

/** A message, and where it was sent. */
export interface Tried extends Pick<Delivery, 'message' | 'destination'> {
  /** Length of its body, where only the beginning of it is here. */
  readonly bytes?: number;
}

/** Names a message by where it was sent and what is in it: the same one, delivered again, has the same name. */
export function fingerprint({ message, destination }: Tried): string {
  const { messageId = '', contentType = '' } = message.properties;
  const facts = [destination.exchange, destination.routingKey, messageId, contentType, headersText(message.headers)];
  return createHash('sha256').update(JSON.stringify(facts)).update(message.body).digest('hex').slice(0, 32);
}
