import { AmqpError } from './amqp-error.js';
import type { BrokerLimits } from './limits.js';

/**
 * A refusal because of a limit: it names the limit, its value and how to raise it before it says of what there is too much,
 * for that may be long, and a reply text is cut at 255 bytes.
 */
export function limitReached(
  limit: keyof BrokerLimits,
  most: number,
  { of: subject, reply = 'RESOURCE_ERROR' }: { readonly of: string; readonly reply?: 'RESOURCE_ERROR' | 'NOT_ALLOWED' },
): AmqpError {
  const text = `limit ${limit} (${most}) reached, raised at start by --limit ${limit}=NUMBER: ${subject}`;
  return reply === 'RESOURCE_ERROR' ? new AmqpError(reply, text, 'channel') : new AmqpError(reply, text);
}
