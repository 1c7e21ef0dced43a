import type { Clock, Logger, Network, Random } from '@torcello/platform';
import type { AbortSignalLike } from './abort.js';
import type { MessagingError } from './errors.js';
import type { TransportUrl } from './transport-url.js';

/**
 * A driver connects the library to one kind of broker. It moves bytes and settles deliveries. It does not retry, keep
 * deadlines, match replies to calls, drop duplicates or look into a body: that is written once, in `transport.ts`, in
 * front of every driver. A driver is correct when the conformance suite passes over it.
 *
 * Every promise below rejects with a `MessagingError`; its `radius` tells whether the message, the link or the whole
 * connection is affected. After the connection is lost every pending promise rejects with `CONNECTION_LOST`.
 */
export interface Driver {
  /** URL schemes this driver answers to, without the colon. */
  readonly schemes: readonly string[];

  /**
   * Opens one connection. Tries each host of the URL once, in order; who wants more calls again.
   * @throws CONNECT_FAILED (no host answered), LOGIN_REFUSED, INVALID_URL (an option that the driver does not know).
   */
  connect(url: TransportUrl, options: ConnectOptions): Promise<DriverConnection>;
}

export interface ConnectOptions {
  /** Asked-for interval; the broker may lower it. 0 turns heartbeats off. */
  readonly heartbeatMs: number;
  /** Bounds dialling and handshake of each host. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  /** Shown by the broker's tools, to tell connections apart. */
  readonly connectionName?: string;
  readonly signal?: AbortSignal;
}

export interface DriverConnection {
  /** What this broker can do, known after connecting. Frozen. The only way to be excused from a conformance test. */
  readonly capabilities: Capabilities;

  /** How oslo.messaging writes requests, answers and notifications on this kind of transport. Default `rabbit`. */
  readonly wire?: 'rabbit' | 'amqp1';

  /** Settles once, when the connection is over: undefined after `close`, else the reason. Never rejects. */
  readonly closed: Promise<MessagingError | undefined>;

  /** The broker asks publishers to pause (or lets them go on). Publishes made meanwhile wait. */
  readonly isBlocked: boolean;
  onBlocked(listener: (isBlocked: boolean) => void): void;

  /**
   * Makes sure that a topology exists. Idempotent. The owner's business: readers and senders never call it, they may
   * not have the right to.
   * @throws PRECONDITION_FAILED (link) when it exists with other properties; `details` names both sides.
   */
  ensure(topology: Topology, signal?: AbortSignalLike): Promise<void>;

  /**
   * Hands one message to the broker. Resolves when the broker has taken responsibility for it; what that is worth says
   * `capabilities.durableConfirm`. Resolution order need not be call order.
   * @throws UNROUTABLE (message) when no queue took it and `ifNobody` is `fail`, or when the exchange does not exist;
   *   NOT_CONFIRMED (message) when the broker refused it; TOO_LARGE; ACCESS_REFUSED; ABORTED and CONNECTION_LOST: then
   *   `details.mayArrive` tells whether the message may still arrive.
   */
  publish(destination: Destination, message: OutgoingMessage, signal?: AbortSignalLike): Promise<void>;

  /** The oldest message that is there now, or undefined. @throws NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED (link). */
  get(source: Source): Promise<Delivery | undefined>;

  /**
   * Delivers messages of the source to `onDelivery`, at most `credit` unsettled at a time, in the queue's order.
   * A throw from `onDelivery` is a programmer's mistake and ends the connection.
   * @throws NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED (link).
   */
  consume(source: Source, credit: number, onDelivery: (delivery: Delivery) => void): Promise<Consumer>;

  /**
   * A place for answers that only this program reads. The same name on a later connection finds the answers that came
   * in between, for `keepMs`. Deliveries arrive settled: an answer is handled once or not at all. When the broker takes
   * the place away, the connection ends with CONNECTION_LOST, and the next one opens it again.
   */
  openReplies(name: string, keepMs: number, onDelivery: (message: IncomingMessage) => void): Promise<Destination>;

  /** Number of messages that wait and of consumers that read, as far as the broker tells. @throws NOT_FOUND (link). */
  inspect(source: Source): Promise<{ readonly messages: number; readonly consumers: number }>;

  /** Deletes the queue of a source with what is in it; fine when it is not there. Needs `capabilities.administers`. */
  delete(source: Source): Promise<void>;

  /** Takes nothing new, flushes what was handed over, gives unsettled deliveries back, disconnects. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * One message handed to one consumer, once. Exactly one of the three settles it. Settling twice, or after the
 * connection is gone, does nothing and returns false: the broker will deliver the message again to somebody.
 */
export interface Delivery {
  readonly message: IncomingMessage;
  /** Where it was published to. */
  readonly destination: Destination;
  /** Somebody may have seen this message before. */
  readonly redelivered: boolean;
  /** How often it was delivered before this time, where the broker counts; see `capabilities.deliveryCount`. */
  readonly earlierDeliveries: number | undefined;

  /** Done with it: the broker forgets it. */
  accept(): boolean;
  /** Give it back, for this or another consumer, as near its old place as the broker can. */
  release(): boolean;
  /** It can never be handled: the broker dead-letters it, or drops it where no dead-letter address is set. */
  reject(): boolean;
}

export interface Consumer {
  /** Settles when deliveries end: undefined after `stop`, else why (CONSUMER_ENDED, CONNECTION_LOST). Never rejects. */
  readonly ended: Promise<MessagingError | undefined>;
  /** Changes how many deliveries may be unsettled, from the next delivery on. At least 1. */
  setCredit(credit: number): void;
  /** No delivery comes after it resolves. Deliveries already handed out stay valid and wait to be settled. */
  stop(): Promise<void>;
}

export interface Capabilities {
  /** A confirm on a durable, persistent message means that it survives kill -9 and power loss of the broker. */
  readonly durableConfirm: boolean;
  /** The sender learns that no queue took a message. */
  readonly returns: boolean;
  /** A queue can exist, and keep messages, before anybody ever read from it. */
  readonly mailboxes: boolean;
  /** Topology can be made and deleted over this connection. */
  readonly administers: boolean;
  readonly deliveryCount: boolean;
  /** Messages go to every bound fanout queue. */
  readonly fanout: boolean;
  /** 0 where the transport has no priorities. */
  readonly priorityMax: number;
  /** What was released, or left unsettled by a reader that went away, is delivered again; else it is lost. */
  readonly redelivers: boolean;
  /** Queues have limits of length and time, dead-letter addresses and single readers, and messages expire. */
  readonly bounds: boolean;
  /** A destination leads to every queue whose pattern fits its key, and a queue is reached from several. */
  readonly routes: boolean;
  /** Queues can be asked how many messages wait and how many consumers read. */
  readonly inspects: boolean;
  /** Reading from a queue that was never made is NOT_FOUND; else it is made by that. */
  readonly refusesMissing: boolean;
  /** The reply address of a name keeps the answers that come while its owner is away. */
  readonly keepsReplies: boolean;
  readonly messageSizeBytesMax: number;
}

/** Where a message goes: what `publish` needs and no more. The exchange `''` reaches the queue that the key names. */
export interface Destination {
  readonly exchange: string;
  readonly routingKey: string;
  readonly target?: TargetAddress;
}
/** Where messages come from. */
export interface Source {
  readonly queue: string;
  readonly target?: TargetAddress;
}

/**
 * The target of oslo.messaging that a destination or queue stands for. Transports that know no exchanges name their
 * nodes by it; all others go by exchange, key and queue.
 */
export interface TargetAddress {
  readonly service: 'rpc' | 'notify';
  readonly exchange: string;
  /** For notifications with the priority behind a dot. */
  readonly topic: string;
  readonly server?: string;
  readonly fanout?: boolean;
}

/**
 * What must exist, by kind; each driver maps a kind and its options to its broker's own shapes.
 *
 * - `shared`: a work queue of many senders and many readers, on an exchange where keys are matched by pattern
 *   (words separated by dots, `*` one word, `#` any number), as oslo's topics and notifications.
 * - `fanout`: one reader's queue on an exchange that copies every message to all of its queues.
 * - `mailbox`: a durable queue of one owner who may not exist yet; nothing but its owner's decision ends it.
 */
export interface Topology {
  readonly kind: 'shared' | 'fanout' | 'mailbox';
  readonly source: Source;
  /** Every destination that shall lead to the source; its exchange is made where it is missing (not for `''`). */
  readonly reachedBy: readonly Destination[];
  readonly options: TopologyOptions;
}

export interface TopologyOptions {
  /** Messages that may wait; more are refused to their sender (NOT_CONFIRMED) or push out the oldest. */
  readonly lengthMax?: number;
  readonly whenFull?: 'refuse' | 'drop-oldest';
  /** A message that waited so long is dropped (or dead-lettered). */
  readonly messageTtlMs?: number;
  /** The queue vanishes when nobody used it for so long. Not for mailboxes. */
  readonly expiresMs?: number;
  readonly priorityMax?: number;
  readonly deadLetter?: Destination;
  /** Only one consumer at a time receives; the next takes over when it goes. */
  readonly singleReader?: boolean;
  /** Queue and its exchange survive a restart of the broker. Default: true for shared and mailbox, false for fanout. */
  readonly durable?: boolean;
  /**
   * Of a mailbox that programs of others declare as well: exactly these arguments of AMQP 0-9-1's queue.declare, and none
   * of the other options. Only drivers of that protocol honour them.
   */
  readonly foreignArguments?: Readonly<Record<string, unknown>>;
}

export interface OutgoingMessage extends IncomingMessage {
  readonly persistent: boolean;
  /** An earlier copy may have arrived: where the transport can say so, its readers see `redelivered`. */
  readonly isRepeat?: boolean;
  /** How the body travels where a transport distinguishes: bytes (default), UTF-8 text, or not at all. */
  readonly bodyAs?: 'bytes' | 'text' | 'nothing';
  /** The broker may drop it when it waited so long. */
  readonly expiresMs?: number;
  /** A fanout to nobody is fine, a call to nobody is not. */
  readonly ifNobody: 'fail' | 'drop';
}
export interface IncomingMessage {
  readonly body: Uint8Array;
  readonly properties: MessageProperties;
  readonly headers: Readonly<Record<string, unknown>>;
}
export interface MessageProperties {
  readonly messageId?: string;
  readonly correlationId?: string;
  readonly replyTo?: string;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly priority?: number;
  readonly type?: string;
  readonly appId?: string;
  /** The login of the sender, verified by the broker where it is set. */
  readonly userId?: string;
  /** Milliseconds since 1970, of one-second resolution on AMQP 0-9-1. */
  readonly timestampMs?: number;
}
