import type { Clock, Logger, Random } from '@torcello/platform';
import type {
  Capabilities,
  Delivery,
  Destination,
  DriverConnection,
  OutgoingMessage,
  Source,
  Topology,
} from '../driver.js';
import { isMessagingError, MessagingError } from '../errors.js';
import { limits } from '../limits.js';
import type { Wire } from '../wire/wire.js';
import { diagnostics } from '../diagnostics.js';
import { compressed } from '../wire/compressed-wire.js';
import { wireOf } from '../wire/wires.js';
import { closedError, ConnectionKeeper } from './connection-keeper.js';
import { Deadline, orAborted } from './deadline.js';
import { ReplyDesk } from './reply-desk.js';
import { RestoredConsumer } from './restored-consumer.js';
import type {
  ConsumeOptions,
  EnsureOptions,
  OperationOptions,
  PublishOptions,
  Subscription,
  Transport,
  TransportState,
} from './transport.js';

export interface ReconnectingSetting {
  readonly dial: (signal: AbortSignal) => Promise<DriverConnection>;
  readonly isCompressing?: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface Publishing {
  readonly to: Destination;
  readonly message: OutgoingMessage;
  readonly options: PublishOptions;
  readonly deadline: Deadline;
}

interface FailedPublish {
  readonly connection: DriverConnection;
  readonly error: unknown;
}

/** The transport in front of every driver: timeouts, reconnecting and restoring, written once. */
export class ReconnectingTransport implements Transport {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly replies: ReplyDesk;
  readonly #isCompressing: boolean;
  readonly #keeper: ConnectionKeeper;
  readonly #topologies = new Map<string, Topology>();
  readonly #subscriptions = new Set<Subscription>();

  constructor(setting: ReconnectingSetting) {
    this.clock = setting.clock;
    this.random = setting.random;
    this.logger = setting.logger;
    this.#isCompressing = setting.isCompressing ?? false;
    this.replies = new ReplyDesk({
      ...setting,
      connection: (signal) => this.#keeper.connection(signal),
      current: () => this.#keeper.current,
    });
    this.#keeper = new ConnectionKeeper({ ...setting, restore: (connection) => this.#restore(connection) });
    this.#keeper.onState((state) => diagnostics.state(() => ({ state })));
  }

  get capabilities(): Capabilities {
    const connection = this.#keeper.latest;
    if (connection === undefined) throw new TypeError('capabilities are known after the first connection');
    return connection.capabilities;
  }

  get wire(): Wire {
    const connection = this.#keeper.latest;
    if (connection === undefined) throw new TypeError('the wire is known after the first connection');
    const wire = wireOf(connection);
    return this.#isCompressing ? compressed(wire) : wire;
  }

  get state(): TransportState {
    return this.#keeper.state;
  }

  onState(listener: (state: TransportState) => void): () => void {
    return this.#keeper.onState(listener);
  }

  /** Dials until the first connection stands; `accept` may refuse it by throwing. */
  async start(signal: AbortSignal | undefined, accept: (connection: DriverConnection) => void): Promise<void> {
    await this.#keeper.start(signal, accept);
    try {
      await this.#keeper.connection(signal);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async ready(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#keeper.connection(options.signal);
  }

  async ensure(topology: Topology, options: EnsureOptions = {}): Promise<void> {
    const { queue } = topology.source;
    await this.#operate(options, `making queue "${queue}"`, (connection, deadline) =>
      connection.ensure(topology, deadline.signal),
    );
    if (options.isRestored !== false) this.#topologies.set(queue, topology);
  }

  /** Nearly every message goes out at once and arrives: that way has few promises, what goes wrong has a loop. */
  publish(to: Destination, message: OutgoingMessage, options: PublishOptions = {}): Promise<void> {
    const deadline = this.#deadline(options);
    const publishing: Publishing = { to, message, options, deadline };
    const connection = this.#keeper.current;
    if (connection === undefined) return this.#publishLater(publishing);
    return connection.publish(to, message, deadline.signal).then(
      () => deadline[Symbol.dispose](),
      (error: unknown) => this.#publishLater(publishing, { connection, error }),
    );
  }

  /** Waits for a connection and tries again, as long as that may be done. */
  async #publishLater(publishing: Publishing, first?: FailedPublish): Promise<void> {
    const { to, message, options } = publishing;
    using deadline = publishing.deadline;
    let failed = first;
    let mayArrive = false;
    for (;;) {
      if (failed !== undefined) {
        const { error } = failed;
        mayArrive ||= isMessagingError(error) && error.details['mayArrive'] === true;
        if (!isMessagingError(error, 'CONNECTION_LOST')) throw this.#publishError(error, deadline, { to, mayArrive });
        if (mayArrive && options.resend !== true) throw error;
        await this.#untilOver(failed.connection, deadline);
      }
      const connection = this.#keeper.current ?? (await this.#connection(deadline, mayArrive, to));
      try {
        return await connection.publish(to, mayArrive ? { ...message, isRepeat: true } : message, deadline.signal);
      } catch (error) {
        failed = { connection, error };
      }
    }
  }

  get(source: Source, options: OperationOptions = {}): Promise<Delivery | undefined> {
    return this.#operate(options, `reading from "${source.queue}"`, async (connection, deadline) => {
      const delivery = await connection.get(source);
      // Its caller is gone: nobody else would settle it.
      if (deadline.signal.aborted) delivery?.release();
      return delivery;
    });
  }

  async consume(source: Source, options: ConsumeOptions & OperationOptions): Promise<Subscription> {
    const { credit, onDelivery } = options;
    const doing = `consuming from "${source.queue}"`;
    const first = await this.#operate(options, doing, async (connection, deadline) => {
      const consumer = await connection.consume(source, credit, onDelivery);
      if (deadline.signal.aborted) await consumer.stop();
      return consumer;
    });
    const subscription: Subscription = new RestoredConsumer(
      {
        source,
        credit,
        onDelivery,
        connection: (signal) => this.#keeper.connection(signal),
        restoreQueue: (connection) => this.#restoreQueue(connection, source),
        onEnd: () => this.#subscriptions.delete(subscription),
        clock: this.clock,
        random: this.random,
        logger: this.logger,
      },
      first,
    );
    this.#subscriptions.add(subscription);
    return subscription;
  }

  inspect(
    source: Source,
    options: OperationOptions = {},
  ): Promise<{ readonly messages: number; readonly consumers: number }> {
    return this.#operate(options, `inspecting "${source.queue}"`, (connection) => connection.inspect(source));
  }

  async delete(source: Source, options: OperationOptions = {}): Promise<void> {
    this.#topologies.delete(source.queue);
    await this.#operate(options, `deleting "${source.queue}"`, (connection) => connection.delete(source));
  }

  async close(): Promise<void> {
    const stopping = [...this.#subscriptions].map((subscription) => subscription.stop());
    await Promise.all(stopping);
    await this.#keeper.close();
    this.replies.end(closedError());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #deadline(options: OperationOptions): Deadline {
    return new Deadline(this.clock, options.timeoutMs ?? limits.operationTimeoutMs, options.signal);
  }

  /** Runs an operation that may be done twice: when the connection is lost it is done again on the next one. */
  async #operate<T>(
    options: OperationOptions,
    doing: string,
    work: (connection: DriverConnection, deadline: Deadline) => Promise<T>,
  ): Promise<T> {
    using deadline = this.#deadline(options);
    try {
      for (;;) {
        const connection = await this.#keeper.connection(deadline.signal);
        try {
          return await orAborted(work(connection, deadline), deadline.signal);
        } catch (error) {
          if (!isMessagingError(error, 'CONNECTION_LOST')) throw error;
          await this.#untilOver(connection, deadline);
        }
      }
    } catch (error) {
      throw this.state === 'closed' && !isMessagingError(error, 'ABORTED')
        ? closedError()
        : deadline.translate(error, doing);
    }
  }

  async #connection(deadline: Deadline, mayArrive: boolean, to: Destination): Promise<DriverConnection> {
    try {
      return await this.#keeper.connection(deadline.signal);
    } catch (error) {
      throw this.#publishError(error, deadline, { to, mayArrive });
    }
  }

  #publishError(
    error: unknown,
    deadline: Deadline,
    facts: { readonly to: Destination; readonly mayArrive: boolean },
  ): unknown {
    const { to, mayArrive } = facts;
    if (!isMessagingError(error, 'ABORTED')) return error;
    const details = { ...error.details, mayArrive, state: this.state };
    const known = new MessagingError('ABORTED', error.message, { cause: error.cause, details });
    return deadline.translate(known, `publishing to "${to.exchange}" with key "${to.routingKey}"`);
  }

  /** A driver says of a lost connection first to the operation and then to everybody: asking again would spin. */
  async #untilOver(connection: DriverConnection, deadline: Deadline): Promise<void> {
    await orAborted(connection.closed, deadline.signal).catch(() => undefined);
  }

  async #restore(connection: DriverConnection): Promise<void> {
    for (const topology of this.#topologies.values()) await this.#restoreOne(connection, topology);
    await this.replies.restore(connection);
  }

  async #restoreOne(connection: DriverConnection, topology: Topology): Promise<void> {
    try {
      await connection.ensure(topology);
    } catch (error) {
      if (!isMessagingError(error) || error.radius === 'connection') throw error;
      this.logger.error('a queue could not be made again after a reconnect', { error, ...topology.source });
    }
  }

  async #restoreQueue(connection: DriverConnection, source: Source): Promise<boolean> {
    const topology = this.#topologies.get(source.queue);
    if (topology === undefined) return false;
    await this.#restoreOne(connection, topology);
    return true;
  }
}
