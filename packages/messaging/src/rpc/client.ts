import { hexId } from '@torcello/platform';
import type { OutgoingMessage } from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import { Deadline } from '../transport/deadline.js';
import { ownController } from '../transport/own-signal.js';
import type { Transport } from '../transport/transport.js';
import { PendingCall } from './pending-call.js';
import { remainingHeader, type ReplyAddress } from './request.js';
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
  readonly signal?: AbortSignal;
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
  return new Client(transport, { target, options, closing: ownController() });
}

interface ClientSetting {
  readonly target: Target;
  readonly options: RpcClientOptions;
  /** Shared with every client prepared from this one. */
  readonly closing: AbortController;
}

class Client implements RpcClient {
  readonly #transport: Transport;
  readonly #setting: ClientSetting;

  constructor(transport: Transport, setting: ClientSetting) {
    this.#transport = transport;
    this.#setting = setting;
  }

  async call<T>(method: string, args: Arguments = {}, options: CallOptions = {}): Promise<T> {
    const { target, options: defaults } = this.#setting;
    if (target.fanout === true) throw new MessagingError('INVALID_TARGET', 'a call cannot go to every server');
    this.#check();
    const ending = this.#ending(options.signal);
    using deadline = new Deadline(
      this.#transport.clock,
      options.timeoutMs ?? defaults.timeoutMs ?? limits.callTimeoutMs,
      ending,
    );
    const pending = new PendingCall(this.#transport, { method, deadline, options: defaults });
    try {
      const result = await pending.run(
        (reply) => this.#message(method, args, { ...options, reply, deadline }),
        requestDestination(target),
      );
      return result as T;
    } catch (error) {
      const isClosed = this.#setting.closing.signal.aborted && options.signal?.aborted !== true;
      throw isClosed && isMessagingError(error, 'ABORTED') ? closed() : error;
    }
  }

  async cast(method: string, args: Arguments = {}, options: CastOptions = {}): Promise<void> {
    const { target, options: defaults } = this.#setting;
    this.#check();
    const isAtLeastOnce = (options.atLeastOnce ?? defaults.atLeastOnce ?? false) && target.fanout !== true;
    const message = this.#message(method, args, { ...options, isAtLeastOnce });
    const signal = this.#ending(options.signal);
    const timeoutMs = options.timeoutMs ?? limits.operationTimeoutMs;
    try {
      // Servers drop a repeat by its unique id, so a cast survives a reconnect.
      await this.#transport.publish(requestDestination(target), message, { signal, timeoutMs, resend: true });
    } catch (error) {
      // Nobody there, not even an exchange: fine for a cast, as for oslo.messaging.
      if (!isMessagingError(error, 'UNROUTABLE') || isAtLeastOnce) throw error;
    }
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
    if (closing.signal.aborted) throw closed();
    if (this.canSendVersion(target.version)) return;
    const details = { version: target.version, versionCap: options.versionCap };
    throw new MessagingError('VERSION_CAPPED', `version ${target.version} is above ${options.versionCap}`, { details });
  }

  #ending(signal: AbortSignal | undefined): AbortSignal {
    const closing = this.#setting.closing.signal;
    return signal === undefined ? closing : AbortSignal.any([closing, signal]);
  }

  #message(method: string, args: Arguments, sending: Sending): OutgoingMessage {
    const { target, options } = this.#setting;
    const { deadline, reply, isAtLeastOnce } = sending;
    const wired = this.#transport.wire.request({
      method,
      args,
      namespace: target.namespace,
      version: target.version,
      context: { ...options.context, ...sending.context },
      uniqueId: hexId(this.#transport.random),
      reply,
    });
    if (deadline === undefined) return { ...wired, ifNobody: isAtLeastOnce === true ? 'fail' : 'drop' };
    if (deadline.remainingMs === Infinity) return { ...wired, ifNobody: 'fail' };
    const remainingMs = Math.trunc(deadline.remainingMs);
    const headers = { ...wired.headers, [remainingHeader]: remainingMs };
    return { ...wired, headers, expiresMs: remainingMs, ifNobody: 'fail' };
  }
}

interface Sending {
  readonly context?: Readonly<Record<string, unknown>>;
  readonly deadline?: Deadline;
  readonly reply?: ReplyAddress;
  readonly isAtLeastOnce?: boolean;
}

function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function closed(): MessagingError {
  return new MessagingError('CLOSED', 'the client was closed by this program');
}
