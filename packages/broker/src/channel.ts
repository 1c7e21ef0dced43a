import { ContentAssembler, methodSpec, ProtocolError } from '@torcello/amqp091';
import type {
  BodyFrame,
  Command,
  ContentCommand,
  HeaderFrame,
  Method,
  MethodFrame,
  OutgoingMethod,
} from '@torcello/amqp091';
import type { Timer } from '@torcello/platform';
import { AmqpError, shortText } from './amqp-error.js';
import type { ChannelAbout } from './connection-about.js';
import type { ChannelConsumer, ConsumerChannel } from './channel-consumer.js';
import { channelHandlers } from './channel-handlers.js';
import type { ChannelConnection, ChannelScope, MethodPlace } from './channel-scope.js';
import { forgetTransaction } from './channel-transactions.js';
import { Confirms } from './confirms.js';
import { deliveryProperties } from './delivery-properties.js';
import { DurableAnswers } from './durable-answers.js';
import { handToQueues, routePublish } from './publishing.js';
import type { Message } from './queue/message.js';
import type { QueueEntry } from './queue/ready-list.js';
import type { Transaction } from './transaction.js';
import { Unsettled } from './unsettled.js';
import type { UnsettledDelivery } from './unsettled.js';

export type ChannelFrame = MethodFrame | HeaderFrame | BodyFrame;

const noMethod: MethodPlace = { classId: 0, methodId: 0 };

/**
 * One channel of a connection: its frames become commands, its errors close it and nothing else, its deliveries wait
 * here for their settlement. While an answer waits for the disk, the frames behind it wait too, but for declarations.
 */
export class Channel implements ConsumerChannel, ChannelScope {
  readonly number: number;
  readonly connection: ChannelConnection;
  readonly unsettled: Unsettled = new Unsettled();
  readonly consumers: Map<string, ChannelConsumer> = new Map();
  lastQueue = '';
  /** What the next `basic.consume` may have unsettled; 0 for the broker's own limit. */
  prefetch = 0;
  /** What all consumers together may have unsettled; 0 for no such limit. */
  prefetchTotal = 0;
  /** Deliveries of all consumers that are not settled for good: a transaction keeps them until its commit. */
  outstanding = 0;
  confirms: Confirms | undefined;
  /** Set by `tx.select`. */
  transaction: Transaction | undefined;
  /** Where direct replies to this channel go, and the consumer's tag. */
  directReply: { readonly name: string; readonly tag: string } | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #isFailing = false;
  #isSettling = false;
  #turn = 0;
  #timeoutCheck: Timer | undefined;
  readonly #backlog: ChannelFrame[] = [];
  readonly #answers: DurableAnswers;
  readonly #assembler: ContentAssembler;

  constructor(number: number, connection: ChannelConnection) {
    this.number = number;
    this.connection = connection;
    this.#answers = new DurableAnswers(connection.core.log);
    const { messageSizeBytesMax } = connection.core.limits;
    this.#assembler = new ContentAssembler({ messageSizeBytesMax, keepTypes: true });
  }

  /** For people. */
  get about(): ChannelAbout {
    return {
      number: this.number,
      consumers: Array.from(this.consumers.values(), ({ about }) => about),
      unsettled: this.unsettled.size,
      unconfirmed: this.confirms?.waiting ?? 0,
      prefetch: this.prefetch,
      prefetchTotal: this.prefetchTotal,
      isConfirming: this.confirms !== undefined,
      isTransactional: this.transaction !== undefined,
    };
  }

  get hasRoom(): boolean {
    const isFull = this.prefetchTotal > 0 && (this.#isSettling || this.outstanding >= this.prefetchTotal);
    return this.#state === 'open' && !isFull && this.connection.hasRoom;
  }

  /**
   * Settles something. Where all consumers share one limit the room that comes free belongs to none of them: each time
   * another one is the first to be served.
   */
  settling<T>(settle: () => T): T {
    if (this.prefetchTotal === 0) return settle();
    this.#isSettling = true;
    try {
      return settle();
    } finally {
      this.#isSettling = false;
      this.serveConsumers();
    }
  }

  /** Hands out what waits for the channel's consumers, as far as there is room. */
  serveConsumers(): void {
    const consumers = [...this.consumers.values()];
    const first = this.#turn++ % Math.max(1, consumers.length);
    for (const { queue } of [...consumers.slice(first), ...consumers.slice(0, first)]) queue.dispatch();
  }

  /** Handles the channel's next frame, or keeps it while an answer waits for the disk. */
  receive(frame: ChannelFrame): void {
    if (this.#backlog.length === 0 && this.#mayHandle(frame)) return this.#handle(frame);
    this.#backlog.push(frame);
    if (this.#backlog.length >= this.connection.core.limits.channelBacklogFramesMax) this.connection.backlogIsFull();
  }

  /** Declarations that come one behind the other go into one commit; everything else waits for those before it. */
  #mayHandle(frame: ChannelFrame): boolean {
    if (this.#answers.length === 0) return true;
    if (this.#isFailing || frame.type !== 'method') return false;
    const { name } = frame.method;
    const isDeclaration = name.startsWith('queue.') || name.startsWith('exchange.');
    return isDeclaration && this.#answers.length < this.connection.core.limits.channelBacklogFramesMax;
  }

  /** Behind the answers that wait for the disk. */
  send(method: OutgoingMethod): void {
    if (this.#state !== 'open') return;
    if (this.#answers.length === 0) this.connection.send(this.number, method);
    else this.#answers.afterOthers(() => this.#say(method));
  }

  #say(method: OutgoingMethod): void {
    if (this.#state === 'open') this.connection.send(this.number, method);
  }

  sendDurably(method: OutgoingMethod): void {
    const { log } = this.connection.core;
    if (log.isSettled) return this.send(method);
    this.#answers.whenDurable(
      () => this.#say(method),
      () => this.#resume(),
    );
  }

  deliver(consumer: ChannelConsumer, entry: QueueEntry): void {
    const { queue, isSettledAtOnce } = consumer;
    const returns = entry.returns === 0 ? undefined : queue.deliveryCount(entry);
    const deliveryTag = isSettledAtOnce ? this.unsettled.nextTag() : this.expectSettlement({ queue, entry, consumer });
    const { counters } = this.connection.core;
    if (isSettledAtOnce) counters.deliveredSettled++;
    else counters.delivered++;
    if (entry.isRedelivered) counters.redelivered++;
    this.#deliver(consumer.tag, { deliveryTag, redelivered: entry.isRedelivered }, entry.message, returns);
  }

  /** Gives the tag of a delivery that waits for its settlement, but not for ever. */
  expectSettlement(delivery: Omit<UnsettledDelivery, 'tag' | 'atMs'>): number {
    const { clock, limits } = this.connection.core;
    this.#timeoutCheck ??= clock.after(limits.consumerTimeoutCheckMs, () => this.#checkTimeouts());
    return this.unsettled.add({ ...delivery, atMs: clock.monotonicMs() });
  }

  /** Ends a channel whose reader has forgotten a delivery: RabbitMQ's consumer timeout. */
  #checkTimeouts(): void {
    this.#timeoutCheck = undefined;
    const { clock, limits } = this.connection.core;
    const nowMs = clock.monotonicMs();
    for (const { tag, atMs, queue } of this.unsettled.all()) {
      const mostMs = queue.options.consumerTimeoutMs ?? limits.consumerTimeoutMs;
      if (nowMs - atMs < mostMs) continue;
      const text = `delivery ${tag} on channel ${this.number} was not acknowledged within ${mostMs} ms`;
      return this.#fail(new AmqpError('PRECONDITION_FAILED', text), noMethod);
    }
    if (this.unsettled.size === 0) return;
    this.#timeoutCheck = clock.after(limits.consumerTimeoutCheckMs, () => this.#checkTimeouts());
  }

  /** A direct reply, settled as it arrives. */
  deliverReply(tag: string, message: Message): void {
    this.#deliver(tag, { deliveryTag: this.unsettled.nextTag(), redelivered: false }, message, undefined);
  }

  /** Told behind the answer to who deleted the queue, as on RabbitMQ, and so when the end is durable. */
  consumerEnded(consumer: ChannelConsumer): void {
    this.consumers.delete(consumer.tag);
    if (!this.connection.capabilities.consumerCancelNotify) return;
    const { log } = this.connection.core;
    const { tag: consumerTag } = consumer;
    const tell = (): void => queueMicrotask(() => this.send({ name: 'basic.cancel', consumerTag, noWait: true }));
    if (log.isSettled) tell();
    else log.whenDurable(log.ticketOfLast, tell);
  }

  /** Tells the publishes whose outcome is known by now. */
  tellConfirms(): void {
    if (this.#state !== 'open' || this.confirms === undefined) return;
    const { waiting } = this.confirms;
    this.confirms.drain(this.connection.core.log, (deliveryTag, multiple, isRefused) => {
      if (isRefused) this.#say({ name: 'basic.nack', deliveryTag, multiple, requeue: false });
      else this.#say({ name: 'basic.ack', deliveryTag, multiple });
    });
    this.connection.core.counters.confirmed += waiting - this.confirms.waiting;
  }

  /** The client closes the channel. */
  close(): void {
    this.connection.send(this.number, { name: 'channel.close-ok' });
    this.release();
    this.connection.channelEnded(this.number);
  }

  /** Ends the channel without a word: consumers go, deliveries return to their queues. */
  release(): void {
    this.#state = 'closed';
    this.#backlog.length = 0;
    this.#letGo();
  }

  #letGo(): void {
    this.#timeoutCheck?.cancel();
    this.#timeoutCheck = undefined;
    if (this.directReply !== undefined) this.connection.core.directReplies.close(this.directReply.name);
    this.directReply = undefined;
    const consumers = [...this.consumers.values()];
    this.consumers.clear();
    forgetTransaction(this);
    this.unsettled.requeueAll();
    for (const consumer of consumers) consumer.queue.removeConsumer(consumer);
  }

  #resume(): void {
    for (let [frame] = this.#backlog; frame !== undefined; [frame] = this.#backlog) {
      if (!this.#mayHandle(frame)) return;
      this.#backlog.shift();
      this.#handle(frame);
    }
    this.connection.resumed();
  }

  #handle(frame: ChannelFrame): void {
    if (this.#state === 'closing') return this.#handleClosing(frame);
    if (this.#state === 'closed') return;
    let place = noMethod;
    try {
      const command = this.#assembler.push(frame);
      if (command === undefined) return;
      place = methodSpec(command.method.name);
      this.#run(command);
    } catch (error) {
      this.#fail(error, place);
    }
  }

  /** After a channel error everything is ignored until the client agrees (§2.2.4). */
  #handleClosing(frame: ChannelFrame): void {
    if (frame.type !== 'method') return;
    if (frame.method.name === 'channel.close') this.connection.send(this.number, { name: 'channel.close-ok' });
    if (frame.method.name !== 'channel.close-ok') return;
    this.#state = 'closed';
    this.connection.channelEnded(this.number);
  }

  #run(command: Command): void {
    if (command.properties !== undefined) return this.#publish(command);
    const handle = channelHandlers[command.method.name] as ((channel: Channel, method: Method) => void) | undefined;
    if (handle === undefined) {
      throw new AmqpError('COMMAND_INVALID', `${command.method.name} is not for a broker to receive`);
    }
    handle(this, command.method);
  }

  #publish(command: ContentCommand): void {
    const { method } = command;
    if (method.name !== 'basic.publish') {
      throw new AmqpError('COMMAND_INVALID', `${method.name} is not for a broker to receive`);
    }
    const routed = routePublish(this.connection, command, this.directReply?.name);
    this.connection.core.counters.published++;
    if (this.transaction !== undefined) return this.transaction.holdPublish(routed);
    const outcome = handToQueues(this.connection, routed, this.confirms === undefined ? 'keep' : 'withdraw');
    if (outcome.isUnrouted) this.#unrouted(outcome.message, method.mandatory);
    if (this.confirms !== undefined) this.#confirm(outcome.ticket, outcome.isRefused);
  }

  #unrouted(message: Message, isMandatory: boolean): void {
    if (isMandatory) this.returnMessage(message);
    else this.connection.core.counters.dropped++;
  }

  #confirm(ticket: number, isRefused: boolean): void {
    const isNew = this.confirms?.add(ticket, isRefused) === true;
    if (!isNew && ticket > 0) return;
    const { log } = this.connection.core;
    if (ticket === 0) this.connection.confirmsWait(this);
    else log.whenDecided(ticket, () => this.connection.confirmsWait(this));
  }

  /** Nobody gets this message: back to its sender. */
  returnMessage(message: Message): void {
    this.connection.core.counters.returned++;
    const { exchange, routingKey } = message;
    this.connection.sendContent(
      this.number,
      { name: 'basic.return', replyCode: 312, replyText: 'NO_ROUTE', exchange, routingKey },
      { properties: message.propertyBytes, body: message.body },
    );
  }

  #deliver(
    consumerTag: string,
    how: { readonly deliveryTag: number; readonly redelivered: boolean },
    message: Message,
    returns: number | undefined,
  ): void {
    const { exchange, routingKey } = message;
    this.connection.sendContent(
      this.number,
      { name: 'basic.deliver', consumerTag, ...how, exchange, routingKey },
      { properties: deliveryProperties(message, returns), body: message.body },
    );
  }

  #fail(error: unknown, place: MethodPlace): void {
    const refusal = asRefusal(error);
    if (refusal === undefined) throw error;
    if (this.#answers.length === 0) return this.#refuse(refusal, place);
    this.#isFailing = true;
    this.#answers.afterOthers(() => this.#refuse(refusal, place));
  }

  #refuse(refusal: AmqpError, place: MethodPlace): void {
    if (this.#state !== 'open') return;
    if (refusal.radius === 'connection') return this.connection.fail(refusal, place);
    this.tellConfirms();
    this.#state = 'closing';
    const { replyCode } = refusal;
    const close = {
      replyCode,
      replyText: shortText(refusal.replyText),
      classId: place.classId,
      methodId: place.methodId,
    };
    this.connection.send(this.number, { name: 'channel.close', ...close });
    this.#letGo();
  }
}

/** The only content that is refused with 406 is one over this limit. */
const tooLargeCure = ': limit messageSizeBytesMax, raised at start by --limit messageSizeBytesMax=NUMBER';

function asRefusal(error: unknown): AmqpError | undefined {
  if (error instanceof AmqpError) return error;
  if (!(error instanceof ProtocolError)) return undefined;
  const text = error.message.slice(error.replyName.length + ' - '.length);
  const cure = error.replyName === 'PRECONDITION_FAILED' ? tooLargeCure : '';
  return new AmqpError(error.replyName, text + cure, error.radius);
}
