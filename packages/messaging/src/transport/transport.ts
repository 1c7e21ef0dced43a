import type { AbortSignalLike } from '../abort.js';
import type { Clock, Logger, Network, Random } from '@torcello/platform';
import type { Capabilities, Delivery, Destination, Driver, OutgoingMessage, Source, Topology } from '../driver.js';
import type { MessagingError } from '../errors.js';
import type { Wire } from '../wire/wire.js';
import type { ReplyDesk } from './reply-desk.js';

export interface TransportOptions {
  /** The URL's scheme picks one of them; none registers itself. */
  readonly drivers: readonly Driver[];
  /** What the program cannot do without; a transport that lacks one of them is refused with CAPABILITY_MISSING. */
  readonly needs?: readonly (keyof Capabilities)[];
  /** Shown by the broker's tools. */
  readonly connectionName?: string;
  /** How bodies are written; each kind is read in any case. Default: as they are. oslo's `kombu_compression`. */
  readonly compression?: 'gzip';
  /** Default 10 s; 0 turns heartbeats off. */
  readonly heartbeatMs?: number;
  /** For dialling and handshake of one host. Default 5 s. */
  readonly connectTimeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly network?: Network;
  readonly logger?: Logger;
  /** Ends the wait for the first connection. */
  readonly signal?: AbortSignal;
}

/** `blocked`: connected, and the broker asks publishers to pause. `closed` is final. */
export type TransportState = 'connecting' | 'connected' | 'blocked' | 'closed';

export interface OperationOptions {
  readonly signal?: AbortSignalLike;
  /** For the whole operation, waiting for a connection included. Default 30 s. */
  readonly timeoutMs?: number;
}

export interface EnsureOptions extends OperationOptions {
  /** Make it again after every reconnect, until it is deleted here. Default true. */
  readonly isRestored?: boolean;
}

export interface PublishOptions extends OperationOptions {
  /**
   * Send again when the connection was lost before the confirm, although the first copy may have arrived: its readers
   * drop doubles by an id in the message. Default false: then such a loss rejects with CONNECTION_LOST.
   */
  readonly resend?: boolean;
}

export interface ConsumeOptions {
  /** Deliveries handed out and not yet settled, at most. */
  readonly credit: number;
  readonly onDelivery: (delivery: Delivery) => void;
}

/** A consumer that outlives connections. */
export interface Subscription {
  /**
   * Settles when no delivery will come any more: undefined after `stop` or the transport's `close`, else why it could
   * not be restored (NOT_FOUND, ACCESS_REFUSED, …). Never rejects.
   */
  readonly ended: Promise<MessagingError | undefined>;
  setCredit(credit: number): void;
  /** No delivery comes after it resolves. Deliveries already handed out stay valid and wait to be settled. */
  stop(): Promise<void>;
}

/**
 * A connection that mends itself: after a loss it connects again with growing, jittered waits, and restores topology,
 * reply name and consumers. Operations wait for it within their own timeouts; every promise rejects with a
 * `MessagingError`, TIMEOUT and ABORTED included, and after `close` with CLOSED.
 */
export interface Transport extends AsyncDisposable {
  /** Those of the latest connection. */
  readonly capabilities: Capabilities;
  /** How messages are written on this kind of transport. */
  readonly wire: Wire;
  readonly state: TransportState;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where answers to this program's calls arrive. */
  readonly replies: ReplyDesk;

  /** Calls `listener` at every change; the answer unsubscribes it. */
  onState(listener: (state: TransportState) => void): () => void;
  /** Resolves when there is a connection and everything remembered is restored. */
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>;

  /** Makes sure that a topology exists, now and after every reconnect. @throws PRECONDITION_FAILED, ACCESS_REFUSED. */
  ensure(topology: Topology, options?: EnsureOptions): Promise<void>;
  /**
   * Hands one message to the broker; resolves with its confirm. A message that certainly did not arrive is sent again
   * on the next connection within the timeout; one that may have arrived only with `resend`.
   * @throws UNROUTABLE, NOT_CONFIRMED, TOO_LARGE, ACCESS_REFUSED, CONNECTION_LOST; TIMEOUT and ABORTED: then
   *   `details.mayArrive` tells whether the message may still arrive.
   */
  publish(to: Destination, message: OutgoingMessage, options?: PublishOptions): Promise<void>;
  /** The oldest message that is there now, or undefined. @throws NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED. */
  get(source: Source, options?: OperationOptions): Promise<Delivery | undefined>;
  /**
   * Delivers messages of the source, now and after every reconnect, also when the broker ended the consumer.
   * @throws NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED when the first try fails with one of them.
   */
  consume(source: Source, options: ConsumeOptions & OperationOptions): Promise<Subscription>;
  /** Messages that wait and consumers that read, as far as the broker tells. @throws NOT_FOUND. */
  inspect(
    source: Source,
    options?: OperationOptions,
  ): Promise<{ readonly messages: number; readonly consumers: number }>;
  /** Deletes a queue with what is in it, and forgets its topology. Fine when it is not there. */
  delete(source: Source, options?: OperationOptions): Promise<void>;

  /** Ends every subscription, flushes what was handed over, disconnects. Whatever waits rejects with CLOSED. */
  close(): Promise<void>;
}
