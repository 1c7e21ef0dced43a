import type { OutgoingContentMethod, OutgoingMethod } from '@torcello/amqp091';
import type { Rights } from './access/rights.js';
import { AmqpError } from './amqp-error.js';
import type { BrokerCore } from './broker-core.js';
import type { Queue } from './queue/queue.js';
import type { Vhost } from './vhost.js';

/** What a client said it understands, in the capabilities of its `connection.start-ok`. */
export interface ClientCapabilities {
  readonly consumerCancelNotify: boolean;
  readonly connectionBlocked: boolean;
  readonly authenticationFailureClose: boolean;
}

/** A message as it goes out. */
export interface OutgoingMessageBytes {
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

/** What a channel needs of its connection. */
export interface ChannelConnection {
  readonly core: BrokerCore;
  readonly vhost: Vhost;
  readonly rights: Rights;
  readonly capabilities: ClientCapabilities;
  /** Whether the socket can take more deliveries. */
  readonly hasRoom: boolean;
  send(channel: number, method: OutgoingMethod): void;
  sendContent(channel: number, method: OutgoingContentMethod, content: OutgoingMessageBytes): void;
  /** The channel has confirms to tell when this turn of the event loop ends. */
  confirmsWait(channel: { tellConfirms(): void }): void;
  /** The channel handles no frames until `resumed`. */
  backlogIsFull(): void;
  resumed(): void;
  /** Ends the connection with this error, which the method with these numbers caused. */
  fail(error: AmqpError, at: MethodPlace): void;
  /** The channel is over; its number is free again. */
  channelEnded(channel: number): void;
}

/** The two numbers of a method, zero when there was none. */
export interface MethodPlace {
  readonly classId: number;
  readonly methodId: number;
}

/** What the handlers of a channel's methods work with. */
export interface ChannelScope {
  readonly connection: ChannelConnection;
  /** The queue that an empty name means: the last one declared on the channel. */
  lastQueue: string;
  send(method: OutgoingMethod): void;
  /**
   * Sends once everything that the broker has promised so far is durable; until then the channel's next frames wait, but
   * for declarations, which share its sync.
   */
  sendDurably(method: OutgoingMethod): void;
}

/** The queue of a method, found by name; an empty name means the last one declared. */
export function queueNamed(scope: ChannelScope, name: string): Queue {
  const { vhost } = scope.connection;
  return vhost.queue(nameOrLast(scope, name), scope.connection);
}

export function nameOrLast(scope: ChannelScope, name: string): string {
  if (name !== '') return name;
  if (scope.lastQueue === '') throw new AmqpError('NOT_FOUND', 'no previously declared queue');
  return scope.lastQueue;
}
