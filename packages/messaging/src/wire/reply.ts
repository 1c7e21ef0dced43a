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
  /** It is a piece of progress with this number, from 0 on, and `result` its value. Only callers that asked get any. */
  readonly progressAt?: number | undefined;
  /** With `isAccepted`: where the running call can be steered. */
  readonly steerAt?: string | undefined;
  /** From the caller to the server: give up, or pieces of progress that may be sent in all. */
  readonly steer?: 'cancel' | number | undefined;
}

/** Id under which a server listens for what its caller says about a running call. */
export function steeringId(messageId: string): string {
  return `${messageId}.steer`;
}

export function encodeReply(reply: Reply & { readonly uniqueId: string }): Uint8Array {
  const payload: Record<string, unknown> = {
    result: reply.result ?? null,
    failure: reply.failure ?? null,
    ending: reply.isEnding,
    _msg_id: reply.messageId,
    _unique_id: reply.uniqueId,
  };
  if (reply.isAccepted) payload['_accepted'] = true;
  if (reply.progressAt !== undefined) payload['_progress'] = reply.progressAt;
  if (reply.steerAt !== undefined) payload['_steer_at'] = reply.steerAt;
  if (reply.steer !== undefined) payload['_steer'] = reply.steer;
  return encodeEnvelope(payload);
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
    ...steeringOf({ progress: payload['_progress'], steerAt: payload['_steer_at'], steer: payload['_steer'] }),
  };
}

/** What peers of ours say beside oslo's words; anything else in these places is nothing. */
export function steeringOf(said: {
  readonly progress: unknown;
  readonly steerAt: unknown;
  readonly steer: unknown;
}): Pick<Reply, 'progressAt' | 'steerAt' | 'steer'> {
  const { progress, steerAt, steer } = said;
  return {
    ...(isCount(progress) ? { progressAt: progress } : {}),
    ...(typeof steerAt === 'string' ? { steerAt } : {}),
    ...(steer === 'cancel' || isCount(steer) ? { steer } : {}),
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Some peers forget that the failure is JSON within a string. */
function failureText(failure: unknown): string | undefined {
  if (failure === undefined || failure === null || failure === '') return undefined;
  return typeof failure === 'string' ? failure : stringifyJson(failure);
}
