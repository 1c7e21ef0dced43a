import type { IncomingMessage } from '../driver.js';
import { MessagingError } from '../errors.js';
import { decodeEnvelope, encodeEnvelope, type Payload } from '../wire/envelope.js';

/** Header in which our clients send the milliseconds that a call has left; clocks of two machines differ. */
export const remainingHeader = 'torcello-remaining-ms';

/** A request as it travels (oslo 1.5). */
export interface Request {
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly namespace: string | undefined;
  readonly version: string | undefined;
  readonly context: Readonly<Record<string, unknown>>;
  /** New for every send; servers drop repeats by it. */
  readonly uniqueId: string | undefined;
  /** Undefined for casts. */
  readonly reply: ReplyAddress | undefined;
}

export interface ReplyAddress {
  readonly messageId: string;
  readonly queue: string;
  /** The caller wants signs of life, and gives up after so long without one. */
  readonly monitorMs: number | undefined;
  /** The caller wants to hear that the request was taken up. */
  readonly wantsAcceptance: boolean;
  /** The caller reads progress and may cancel: pieces that it takes before it says more. Undefined: it cannot. */
  readonly progressWindow?: number | undefined;
}

const contextPrefix = '_context_';

export function encodeRequest(request: Request): Uint8Array {
  const { reply, uniqueId, context } = request;
  const payload = requestPayload(request) as Record<string, unknown>;
  if (reply !== undefined) addReplyAddress(payload, reply);
  payload['_unique_id'] = uniqueId;
  for (const name of Object.keys(context)) payload[`${contextPrefix}${name}`] = context[name];
  return encodeEnvelope(payload);
}

/** What is asked, without who asks. */
export function requestPayload(request: Pick<Request, 'method' | 'args' | 'namespace' | 'version'>): Payload {
  const { method, args, namespace, version } = request;
  const payload: Record<string, unknown> = { method, args };
  if (namespace !== undefined) payload['namespace'] = namespace;
  if (version !== undefined) payload['version'] = version;
  return payload;
}

/** @throws UNDECODABLE */
export function decodeRequest(message: IncomingMessage): Request {
  const payload = decodeEnvelope(message);
  return requestOf(payload, {
    context: decodeContext(payload),
    uniqueId: text(payload, '_unique_id'),
    reply: decodeReplyAddress(payload),
  });
}

/** @throws UNDECODABLE */
export function requestOf(payload: Payload, rest: Pick<Request, 'context' | 'uniqueId' | 'reply'>): Request {
  const { method, args } = payload;
  const { context, uniqueId, reply } = rest;
  if (typeof method !== 'string') throw new MessagingError('UNDECODABLE', 'a request names no method');
  return {
    method,
    args: isObject(args) ? args : {},
    namespace: text(payload, 'namespace'),
    version: text(payload, 'version'),
    context,
    uniqueId,
    reply,
  };
}

/** The context, flattened by one level into the payload. */
export function encodeContext(context: Readonly<Record<string, unknown>>): Payload {
  return Object.fromEntries(Object.entries(context).map(([name, value]) => [`${contextPrefix}${name}`, value]));
}

/** The context without `client_timeout`, which Python adds for itself. */
export function decodeContext(payload: Payload): Payload {
  const names = Object.keys(payload).filter(
    (name) => name.startsWith(contextPrefix) && name !== '_context_client_timeout',
  );
  // Entries make own properties of names such as `__proto__`; an assignment would not.
  return names.length === 0
    ? {}
    : Object.fromEntries(names.map((name) => [name.slice(contextPrefix.length), payload[name]]));
}

function addReplyAddress(payload: Record<string, unknown>, reply: ReplyAddress): void {
  payload['_msg_id'] = reply.messageId;
  payload['_reply_q'] = reply.queue;
  payload['_timeout'] = reply.monitorMs === undefined ? null : Math.ceil(reply.monitorMs / 1000);
  if (reply.wantsAcceptance) payload['_accept'] = true;
  if (reply.progressWindow !== undefined) payload['_progress'] = reply.progressWindow;
}

function decodeReplyAddress(payload: Payload): ReplyAddress | undefined {
  const messageId = text(payload, '_msg_id');
  const queue = text(payload, '_reply_q');
  // An id without a queue cannot be answered: it is a cast for all that one can do.
  if (messageId === undefined || queue === undefined) return undefined;
  const seconds = payload['_timeout'];
  const monitorMs = typeof seconds === 'number' && seconds > 0 ? Math.trunc(seconds) * 1000 : undefined;
  const wantsAcceptance = payload['_accept'] === true;
  return { messageId, queue, monitorMs, wantsAcceptance, ...progressWindowOf(payload['_progress']) };
}

/** The window of a caller that can be told of progress. */
export function progressWindowOf(said: unknown): Pick<ReplyAddress, 'progressWindow'> {
  return typeof said === 'number' && Number.isSafeInteger(said) && said > 0 ? { progressWindow: said } : {};
}

function text(payload: Payload, name: string): string | undefined {
  const value = payload[name];
  return typeof value === 'string' ? value : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
