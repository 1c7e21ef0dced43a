import type { Destination, OutgoingMessage } from '../driver.js';
import { traceHeaders } from '../rpc/call-scope.js';
import type { OperationOptions, Transport } from '../transport/transport.js';
import { defaultContentType, supersedesHeader, type OutgoingLetter } from './letter.js';

/** Hands a letter to the broker; sent again after a loss, because its reader drops a double by the letter's id. */
export function publishLetter(
  transport: Transport,
  to: Destination,
  letter: OutgoingLetter,
  options: OperationOptions,
): Promise<void> {
  return transport.publish(to, messageOf(transport, letter), { ...options, resend: true });
}

function messageOf(transport: Transport, letter: OutgoingLetter): OutgoingMessage {
  const { id, body, contentType = defaultContentType, headers = {}, expiresMs, priority, supersedes = [] } = letter;
  return {
    body,
    headers: {
      ...traceHeaders(transport.random),
      ...(supersedes.length === 0 ? {} : { [supersedesHeader]: supersedes }),
      ...headers,
    },
    properties: {
      messageId: id,
      contentType,
      timestampMs: transport.clock.now(),
      ...(priority === undefined ? {} : { priority }),
    },
    persistent: true,
    ifNobody: 'fail',
    ...(expiresMs === undefined ? {} : { expiresMs }),
  };
}
