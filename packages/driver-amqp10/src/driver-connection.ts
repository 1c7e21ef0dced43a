import { setImmediate } from 'node:timers/promises';
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
import { checkTopology, type Addresses } from './addresses.js';
import { Amqp10Consumer } from './consumer.js';
import type { Engine } from './engine.js';
import { aborted, closedByUs, connectionLost, lacks, lossOf } from './errors.js';
import { fetchOne } from './fetch.js';
import { driverLimits } from './limits.js';
import type { Profile } from './profiles/profile.js';
import { Publisher } from './publisher.js';
import { SenderLink } from './sender-link.js';

export interface Amqp10ConnectionSettings {
  readonly engine: Engine;
  readonly profile: Profile;
  readonly addresses: Addresses;
  readonly clock: Clock;
}

/** One AMQP 1.0 connection as the library wants it. */
export class Amqp10Connection implements DriverConnection {
  readonly capabilities: Capabilities;
  readonly wire = 'amqp1';
  readonly closed: Promise<MessagingError | undefined>;
  /** The protocol has no such word: a peer that is short of something gives no credit. */
  readonly isBlocked = false;
  readonly #settings: Amqp10ConnectionSettings;
  readonly #publisher: Publisher;
  #isClosing = false;

  constructor(settings: Amqp10ConnectionSettings) {
    this.#settings = settings;
    this.#publisher = new Publisher(settings.engine);
    this.capabilities = Object.freeze({ ...settings.profile.capabilities });
    this.closed = settings.engine.closed;
  }

  onBlocked(_listener: (isBlocked: boolean) => void): void {
    // Never.
  }

  async ensure(topology: Topology, signal?: AbortSignalLike): Promise<void> {
    if (signal?.aborted === true) throw aborted(signal, false);
    const { profile, addresses, engine } = this.#settings;
    checkTopology(topology, profile);
    this.#check();
    if (profile.makes === 'elsewhere') throw lacks('administers', profile.name);
    const address = addresses.declaring(topology.source);
    if (address === undefined) return;
    const link = new SenderLink({ engine, address, nodeCapabilities: [] });
    await link.attached();
    link.close();
  }

  async publish(destination: Destination, message: OutgoingMessage, signal?: AbortSignalLike): Promise<void> {
    const { messageSizeBytesMax } = this.capabilities;
    if (message.body.byteLength > messageSizeBytesMax) throw tooLarge(message, messageSizeBytesMax);
    if (signal?.aborted === true) throw aborted(signal, false);
    this.#check({ mayArrive: false });
    const { addresses } = this.#settings;
    const nodeCapabilities = addresses.nodeCapabilities(destination.target?.fanout === true);
    try {
      await this.#publisher.publish(addresses.destination(destination), message, { nodeCapabilities, signal });
    } catch (error) {
      if (message.ifNobody === 'drop' && error instanceof MessagingError && error.code === 'UNROUTABLE') return;
      throw error;
    }
  }

  async get(source: Source): Promise<Delivery | undefined> {
    this.#check();
    return fetchOne(this.#reading(source));
  }

  async consume(source: Source, credit: number, onDelivery: (delivery: Delivery) => void): Promise<Consumer> {
    if (!(credit >= 1)) throw new TypeError('credit is at least 1');
    this.#check();
    const guarded = (delivery: Delivery): void => this.#guard(() => onDelivery(delivery));
    const { consumer } = await Amqp10Consumer.start({ ...this.#reading(source), credit, onDelivery: guarded });
    return consumer;
  }

  async openReplies(
    name: string,
    _keepMs: number,
    onDelivery: (message: IncomingMessage) => void,
  ): Promise<Destination> {
    this.#check();
    const { profile, addresses, engine } = this.#settings;
    const { consumer, address } = await Amqp10Consumer.start({
      ...this.#reading({ queue: name }),
      address: profile.replies === 'named' ? addresses.replies(name) : undefined,
      // As oslo.messaging names it (oslo (b)).
      targetAddress: 'rpc-response',
      credit: driverLimits.replyCredit,
      onDelivery: (delivery) => {
        delivery.accept();
        this.#guard(() => onDelivery(delivery.message));
      },
    });
    void consumer.ended.then((cause) => {
      if (cause?.code === 'CONSUMER_ENDED') engine.lose(connectionLost('the node for answers was taken away', cause));
    });
    return { exchange: '', routingKey: address };
  }

  inspect(_source: Source): Promise<{ readonly messages: number; readonly consumers: number }> {
    return Promise.reject(lacks('inspects', this.#settings.profile.name));
  }

  delete(_source: Source): Promise<void> {
    return Promise.reject(lacks('administers', this.#settings.profile.name));
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      await this.#flush();
      // Outcomes are written turn by turn; when the loop comes round, all are out.
      await setImmediate();
      await this.#settings.engine.close();
    }
    await this.closed;
  }

  #reading(source: Source): Omit<Parameters<typeof fetchOne>[0], never> {
    const { engine, clock, profile, addresses } = this.#settings;
    const { queue, target } = source;
    const destination: Destination =
      target === undefined
        ? { exchange: '', routingKey: queue }
        : { exchange: target.exchange, routingKey: target.topic, target };
    return {
      engine,
      clock,
      profile,
      destination,
      address: addresses.source(source),
      nodeCapabilities: addresses.nodeCapabilities(target?.fanout === true),
      messageSizeBytesMax: this.capabilities.messageSizeBytesMax,
    };
  }

  #check(details: Readonly<Record<string, boolean>> = {}): void {
    const { end } = this.#settings.engine;
    if (end !== undefined) throw lossOf(end, false);
    if (this.#isClosing) throw new MessagingError('CLOSED', closedByUs().message, { details });
  }

  async #flush(): Promise<void> {
    const waiting = new AbortController();
    const patience = sleep(this.#settings.clock, driverLimits.closeFlushMs, waiting.signal).catch(() => undefined);
    await Promise.race([this.#publisher.idle(), patience]);
    waiting.abort();
  }

  /** A throwing reader is a programmer's mistake: it ends the connection, so that nothing is handled twice unseen. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#settings.engine.lose(connectionLost('a reader threw an error', error));
    }
  }
}

function tooLarge(message: OutgoingMessage, sizeBytesMax: number): MessagingError {
  const sizeBytes = message.body.byteLength;
  const text = `a message of ${sizeBytes} bytes is larger than the ${sizeBytesMax} bytes that the broker takes`;
  return new MessagingError('TOO_LARGE', text, { details: { sizeBytes, sizeBytesMax, mayArrive: false } });
}
