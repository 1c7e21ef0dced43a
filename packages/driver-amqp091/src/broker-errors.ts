import { EncodeError, ProtocolError } from '@torcello/amqp091';
import { MessagingError, type AbortSignalLike, type ErrorCode } from '@torcello/messaging';
import { mismatchOf } from './mismatch.js';

/** What a broker says when it closes a channel or connection, or returns a message. */
export interface BrokerReply {
  readonly replyCode: number;
  readonly replyText: string;
  readonly classId?: number;
  readonly methodId?: number;
}

const channelCodes: ReadonlyMap<number, ErrorCode> = new Map([
  [311, 'TOO_LARGE'],
  [403, 'ACCESS_REFUSED'],
  [404, 'NOT_FOUND'],
  [405, 'RESOURCE_LOCKED'],
  [406, 'PRECONDITION_FAILED'],
]);

/** The broker closed a channel because of what was done on it. */
export function channelClosed(reply: BrokerReply): MessagingError {
  const code = channelCodes.get(reply.replyCode) ?? 'PROTOCOL_ERROR';
  const mismatch = reply.replyCode === 406 ? mismatchOf(reply.replyText) : undefined;
  const advice = mismatch?.option === undefined ? '' : `; the URL's option ${mismatch.option} says which it shall be`;
  const details = { ...reply, ...mismatch };
  return new MessagingError(code, `the broker refused: ${reply.replyText}${advice}`, { details });
}

/** The broker closed the whole connection. */
export function connectionClosed(reply: BrokerReply): MessagingError {
  const text = `the broker closed the connection: ${reply.replyText}`;
  return new MessagingError('CONNECTION_LOST', text, { details: { ...reply } });
}

/** The byte stream ended or was given up. */
export function connectionLost(why: string, cause?: unknown): MessagingError {
  return new MessagingError('CONNECTION_LOST', `the connection to the broker is lost: ${why}`, { cause });
}

/** The same loss, told to one operation: `mayArrive` says whether its effect may still come about. */
export function lossOf(reason: MessagingError, mayArrive: boolean): MessagingError {
  const code = reason.code === 'CLOSED' ? 'CLOSED' : 'CONNECTION_LOST';
  return new MessagingError(code, reason.message, { cause: reason, details: { ...reason.details, mayArrive } });
}

export function closedByUs(): MessagingError {
  return new MessagingError('CLOSED', 'the connection was closed by this program');
}

export function aborted(signal: AbortSignalLike, mayArrive: boolean): MessagingError {
  return new MessagingError('ABORTED', 'the operation was given up', { cause: signal.reason, details: { mayArrive } });
}

/** The peer sent bytes that are not AMQP. */
export function brokenProtocol(cause: ProtocolError): MessagingError {
  const details = { replyCode: cause.replyCode };
  return new MessagingError('PROTOCOL_ERROR', `the broker broke the protocol: ${cause.message}`, { cause, details });
}

/** What cannot be put into frames: TOO_LARGE for a message's headers, else the caller's mistake. */
export function notEncodable(error: unknown): Error {
  if (!(error instanceof EncodeError)) return error instanceof Error ? error : new TypeError(String(error));
  if (error.code === 'FRAME_TOO_LARGE') return new MessagingError('TOO_LARGE', error.message, { cause: error });
  return new TypeError(`it cannot be written: ${error.message}`, { cause: error });
}
