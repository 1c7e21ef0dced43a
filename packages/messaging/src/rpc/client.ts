import { hexId } from '@torcello/platform';
import type { OutgoingMessage } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { AbortTrigger, type AbortSignalLike } from '../abort.js';
import { Deadline } from '../transport/deadline.js';
import type { Transport } from '../transport/transport.js';
import { diagnostics, type CallEvent } from '../diagnostics.js';
import { OpenCall, type CallHandle } from './call-handle.js';
import { addTrace, inheritedRemainingMs } from './call-scope.js';
import { IncomingProgress } from './incoming-progress.js';
import { PendingCall, type PendingCallSetting } from './pending-call.js';
import { remainingHeader, type ReplyAddress } from './request.js';
import { Steering } from './steering.js';
import { requestDestination, type Target } from './target.js';
import { isVersionCompatible } from './version.js';

export type Arguments = Readonly<Record<string, unknown>>;

export interface RpcClientOptions {
  /** For a whole call, connecting included. Default 60 s; casts have 30 s to be confirmed. */
  readonly timeoutMs?: number;
  /** Sent with every request; any JSON values. `msg_id`, `reply_q` and `client_timeout` are Python's and get lost there. */
  readonly context?: Readonly<Record<string, unknown>>;
  /** Refuses requests for newer versions, locally. Default: no cap. */
  readonly versionCap?: string;
  /** Asks the server for signs of life, and fails with TIMEOUT after so long without one. Whole seconds, at least 2. */
  readonly callMonitorTimeoutMs?: number;
  /**
   * Only where the servers are ours: fails with NO_SERVER when none has taken the call up after so long. Default: no such
   * limit, because a Python server never says so.
   */
  readonly acceptedWithinMs?: number;
  /** Casts reject with UNROUTABLE when no queue takes them. Calls always do. */
  readonly atLeastOnce?: boolean;
}

export interface CallOptions {
  readonly signal?: AbortSignalLike;
  readonly timeoutMs?: number;
  /** Added to the client's own context. */
  readonly context?: Readonly<Record<string, unknown>>;
}

export interface CastOptions extends CallOptions {
  readonly atLeastOnce?: boolean;
}

/** Calls the methods of a target. Light: `prepare` makes another one for another address. */
export interface RpcClient {
  /**
   * Calls a method and resolves with its result.
   * @throws UNROUTABLE at once when nobody ever served the topic; REMOTE_ERROR, NO_SUCH_METHOD, UNSUPPORTED_VERSION from
   *   the server; VERSION_CAPPED, INVALID_TARGET before sending; NO_SERVER; TIMEOUT (`details.stage` is `connecting`,
   *   `sending` or `waiting`), CONNECTION_LOST when the connection was gone as time ran out; ABORTED; CLOSED.
   */
  call<T = unknown>(method: string, args?: Arguments, options?: CallOptions): Promise<T>;
  /**
   * Calls a method and answers with a handle: the result to await, progress or a streamed answer to iterate, and `cancel`,
   * which reaches the method elsewhere as its `signal`. Rejects as `call` does.
   */
  open<T = unknown, P = unknown>(method: string, args?: Arguments, options?: CallOptions): CallHandle<T, P>;
  /** Sends a request that has no answer; resolves with the broker's confirm. */
  cast(method: string, args?: Arguments, options?: CastOptions): Promise<void>;
  /** The same client with another address or other options. */
  prepare(changes: Target & RpcClientOptions): RpcClient;
  /** Whether `versionCap` lets a request of this version go out. */
  canSendVersion(version: string | undefined): boolean;
  /** Pending calls reject with CLOSED, new ones too, also those of prepared clients. */
  close(): void;
}

/** A client for the methods that servers offer on a target. */
export function rpcClient(transport: Transport, target: Target, options: RpcClientOptions = {}): RpcClient {
  return new Client(transport, { target, options, closing: new AbortTrigger() });
}

interface ClientSetting {
  readonly target: Target;
  readonly options: RpcClientOptions;
  /** Shared with every client prepared from this one. */
  readonly closing: AbortTrigger;
}

class Client implements RpcClient {
  readonly #transport: Transport;
  readonly #setting: ClientSetting;

  constructor(transport: Transport, setting: ClientSetting) {
    this.#transport = transport;
    this.#setting = setting;
  }

  call<T>(method: string, args: Arguments = {}, options: CallOptions = {}): Promise<T> {
    return this.#call({ method, args, options }) as Promise<T>;
  }

  open<T, P>(method: string, args: Arguments = {}, options: CallOptions = {}): CallHandle<T, P> {
    const { clock } = this.#transport;
    const cancelling = new AbortTrigger();
    const progress = new IncomingProgress<P>();
    const steering = new Steering(this.#transport);
    progress.onAllow = (total) => steering.allow(total);
    const untilMs = clock.monotonicMs() + this.#timeoutMs(options);
    const remainingMs = (): number => Math.max(0, untilMs - clock.monotonicMs());
    const handle = { progress: progress as IncomingProgress<unknown>, steering };
    const result = this.#call({ method, args, options, handle, cancelling }) as Promise<T>;
    return new OpenCall<T, P>({ progress, result, cancelling, remainingMs });
  }

  #call(calling: Calling): Promise<unknown> {
    try {
      return this.#start(calling);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #start(calling: Calling): Promise<unknown> {
    const { method, args, options, handle, cancelling } = calling;
    const { target, options: defaults, closing } = this.#setting;
    if (target.fanout === true) throw new MessagingError('INVALID_TARGET', 'a call cannot go to every server');
    this.#check();
    const timeoutMs = this.#timeoutMs(options);
    if (timeoutMs <= 0) throw noTimeLeft(method);
    const to = requestDestination(target);
    const deadline = new Deadline(this.#transport.clock, timeoutMs, closing, options.signal, cancelling);
    const startMs = this.#transport.clock.monotonicMs();
    diagnostics.call(() => this.#event('start', 'call', method));
    const onEnd = (failure?: { readonly error: unknown }): unknown =>
      this.#end(calling, { deadline, startMs, failure });
    const pending = new PendingCall(this.#transport, { method, deadline, options: defaults, handle, onEnd });
    const message = (reply: ReplyAddress): OutgoingMessage =>
      this.#message(method, args, { context: options.context, reply, deadline });
    return pending.run({ to, message });
  }

  /** Answers what a call that failed fails with. */
  #end({ method, options, handle, cancelling }: Calling, { deadline, startMs, failure }: Ending): unknown {
    deadline[Symbol.dispose]();
    diagnostics.call(() => ({ ...this.#event('end', 'call', method), durationMs: this.#sinceMs(startMs), ...failure }));
    if (failure === undefined || !isMessagingError(failure.error, 'ABORTED')) return failure?.error;
    handle?.steering.cancel(deadline.remainingMs);
    const isCallers = options.signal?.aborted === true || cancelling?.aborted === true;
    return this.#setting.closing.aborted && !isCallers ? closed() : failure.error;
  }

  #sinceMs(startMs: number): number {
    return this.#transport.clock.monotonicMs() - startMs;
  }

  #event(phase: CallEvent['phase'], callType: CallEvent['callType'], method: string): CallEvent {
    const { exchange, topic, server, namespace, version, fanout } = this.#setting.target;
    return { phase, callType, method, exchange, topic, server, namespace, version, fanout };
  }

  /** What was asked for, and within a method no more than its own caller waits. */
  #timeoutMs(options: CallOptions): number {
    const askedMs = options.timeoutMs ?? this.#setting.options.timeoutMs ?? limits.callTimeoutMs;
    return Math.min(askedMs, inheritedRemainingMs() ?? Infinity);
  }

  async cast(method: string, args: Arguments = {}, options: CastOptions = {}): Promise<void> {
    const { target, options: defaults } = this.#setting;
    this.#check();
    const to = requestDestination(target);
    const isAtLeastOnce = (options.atLeastOnce ?? defaults.atLeastOnce ?? false) && target.fanout !== true;
    const message = this.#message(method, args, { ...options, isAtLeastOnce });
    const timeoutMs = options.timeoutMs ?? limits.operationTimeoutMs;
    using ending = new Deadline(this.#transport.clock, Infinity, this.#setting.closing, options.signal);
    const { signal } = ending;
    const startMs = this.#transport.clock.monotonicMs();
    diagnostics.call(() => this.#event('start', 'cast', method));
    let failure: { readonly error: unknown } | undefined;
    try {
      // Servers drop a repeat by its unique id, so a cast survives a reconnect.
      await this.#transport.publish(to, message, { signal, timeoutMs, resend: true });
    } catch (error) {
      // Nobody there, not even an exchange: fine for a cast, as for oslo.messaging.
      if (!isMessagingError(error, 'UNROUTABLE') || isAtLeastOnce) failure = { error };
    }
    diagnostics.call(() => ({ ...this.#event('end', 'cast', method), durationMs: this.#sinceMs(startMs), ...failure }));
    if (failure !== undefined) throw failure.error;
  }

  prepare(changes: Target & RpcClientOptions): RpcClient {
    const { target, options, closing } = this.#setting;
    const { exchange, topic, server, namespace, version, fanout, ...rest } = changes;
    const moved = defined({ exchange, topic, server, namespace, version, fanout });
    return new Client(this.#transport, { target: { ...target, ...moved }, options: { ...options, ...rest }, closing });
  }

  canSendVersion(version: string | undefined): boolean {
    return isVersionCompatible(this.#setting.options.versionCap, version);
  }

  close(): void {
    this.#setting.closing.abort();
  }

  #check(): void {
    const { target, options, closing } = this.#setting;
    if (closing.aborted) throw closed();
    if (this.canSendVersion(target.version)) return;
    const details = { version: target.version, versionCap: options.versionCap };
    throw new MessagingError('VERSION_CAPPED', `version ${target.version} is above ${options.versionCap}`, { details });
  }

  #message(method: string, args: Arguments, sending: Sending): OutgoingMessage {
    const { target, options } = this.#setting;
    const { deadline, reply, isAtLeastOnce } = sending;
    const written = this.#transport.wire.request({
      method,
      args,
      namespace: target.namespace,
      version: target.version,
      context: bothOf(options.context, sending.context),
      uniqueId: hexId(this.#transport.random),
      reply,
    });
    const headers: Record<string, unknown> = { ...written.headers };
    addTrace(headers, this.#transport.random);
    if (deadline === undefined) return { ...written, headers, ifNobody: isAtLeastOnce === true ? 'fail' : 'drop' };
    if (deadline.timeoutMs === Infinity) return { ...written, headers, ifNobody: 'fail' };
    const remainingMs = Math.trunc(deadline.remainingMs);
    headers[remainingHeader] = remainingMs;
    return { ...written, headers, expiresMs: remainingMs, ifNobody: 'fail' };
  }
}

type Context = Readonly<Record<string, unknown>>;

const noContext: Context = {};

/** What stands in both; the second wins. */
function bothOf(first: Context | undefined, second: Context | undefined): Context {
  if (first === undefined || second === undefined) return first ?? second ?? noContext;
  return { ...first, ...second };
}

interface Calling {
  readonly method: string;
  readonly args: Arguments;
  readonly options: CallOptions;
  readonly handle?: PendingCallSetting['handle'];
  /** Of a call with a handle. */
  readonly cancelling?: AbortSignalLike;
}

interface Ending {
  readonly deadline: Deadline;
  readonly startMs: number;
  readonly failure: { readonly error: unknown } | undefined;
}

interface Sending {
  readonly context?: Context | undefined;
  readonly deadline?: Deadline;
  readonly reply?: ReplyAddress;
  readonly isAtLeastOnce?: boolean;
}

function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function noTimeLeft(method: string): MessagingError {
  const details = { method, timeoutMs: 0, stage: 'connecting', mayArrive: false };
  return new MessagingError('TIMEOUT', `no time was left to call "${method}"`, { details });
}

function closed(): MessagingError {
  return new MessagingError('CLOSED', 'the client was closed by this program');
}
