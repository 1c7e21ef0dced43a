import {
  MessagingError,
  type AbortSignalLike,
  type Capabilities,
  type Consumer,
  type Delivery,
  type Destination,
  type DriverConnection,
  type IncomingMessage,
  type OutgoingMessage,
  type Source,
  type Topology,
} from '@torcello/messaging';
import { sleep, type Clock } from '@torcello/platform';
import type { AmqpConnection } from './amqp-connection.js';
import { aborted, closedByUs, connectionLost, lossOf, notEncodable } from './broker-errors.js';
import type { BrokerProfile } from './broker-profile.js';
import { ChannelPool } from './channel-pool.js';
import type { Channel } from './channel.js';
import { AmqpConsumer, type ConsumerSettings } from './consumer.js';
import { Fetcher } from './fetcher.js';
import { driverLimits } from './limits.js';
import { Publisher } from './publisher.js';
import type { TopologySettings } from './settings.js';
import { declarations, replyQueue } from './topology.js';
import { Turns } from './turns.js';

export interface DriverConnectionSettings {
  readonly main: AmqpConnection;
  /** Opens the second connection, to the same host, when the first message is published. */
  readonly dialAgain: (signal: AbortSignal) => Promise<AmqpConnection>;
  readonly profile: BrokerProfile;
  readonly topology: TopologySettings;
  readonly clock: Clock;
}

/**
 * Two AMQP connections as one: publishing has its own, because a broker that runs short stops reading from publishers,
 * and must still be told what was consumed. When either is lost, both are.
 */
export class Amqp091Connection implements DriverConnection {
  readonly capabilities: Capabilities;
  readonly closed: Promise<MessagingError | undefined>;
  readonly #settings: DriverConnectionSettings;
  readonly #main: AmqpConnection;
  readonly #pool: ChannelPool;
  readonly #fetcher: Fetcher;
  readonly #turns = new Turns(driverLimits.operationsMax);
  readonly #dialling = new AbortController();
  readonly #blockedListeners = new Set<(isBlocked: boolean) => void>();
  /** Publishes that began before the second connection stood. */
  readonly #early = new Set<Promise<void>>();
  #publishing: AmqpConnection | undefined;
  #publisher: Promise<Publisher> | undefined;
  #isBlocked = false;
  #isClosing = false;
  #end: MessagingError | undefined;
  #settleClosed: (reason: MessagingError | undefined) => void = () => undefined;
  #openPublisher: Publisher | undefined;

  constructor(settings: DriverConnectionSettings) {
    this.#settings = settings;
    this.#main = settings.main;
    this.#pool = new ChannelPool(settings.main);
    this.#fetcher = new Fetcher(this.#pool);
    this.capabilities = settings.profile.capabilities;
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
    void settings.main.closed.then((reason) => this.#finish(reason));
  }

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  onBlocked(listener: (isBlocked: boolean) => void): void {
    this.#blockedListeners.add(listener);
  }

  async ensure(topology: Topology, signal?: AbortSignalLike): Promise<void> {
    const { exchanges, queue, bindings } = declarations(topology, this.#settings.profile, this.#settings.topology);
    const work = async (channel: Channel): Promise<void> => {
      const answers: Promise<unknown>[] = [];
      for (const exchange of exchanges) answers.push(channel.request(exchange, 'exchange.declare-ok'));
      answers.push(channel.request(queue, 'queue.declare-ok'));
      for (const binding of bindings) answers.push(channel.request(binding, 'queue.bind-ok'));
      await Promise.all(answers);
    };
    await this.#operate(work, { what: { queue, exchanges }, signal });
  }

  publish(destination: Destination, message: OutgoingMessage, signal?: AbortSignalLike): Promise<void> {
    const { messageSizeBytesMax } = this.capabilities;
    if (message.body.byteLength > messageSizeBytesMax) return Promise.reject(tooLarge(message, messageSizeBytesMax));
    if (this.#end !== undefined || this.#isClosing) return Promise.reject(lossOf(this.#end ?? closedByUs(), false));
    if (this.#openPublisher !== undefined) return this.#openPublisher.publish(destination, message, signal);
    const publishing = this.#publishLater(destination, message, signal);
    this.#early.add(publishing);
    const forget = (): void => void this.#early.delete(publishing);
    publishing.then(forget, forget);
    return publishing;
  }

  async get(source: Source): Promise<Delivery | undefined> {
    if (this.#isClosing) throw closedByUs();
    try {
      return await this.#fetcher.get(source.queue);
    } catch (error) {
      throw this.#told(error, { queue: source.queue });
    }
  }

  async consume(source: Source, credit: number, onDelivery: (delivery: Delivery) => void): Promise<Consumer> {
    if (!(credit >= 1)) throw new TypeError('credit is at least 1');
    return this.#consume({ queue: source.queue, credit, onDelivery });
  }

  async openReplies(
    name: string,
    keepMs: number,
    onDelivery: (message: IncomingMessage) => void,
  ): Promise<Destination> {
    const queue = replyQueue(name, keepMs, this.#settings.topology);
    await this.#operate((channel) => channel.request(queue, 'queue.declare-ok'), { what: { queue } });
    const take = (delivery: Delivery): void => {
      onDelivery(delivery.message);
      delivery.accept();
    };
    const consumer = await this.#consume({ queue: name, credit: Infinity, onDelivery: take, acceptsCanWait: true });
    void consumer.ended.then((cause) => {
      if (cause?.code === 'CONSUMER_ENDED') this.#finish(connectionLost('the queue for answers was taken away', cause));
    });
    return { exchange: '', routingKey: name };
  }

  async inspect(source: Source): Promise<{ readonly messages: number; readonly consumers: number }> {
    const { queue } = source;
    const look = { name: 'queue.declare', queue, passive: true } as const;
    const found = await this.#operate((channel) => channel.request(look, 'queue.declare-ok'), { what: { queue } });
    return { messages: found.messageCount, consumers: found.consumerCount };
  }

  async delete(source: Source): Promise<void> {
    const { queue } = source;
    const remove = { name: 'queue.delete', queue } as const;
    await this.#operate((channel) => channel.request(remove, 'queue.delete-ok'), { what: { queue } }).catch(
      (error: unknown) => {
        // RabbitMQ answers the deletion of a missing queue with success, others may not.
        if (!(error instanceof MessagingError) || error.code !== 'NOT_FOUND') throw error;
      },
    );
  }

  async close(): Promise<void> {
    if (!this.#isClosing && this.#end === undefined) {
      this.#isClosing = true;
      await this.#flushPublishes();
      this.#dialling.abort(closedByUs());
      await this.#publisher?.catch(() => undefined);
      await Promise.all([this.#publishing?.close(), this.#main.close()]);
      this.#conclude(undefined);
    }
    await this.closed;
  }

  async #consume(settings: Omit<ConsumerSettings, 'channel'>): Promise<Consumer> {
    const { queue, onDelivery } = settings;
    const channel = await this.#channel();
    try {
      const guarded = (delivery: Delivery): void => this.#guard(() => onDelivery(delivery));
      return await AmqpConsumer.start({ ...settings, channel, onDelivery: guarded });
    } catch (error) {
      void channel.close();
      throw this.#told(error, { queue });
    }
  }

  /** One operation on a channel of its own, when it is its turn. */
  async #operate<T>(
    work: (channel: Channel) => Promise<T>,
    options: { readonly what: Readonly<Record<string, unknown>>; readonly signal?: AbortSignalLike | undefined },
  ): Promise<T> {
    const { what, signal } = options;
    await this.#turns.next();
    try {
      if (signal?.aborted === true) throw aborted(signal, false);
      return await this.#operateNow(work, { what, signal });
    } finally {
      this.#turns.done();
    }
  }

  async #operateNow<T>(
    work: (channel: Channel) => Promise<T>,
    options: { readonly what: Readonly<Record<string, unknown>>; readonly signal: AbortSignalLike | undefined },
  ): Promise<T> {
    const channel = await this.#channel();
    try {
      const result = await untilAborted(work(channel), options.signal);
      await this.#pool.give(channel);
      return result;
    } catch (error) {
      void channel.close();
      throw this.#told(error, options.what);
    }
  }

  async #channel(): Promise<Channel> {
    if (this.#isClosing) throw closedByUs();
    try {
      return await this.#pool.take();
    } catch (error) {
      throw this.#told(error, {});
    }
  }

  /** The broker's refusal together with what was asked for. */
  #told(error: unknown, what: Readonly<Record<string, unknown>>): unknown {
    if (!(error instanceof MessagingError)) return notEncodable(error);
    if (error.radius === 'connection') return lossOf(error, true);
    return new MessagingError(error.code, error.message, { cause: error, details: { ...error.details, ...what } });
  }

  async #publishLater(
    destination: Destination,
    message: OutgoingMessage,
    signal: AbortSignalLike | undefined,
  ): Promise<void> {
    this.#publisher ??= this.#startPublisher();
    let publisher: Publisher;
    try {
      publisher = await untilAborted(this.#publisher, signal);
    } catch (error) {
      if (!(error instanceof MessagingError)) throw error;
      throw error.code === 'ABORTED' && signal !== undefined ? aborted(signal, false) : lossOf(error, false);
    }
    await publisher.publish(destination, message, signal);
  }

  async #startPublisher(): Promise<Publisher> {
    try {
      const connection = await this.#settings.dialAgain(this.#dialling.signal);
      this.#publishing = connection;
      connection.onRoom(() => this.#setBlocked(connection.isBlocked));
      void connection.closed.then((reason) => this.#finish(reason));
      this.#openPublisher = new Publisher(connection);
      return this.#openPublisher;
    } catch (error) {
      const reason = error instanceof MessagingError ? error : connectionLost('no second connection', error);
      if (!this.#isClosing) this.#finish(lossOf(reason, false));
      throw reason;
    }
  }

  async #flushPublishes(): Promise<void> {
    if (this.#publisher === undefined) return;
    const waiting = new AbortController();
    const patience = sleep(this.#settings.clock, driverLimits.closeFlushMs, waiting.signal).catch(() => undefined);
    const flushed = Promise.allSettled(this.#early).then(() => this.#openPublisher?.idle());
    await Promise.race([flushed, patience]);
    waiting.abort();
  }

  #setBlocked(isBlocked: boolean): void {
    if (this.#isBlocked === isBlocked) return;
    this.#isBlocked = isBlocked;
    for (const listener of this.#blockedListeners) listener(isBlocked);
  }

  /** A throwing reader is a programmer's mistake: it ends the connection, so that nothing is handled twice unseen. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#finish(connectionLost('a reader threw an error', error));
    }
  }

  /** Either connection is over. */
  #finish(reason: MessagingError | undefined): void {
    if (this.#end !== undefined || this.#isClosing) return;
    this.#conclude(reason);
    const why = reason ?? closedByUs();
    this.#dialling.abort(why);
    this.#main.lose(why);
    this.#publishing?.lose(why);
  }

  #conclude(reason: MessagingError | undefined): void {
    this.#end = reason ?? closedByUs();
    this.#setBlocked(false);
    this.#settleClosed(reason);
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignalLike | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(aborted(signal, true));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function tooLarge(message: OutgoingMessage, sizeBytesMax: number): MessagingError {
  const sizeBytes = message.body.byteLength;
  const text = `a message of ${sizeBytes} bytes is larger than the ${sizeBytesMax} bytes that the broker takes`;
  return new MessagingError('TOO_LARGE', text, { details: { sizeBytes, sizeBytesMax, mayArrive: false } });
}
