import { sleep } from '@torcello/platform';
import { isMessagingError, MessagingError } from '../errors.js';
import { rpcClient } from '../rpc/client.js';
import type { Endpoint, Method } from '../rpc/endpoint.js';
import { decodeFailure, RemoteFailure, type RemoteErrorDetails } from '../rpc/failure.js';
import type { Request } from '../rpc/request.js';
import type { Target } from '../rpc/target.js';
import type { Transport } from '../transport/transport.js';
import { stringifyJson } from '../wire/json.js';
import type { Reply } from '../wire/reply.js';
import type { Wire } from '../wire/wire.js';
import { wireOf } from '../wire/wires.js';
import type { RecordedEvent, RecordedMessage, Recording } from './recorder.js';

/** A request of a recording with what it was answered. */
export interface RecordedCall extends Pick<Request, 'method' | 'args' | 'namespace' | 'version' | 'context'> {
  readonly atMs: number;
  readonly isCast: boolean;
  /** Undefined: no answer was recorded. */
  readonly answer: CallAnswer | undefined;
}

export type CallAnswer = { readonly result: unknown } | { readonly failure: RemoteErrorDetails };

export interface ReplayOptions {
  /** Waits between messages as long as it was recorded, on the transport's clock. Default: one after the other. */
  readonly isPaced?: boolean;
}

/**
 * Puts what was delivered from a queue, or published to it by name, into a mailbox again: the same bytes, properties and
 * headers, in the same order, each once. Answers how many.
 */
export async function replayMailbox(
  recording: Recording,
  transport: Transport,
  options: ReplayOptions & { readonly queue: string; readonly as?: string },
): Promise<number> {
  const { queue, as = queue } = options;
  const delivered = recording.events.filter((event) => event.what === 'delivered' && event.queue === queue);
  const source = delivered.length > 0 ? delivered : recording.events.filter((event) => isPutInto(event, queue));
  const messages = new Map(source.flatMap((event) => ('message' in event ? [[keyOf(event.message), event]] : [])));
  const pace = pacer(transport, options);
  for (const event of messages.values()) {
    await pace(event.atMs);
    const { message } = event;
    await transport.publish({ exchange: '', routingKey: as }, { ...message, persistent: true, ifNobody: 'fail' });
  }
  return messages.size;
}

/** The requests of a recording, of the calling or of the serving side, in the order in which they were sent. */
export function recordedCalls(recording: Recording): readonly RecordedCall[] {
  const wire = wireOf({ wire: recording.wire } as Parameters<typeof wireOf>[0]);
  const answers = answersOf(recording, wire);
  const seen = new Set<string>();
  return recording.events.flatMap((event) => {
    if (event.what !== 'published' && event.what !== 'delivered') return [];
    const request = attempt(() => wire.readRequest(event.message));
    // Both sides may have been recorded, and a request may have been sent again.
    if (request === undefined || (request.uniqueId !== undefined && seen.has(request.uniqueId))) return [];
    if (request.uniqueId !== undefined) seen.add(request.uniqueId);
    const { method, args, namespace, version, context, reply } = request;
    const answer = reply === undefined ? undefined : answers.get(reply.messageId);
    return [{ atMs: event.atMs, isCast: reply === undefined, method, args, namespace, version, context, answer }];
  });
}

export interface ReplayedCall {
  readonly call: RecordedCall;
  /** What came this time; undefined for casts. */
  readonly answer: CallAnswer | undefined;
  /** The same result, or an error of the same class. Casts, and calls without a recorded answer, are always the same. */
  readonly isSame: boolean;
}

/**
 * Makes the calls and casts of a recording again, and compares the answers.
 * @throws what a call fails with, unless the method itself failed.
 */
export async function replayCalls(
  recording: Recording,
  transport: Transport,
  options: ReplayOptions & { readonly target: Target },
): Promise<readonly ReplayedCall[]> {
  const pace = pacer(transport, options);
  const replayed: ReplayedCall[] = [];
  for (const call of recordedCalls(recording)) {
    await pace(call.atMs);
    const answer = await makeAgain(call, transport, options.target);
    replayed.push({ call, answer, isSame: isSame(call.answer, answer) });
  }
  return replayed;
}

/**
 * A server's endpoints that answer as the recorded server did: by method and arguments, several equal calls in their
 * order, the last answer again and again. A call that was not recorded fails with the class `NotRecorded`.
 */
export function playback(recording: Recording): readonly Endpoint[] {
  const groups = new Map<string, RecordedCall[]>();
  for (const call of recordedCalls(recording)) {
    const group = stringifyJson([call.namespace, call.version]);
    groups.set(group, [...(groups.get(group) ?? []), call]);
  }
  return Array.from(groups.values(), (calls) => {
    const [first] = calls;
    const target = {
      ...(first?.namespace === undefined ? {} : { namespace: first.namespace }),
      ...(first?.version === undefined ? {} : { version: first.version }),
    };
    const names = [...new Set(calls.map(({ method }) => method))];
    return { target, methods: Object.fromEntries(names.map((name) => [name, methodOf(name, calls)])) };
  });
}

function methodOf(name: string, calls: readonly RecordedCall[]): Method {
  const waiting = new Map<string, CallAnswer[]>();
  for (const { method, args, answer } of calls) {
    if (method !== name) continue;
    const key = stringifyJson(args);
    waiting.set(key, [...(waiting.get(key) ?? []), ...(answer === undefined ? [] : [answer])]);
  }
  return (args) => {
    const left = waiting.get(stringifyJson(args));
    const answer = left !== undefined && left.length > 1 ? left.shift() : left?.[0];
    if (left === undefined) {
      throw new RemoteFailure({ class: 'NotRecorded', message: `${name} was not recorded with these arguments` });
    }
    if (answer !== undefined && 'failure' in answer) throw new RemoteFailure(answer.failure);
    return answer?.result;
  };
}

async function makeAgain(call: RecordedCall, transport: Transport, target: Target): Promise<CallAnswer | undefined> {
  const { method, args, namespace, version, context, isCast } = call;
  const named = { ...(namespace === undefined ? {} : { namespace }), ...(version === undefined ? {} : { version }) };
  const client = rpcClient(transport, { ...target, ...named });
  if (isCast) {
    await client.cast(method, args, { context });
    return undefined;
  }
  try {
    return { result: await client.call(method, args, { context }) };
  } catch (error) {
    const codes = ['REMOTE_ERROR', 'NO_SUCH_METHOD', 'UNSUPPORTED_VERSION'];
    if (!isMessagingError(error) || !codes.includes(error.code)) throw error;
    return { failure: error.details as unknown as RemoteErrorDetails };
  }
}

function isSame(recorded: CallAnswer | undefined, now: CallAnswer | undefined): boolean {
  if (recorded === undefined || now === undefined) return true;
  if ('failure' in recorded) return 'failure' in now && recorded.failure.class === now.failure.class;
  return 'result' in now && stringifyJson(recorded.result) === stringifyJson(now.result);
}

/** By the id of the request: what ended it, put together where an answer came in several messages. */
function answersOf(recording: Recording, wire: Wire): ReadonlyMap<string, CallAnswer> {
  const results = new Map<string, unknown>();
  const answers = new Map<string, CallAnswer>();
  for (const event of recording.events) {
    if (event.what !== 'answered' && event.what !== 'published') continue;
    const reply = attempt(() => wire.readReply(event.message));
    if (reply === undefined || reply.progressAt !== undefined || reply.isAccepted) continue;
    if (reply.result !== null) results.set(reply.messageId, reply.result);
    const answer = answerOf(reply, results.get(reply.messageId));
    if (answer !== undefined) answers.set(reply.messageId, answer);
  }
  return answers;
}

function answerOf({ failure, isEnding }: Reply, result: unknown): CallAnswer | undefined {
  if (failure !== undefined) {
    const { details } = decodeFailure(failure);
    return { failure: details as unknown as RemoteErrorDetails };
  }
  return isEnding ? { result: result ?? null } : undefined;
}

function isPutInto(event: RecordedEvent, queue: string): boolean {
  return event.what === 'published' && event.to.exchange === '' && event.to.routingKey === queue;
}

/** The same message delivered twice is one; without an id every message is one of its own. */
function keyOf(message: RecordedMessage): string | RecordedMessage {
  return message.properties.messageId ?? message;
}

function pacer(transport: Transport, { isPaced = false }: ReplayOptions): (atMs: number) => Promise<void> {
  let beforeMs: number | undefined;
  return async (atMs) => {
    const waitMs = beforeMs === undefined ? 0 : atMs - beforeMs;
    beforeMs = atMs;
    if (isPaced && waitMs > 0) await sleep(transport.clock, waitMs);
  };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof MessagingError) return undefined;
    throw error;
  }
}
