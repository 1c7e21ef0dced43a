import { createHash } from 'node:crypto';
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

/** Headers as JSON, without what brokers add on the way. */
export function headersText(headers: Readonly<Record<string, unknown>>): string {
  const own = Object.entries(headers).filter(([name]) => !name.startsWith('x-'));
  return JSON.stringify(Object.fromEntries(own), (_key, value: unknown) => {
    if (typeof value === 'bigint') return Number(value);
    return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
  });
}
