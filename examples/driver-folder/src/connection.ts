import {
  MessagingError,
  type Capabilities,
  type ConnectOptions,
  type Consumer,
  type Delivery,
  type Destination,
  type DriverConnection,
  type IncomingMessage,
  type OutgoingMessage,
  type Source,
  type Topology,
} from '@torcello/messaging';
import { FolderConsumer } from './consumer.js';
import type { Store, Taken } from './store.js';

/** What a folder can do. Everything that is `false` here excuses from sentences of the suite, and from nothing else. */
const capabilities: Capabilities = Object.freeze({
  durableConfirm: true,
  returns: true,
  mailboxes: true,
  administers: true,
  deliveryCount: true,
  fanout: true,
  priorityMax: 0,
  redelivers: true,
  bounds: false,
  routes: true,
  inspects: true,
  refusesMissing: true,
  keepsReplies: true,
  messageSizeBytesMax: 16 * 1024 * 1024,
});

/** Options of a queue that a folder cannot honour: they are refused, never ignored. */
const impossible = [
  'lengthMax',
  'whenFull',
  'messageTtlMs',
  'priorityMax',
  'deadLetter',
  'singleReader',
  'foreignArguments',
] as const;

export interface ConnectionSetting extends Pick<ConnectOptions, 'clock' | 'logger'> {
  readonly store: Store;
}

/** One connection: what it has in hand, who reads, and how all of that ends together. */
export class FolderConnection implements DriverConnection {
  readonly capabilities: Capabilities = capabilities;
  /** A folder never asks publishers to pause. */
  readonly isBlocked: boolean = false;
  readonly closed: Promise<MessagingError | undefined>;
  readonly #setting: ConnectionSetting;
  readonly #unsettled = new Set<Taken>();
  readonly #consumers = new Set<FolderConsumer>();
  readonly #publishing = new Set<Promise<void>>();
  #consumersMade = 0;
  #end: { readonly reason: MessagingError | undefined } | undefined;
  #settleClosed: (reason: MessagingError | undefined) => void = () => undefined;

  constructor(setting: ConnectionSetting) {
    this.#setting = setting;
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
  }

  onBlocked(): void {
    // It never is.
  }

  async ensure(topology: Topology): Promise<void> {
    this.#check();
    const asked = impossible.find((option) => topology.options[option] !== undefined);
    if (asked !== undefined) {
      const details = { option: asked };
      throw new MessagingError('CAPABILITY_MISSING', `a folder cannot honour ${asked}`, { details });
    }
    await this.#setting.store.ensure(topology);
  }

  async publish(to: Destination, message: OutgoingMessage, signal?: { readonly aborted: boolean }): Promise<void> {
    this.#check();
    if (signal?.aborted === true) {
      // Nothing was written yet, and its sender may rely on that.
      throw new MessagingError('ABORTED', 'the publish was given up', { details: { mayArrive: false } });
    }
    const sizeBytes = message.body.length;
    if (sizeBytes > capabilities.messageSizeBytesMax) {
      const details = { sizeBytes, sizeBytesMax: capabilities.messageSizeBytesMax };
      throw new MessagingError('TOO_LARGE', `a message of ${sizeBytes} bytes is too large`, { details });
    }
    const writing = this.#write(to, message);
    this.#publishing.add(writing);
    try {
      await writing;
    } finally {
      this.#publishing.delete(writing);
    }
    // Written, and the connection was lost before its sender could be told.
    if (this.#end !== undefined && this.#end.reason !== undefined) throw lost({ mayArrive: true });
  }

  async get({ queue }: Source): Promise<Delivery | undefined> {
    this.#check();
    const taken = this.#setting.store.take(queue);
    return taken === undefined ? undefined : this.#delivery(taken, () => undefined);
  }

  async consume({ queue }: Source, credit: number, onDelivery: (delivery: Delivery) => void): Promise<Consumer> {
    this.#check();
    const { store, clock } = this.#setting;
    const consumer: FolderConsumer = new FolderConsumer({
      store,
      clock,
      queue,
      credit,
      number: (this.#consumersMade += 1),
      hand: (taken, onSettled) => this.#guard(() => onDelivery(this.#delivery(taken, onSettled))),
      onEnd: () => this.#consumers.delete(consumer),
    });
    this.#consumers.add(consumer);
    await consumer.start();
    return consumer;
  }

  async openReplies(name: string, keepMs: number, onReply: (message: IncomingMessage) => void): Promise<Destination> {
    await this.ensure({ kind: 'shared', source: { queue: name }, reachedBy: [], options: { expiresMs: keepMs } });
    const consumer = await this.consume({ queue: name }, Infinity, (delivery) => {
      delivery.accept();
      onReply(delivery.message);
    });
    // Without its place for answers a connection is worth nothing: the next one makes it again.
    void consumer.ended.then((cause) => {
      if (cause?.code === 'CONSUMER_ENDED')
        this.lose(new MessagingError('CONNECTION_LOST', 'no place for answers', { cause }));
    });
    return { exchange: '', routingKey: name };
  }

  async inspect({ queue }: Source): Promise<{ readonly messages: number; readonly consumers: number }> {
    this.#check();
    return this.#setting.store.count(queue);
  }

  async delete({ queue }: Source): Promise<void> {
    this.#check();
    await this.#setting.store.delete(queue);
    for (const consumer of this.#consumers) consumer.look();
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#publishing);
    this.#finish(undefined);
  }

  /** The connection breaks: everything that waits hears of it, and what is in hand goes back. */
  lose(reason: MessagingError): void {
    this.#finish(reason);
  }

  async #write(to: Destination, message: OutgoingMessage): Promise<void> {
    const { store, clock } = this.#setting;
    const { body, properties, headers, expiresMs } = message;
    const queues = store.route(to);
    const expiresAtMs = expiresMs === undefined ? undefined : clock.now() + expiresMs;
    const stored = { destination: to, message: { body, properties, headers }, expiresAtMs };
    const written = await Promise.all((queues ?? []).map((queue) => store.put(queue, stored)));
    if (written.includes(true)) return;
    // An exchange that does not exist is an error for everybody, a queue that is not there only for who cares.
    if (queues === undefined || message.ifNobody === 'fail') {
      throw new MessagingError('UNROUTABLE', `no queue takes messages for "${to.routingKey}"`, { details: { ...to } });
    }
  }

  #delivery(taken: Taken, onSettled: () => void): Delivery {
    this.#unsettled.add(taken);
    const { store } = this.#setting;
    // Once, and only while the connection stands: afterwards somebody else has the message.
    const settle = (action: (taken: Taken) => boolean) => (): boolean => {
      if (!this.#unsettled.delete(taken)) return false;
      const isDone = action(taken);
      onSettled();
      return isDone;
    };
    return {
      message: taken.message,
      destination: taken.destination,
      redelivered: taken.earlier > 0,
      earlierDeliveries: taken.earlier,
      accept: settle((it) => store.forget(it)),
      release: settle((it) => store.giveBack(it)),
      reject: settle((it) => store.forget(it)),
    };
  }

  #finish(reason: MessagingError | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { reason };
    this.#unsettled.clear();
    for (const consumer of this.#consumers) consumer.finish(reason);
    this.#setting.store.leave();
    this.#settleClosed(reason);
  }

  #check(): void {
    if (this.#end === undefined) return;
    if (this.#end.reason === undefined) throw new MessagingError('CLOSED', 'the connection was closed by this program');
    throw lost({ mayArrive: false });
  }

  /** A throwing reader is a programmer's mistake and ends the connection. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (cause) {
      this.#setting.logger.error('a reader threw an error', { error: cause });
      this.lose(new MessagingError('CONNECTION_LOST', 'a reader threw an error', { cause }));
    }
  }
}

function lost(details: { readonly mayArrive: boolean }): MessagingError {
  return new MessagingError('CONNECTION_LOST', 'the connection to the folder is gone', { details });
}
