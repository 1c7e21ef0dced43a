import type { IncomingMessage } from '../driver.js';
import { MessagingError } from '../errors.js';
import { decodeEnvelope, encodeEnvelope } from './envelope.js';
import { stringifyJson } from './json.js';

/** One message about a call, on its way back (oslo 1.6). */
export interface Reply {
  /** Id of the request. */
  readonly messageId: string;
  readonly result: unknown;
  /** JSON in a string; undefined when the call succeeded or still runs. */
  readonly failure: string | undefined;
  /** False: a sign of life, the answer follows. */
  readonly isEnding: boolean;
  /** The sign of life says that a server took the call up. Only our own servers say so. */
  readonly isAccepted: boolean;
}

export function encodeReply(reply: Reply & { readonly uniqueId: string }): Uint8Array {
  return encodeEnvelope({
    result: reply.result ?? null,
    failure: reply.failure ?? null,
    ending: reply.isEnding,
    _msg_id: reply.messageId,
    _unique_id: reply.uniqueId,
    ...(reply.isAccepted ? { _accepted: true } : {}),
  });
}

/** @throws UNDECODABLE */
export function decodeReply(message: IncomingMessage): Reply {
  const payload = decodeEnvelope(message);
  const { _msg_id: messageId, failure } = payload;
  if (typeof messageId !== 'string') throw new MessagingError('UNDECODABLE', 'an answer names no request');
  return {
    messageId,
    result: payload['result'] ?? null,
    failure: failureText(failure),
    isEnding: payload['ending'] === true,
    isAccepted: payload['_accepted'] === true,
  };
}

/** Some peers forget that the failure is JSON within a string. */
function failureText(failure: unknown): string | undefined {
  if (failure === undefined || failure === null || failure === '') return undefined;
  return typeof failure === 'string' ? failure : stringifyJson(failure);
}
