import type { Delivery, Destination, OutgoingMessage } from '../driver.js';
import { errorCodes, isMessagingError, MessagingError, type ErrorCode } from '../errors.js';
import { RemoteFailure, type RemoteErrorDetails } from '../rpc/failure.js';

type Arguments = Readonly<Record<string, unknown>>;

/** What a delivery consists of before anybody may settle it. */
export type Item = Pick<Delivery, 'destination' | 'message' | 'redelivered'>;

/** How a reader settled a letter. */
export type Verdict = 'accept' | 'release' | 'reject';

/** A message as the arguments of a call; the body in Base64. */
export function postingOf(to: Destination, message: OutgoingMessage): Arguments {
  const { expiresMs } = message;
  const { exchange, routingKey } = to;
  const item = { destination: { exchange, routingKey }, message, redelivered: message.isRepeat === true };
  return { ...argumentsOf(item), ...(expiresMs === undefined ? {} : { expiresMs }) };
}

export function argumentsOf({ destination, message, redelivered }: Item): Arguments {
  const { messageId, contentType, timestampMs } = message.properties;
  return {
    exchange: destination.exchange,
    routingKey: destination.routingKey,
    body: Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength).toString('base64'),
    headers: message.headers,
    redelivered,
    ...(messageId === undefined ? {} : { messageId }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(timestampMs === undefined ? {} : { timestampMs }),
  };
}

/** @throws RemoteFailure UNDECODABLE: whoever called does not write as agreed. */
export function readPosting(given: Arguments): Item & { readonly expiresMs: number | undefined } {
  const { exchange, routingKey, body, headers, redelivered, messageId, contentType, timestampMs, expiresMs } = given;
  const isWhole =
    typeof exchange === 'string' && typeof routingKey === 'string' && typeof body === 'string' && isTable(headers);
  if (!isWhole) throw new RemoteFailure({ class: 'ValueError', message: 'this is no letter', code: 'UNDECODABLE' });
  return {
    destination: { exchange, routingKey },
    redelivered: redelivered === true,
    expiresMs: typeof expiresMs === 'number' ? expiresMs : undefined,
    message: {
      body: Buffer.from(body, 'base64'),
      headers,
      properties: {
        ...(typeof messageId === 'string' ? { messageId } : {}),
        ...(typeof contentType === 'string' ? { contentType } : {}),
        ...(typeof timestampMs === 'number' ? { timestampMs } : {}),
      },
    },
  };
}

/** The refusal of a keeper as the error that it was there. */
export function refusalOf(error: unknown): unknown {
  if (!isMessagingError(error, 'REMOTE_ERROR')) return error;
  const { code, message } = error.details as Partial<RemoteErrorDetails>;
  if (code === undefined || !Object.hasOwn(errorCodes, code)) return error;
  return new MessagingError(code as ErrorCode, message ?? error.message, { cause: error });
}

function isTable(value: unknown): value is Arguments {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
