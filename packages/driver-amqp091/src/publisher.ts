import type { Command, ContentCommand, MethodNamed } from '@torcello/amqp091';
import {
  MessagingError,
  type AbortSignalLike,
  type Destination,
  type ErrorCode,
  type OutgoingMessage,
} from '@torcello/messaging';
import type { AmqpConnection } from './amqp-connection.js';
import { closedByUs, lossOf, notEncodable } from './broker-errors.js';
import type { Channel } from './channel.js';
import { ConfirmRing } from './confirm-ring.js';
import { Fifo } from './fifo.js';
import { driverLimits } from './limits.js';
import { PendingPublish } from './pending-publish.js';

/**
 * Publishes with confirms on a channel of its own. When the broker closes that channel because of one message, it does
 * not say which: a new channel is opened at once and those that may have done it are sent again one by one, until the one
 * that the broker refuses has shown itself. The others arrive at least once and nobody hears of it.
 */
export class Publisher {
  readonly #connection: AmqpConnection;
  readonly #waiting = new Fifo<PendingPublish>();
  /** Unconfirmed on a channel that was closed; sent again before anything new. */
  readonly #again = new Fifo<PendingPublish>();
  #unconfirmed = new ConfirmRing<PendingPublish>();
  #channel: Channel | undefined;
  #isOpening = false;
  /** So many of `#again` may have made the broker close the channel; each is sent alone. */
  #suspects = 0;
  #returnedUpTo = 0;
  #end: MessagingError | undefined;
  #idleListeners: (() => void)[] = [];

  constructor(connection: AmqpConnection) {
    this.#connection = connection;
    connection.onRoom(() => this.#pump());
    void connection.closed.then((reason) => this.#finish(reason ?? closedByUs()));
    this.#open();
  }

  /** @throws as `DriverConnection.publish`. */
  publish(destination: Destination, message: OutgoingMessage, signal: AbortSignalLike | undefined): Promise<void> {
    const publish = new PendingPublish(destination, message, signal);
    if (this.#end !== undefined) publish.reject(lossOf(this.#end, false));
    else if (this.#canSend() && this.#waiting.length === 0 && this.#again.length === 0) this.#send(publish);
    else this.#waiting.push(publish);
    return publish.settled;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idleListeners.push(resolve));
  }

  #isIdle(): boolean {
    return this.#end !== undefined || this.#waiting.length + this.#again.length + this.#unconfirmed.span === 0;
  }

  #canSend(): boolean {
    if (this.#channel === undefined || !this.#connection.hasRoom) return false;
    return this.#unconfirmed.span < (this.#suspects > 0 ? 1 : driverLimits.unconfirmedMax);
  }

  #pump(): void {
    while (this.#canSend()) {
      const next = this.#again.shift() ?? this.#waiting.shift();
      if (next === undefined) break;
      if (this.#suspects > 0) this.#suspects -= 1;
      if (!next.isDone) this.#send(next);
    }
    if (this.#idleListeners.length > 0 && this.#isIdle()) this.#tellIdle();
  }

  #send(publish: PendingPublish): void {
    if (publish.isDone || this.#channel === undefined) return;
    const { exchange, routingKey } = publish.destination;
    const method = { name: 'basic.publish', exchange, routingKey, mandatory: publish.isMandatory } as const;
    try {
      this.#channel.sendContent(method, publish);
    } catch (error) {
      return publish.reject(notEncodable(error));
    }
    publish.isSent = true;
    this.#unconfirmed.add(publish);
  }

  #open(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    void this.#openChannel().then(
      (channel) => {
        this.#isOpening = false;
        this.#use(channel);
      },
      (error: unknown) => {
        this.#isOpening = false;
        this.#connection.lose(asLoss(error));
      },
    );
  }

  async #openChannel(): Promise<Channel> {
    const channel = await this.#connection.openChannel();
    await channel.request({ name: 'confirm.select' }, 'confirm.select-ok');
    return channel;
  }

  #use(channel: Channel): void {
    this.#unconfirmed = new ConfirmRing();
    this.#returnedUpTo = 0;
    this.#channel = channel;
    channel.listen({
      onCommand: (command) => this.#onCommand(command),
      onEnd: (reason) => this.#onChannelEnd(reason),
    });
    this.#pump();
  }

  #onCommand(command: Command): void {
    const { method } = command;
    if (method.name === 'basic.ack') this.#onConfirm(method, (publish) => publish.resolve());
    else if (method.name === 'basic.nack') this.#onConfirm(method, (publish) => publish.reject(notConfirmed(publish)));
    else if (method.name === 'basic.return') this.#onReturn(command as ContentCommand, method);
  }

  #onConfirm(
    method: MethodNamed<'basic.ack'> | MethodNamed<'basic.nack'>,
    settle: (publish: PendingPublish) => void,
  ): void {
    if (method.multiple) this.#unconfirmed.takeUpTo(method.deliveryTag, settle);
    else {
      const publish = this.#unconfirmed.take(method.deliveryTag);
      if (publish !== undefined) settle(publish);
    }
    this.#pump();
  }

  /** A return comes before the confirm of its message, and returns come in the order of the publishes. */
  #onReturn(command: ContentCommand, method: MethodNamed<'basic.return'>): void {
    const isIt = (publish: PendingPublish): boolean => publish.matches(command);
    const found = this.#unconfirmed.find(this.#returnedUpTo + 1, isIt);
    if (found === undefined) return;
    this.#returnedUpTo = found.sequence;
    found.item.reject(unroutable(found.item.destination, method));
  }

  #onChannelEnd(reason: MessagingError): void {
    this.#channel = undefined;
    if (this.#end !== undefined || !this.#connection.isOpen) return;
    const unconfirmed: PendingPublish[] = [];
    this.#unconfirmed.takeUpTo(0, (publish) => unconfirmed.push(publish));
    const suspects = suspectsOf(unconfirmed, reason);
    const [only] = suspects;
    if (suspects.length === 1 && only !== undefined) this.#convict(only, unconfirmed, reason);
    else this.#sendAgain(suspects, unconfirmed);
    this.#open();
  }

  /** The suspects go first and alone, until one is found out; everybody else keeps the old order. */
  #sendAgain(suspects: readonly PendingPublish[], unconfirmed: readonly PendingPublish[]): void {
    const later = this.#again.drain();
    const suspected = new Set(suspects);
    const innocent = unconfirmed.filter((publish) => !suspected.has(publish));
    const open = suspects.filter(({ isDone }) => !isDone);
    this.#suspects = open.length;
    for (const publish of [...open, ...innocent, ...later]) if (!publish.isDone) this.#again.push(publish);
  }

  /**
   * This one made the broker close the channel. Those that ask for the same impossible thing need not try it, and what
   * was sent behind it never got a hearing.
   */
  #convict(culprit: PendingPublish, unconfirmed: readonly PendingPublish[], reason: MessagingError): void {
    const isAlike = alikeTest(culprit.destination, reason);
    const others = [...unconfirmed, ...this.#again.drain()];
    this.#suspects = 0;
    culprit.reject(refused(culprit, reason));
    for (const publish of others) {
      if (publish.isDone) continue;
      if (isAlike(publish.destination)) publish.reject(refused(publish, reason));
      else this.#again.push(publish);
    }
  }

  #finish(reason: MessagingError): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#unconfirmed.takeUpTo(0, (publish) => publish.reject(lossOf(reason, true)));
    for (const publish of this.#again.drain()) publish.reject(lossOf(reason, true));
    for (const publish of this.#waiting.drain()) publish.reject(lossOf(reason, false));
    this.#tellIdle();
  }

  #tellIdle(): void {
    const listeners = this.#idleListeners;
    this.#idleListeners = [];
    for (const listener of listeners) listener();
  }
}

/** Who may have done it: the default exchange is never missing. */
function suspectsOf(unconfirmed: readonly PendingPublish[], reason: MessagingError): readonly PendingPublish[] {
  if (reason.code !== 'NOT_FOUND') return unconfirmed;
  const named = unconfirmed.filter(({ destination }) => destination.exchange !== '');
  return named.length === 0 ? unconfirmed : named;
}

/** Which other destinations fail for the same reason: a missing exchange takes nothing, a refusal counts for its key. */
function alikeTest(culprit: Destination, reason: MessagingError): (other: Destination) => boolean {
  if (reason.code === 'NOT_FOUND') return ({ exchange }) => exchange === culprit.exchange;
  if (reason.code !== 'ACCESS_REFUSED') return () => false;
  return ({ exchange, routingKey }) => exchange === culprit.exchange && routingKey === culprit.routingKey;
}

function refused({ destination }: PendingPublish, reason: MessagingError): MessagingError {
  const code: ErrorCode = reason.code === 'NOT_FOUND' ? 'UNROUTABLE' : reason.code;
  const details = { ...reason.details, ...destination, mayArrive: false };
  return new MessagingError(code, reason.message, { cause: reason, details });
}

function unroutable(destination: Destination, method: MethodNamed<'basic.return'>): MessagingError {
  const { exchange, routingKey } = destination;
  const where = exchange === '' ? `queue "${routingKey}"` : `exchange "${exchange}" with key "${routingKey}"`;
  const details = { ...destination, replyCode: method.replyCode, replyText: method.replyText, mayArrive: false };
  return new MessagingError('UNROUTABLE', `no queue takes messages for ${where}`, { details });
}

function notConfirmed({ destination }: PendingPublish): MessagingError {
  const details = { ...destination, mayArrive: true };
  return new MessagingError('NOT_CONFIRMED', 'the broker refused responsibility for the message', { details });
}

function asLoss(error: unknown): MessagingError {
  if (error instanceof MessagingError) return error;
  return new MessagingError('CONNECTION_LOST', 'the publishing channel cannot be opened', { cause: error });
}
