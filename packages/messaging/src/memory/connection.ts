import type { AbortSignalLike } from '../abort.js';
import type {
  Capabilities,
  Consumer,
  Delivery,
  Destination,
  DriverConnection,
  IncomingMessage,
  OutgoingMessage,
  Source,
  Topology,
} from '../driver.js';
import { MessagingError } from '../errors.js';
import type { MemoryBroker } from './broker.js';
import { MemoryConsumer, UnsettledDeliveries } from './consumer.js';

export const memoryCapabilities: Capabilities = Object.freeze({
  durableConfirm: false,
  returns: true,
  mailboxes: true,
  administers: true,
  deliveryCount: true,
  fanout: true,
  priorityMax: 255,
  redelivers: true,
  bounds: true,
  routes: true,
  inspects: true,
  refusesMissing: true,
  keepsReplies: true,
  messageSizeBytesMax: 16 * 1024 * 1024,
});

/** One connection to a memory broker. */
export class MemoryConnection implements DriverConnection {
  readonly capabilities: Capabilities = memoryCapabilities;
  readonly closed: Promise<MessagingError | undefined>;
  readonly #broker: MemoryBroker;
  readonly #unsettled = new UnsettledDeliveries();
  readonly #consumers = new Set<MemoryConsumer>();
  readonly #blockedListeners = new Set<(isBlocked: boolean) => void>();
  #settleClosed: (reason: MessagingError | undefined) => void = () => undefined;
  #end: MessagingError | undefined;

  constructor(broker: MemoryBroker) {
    this.#broker = broker;
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
    broker.join(this);
  }

  get isBlocked(): boolean {
    return this.#broker.isBlocked;
  }

  onBlocked(listener: (isBlocked: boolean) => void): void {
    this.#blockedListeners.add(listener);
  }

  block(isBlocked: boolean): void {
    for (const listener of this.#blockedListeners) listener(isBlocked);
  }

  async ensure(topology: Topology): Promise<void> {
    this.#check();
    this.#broker.ensure(topology);
  }

  async publish(destination: Destination, message: OutgoingMessage, signal?: AbortSignalLike): Promise<void> {
    this.#check();
    if (message.body.length > this.capabilities.messageSizeBytesMax) {
      const details = { sizeBytes: message.body.length, sizeBytesMax: this.capabilities.messageSizeBytesMax };
      throw new MessagingError('TOO_LARGE', `a message of ${message.body.length} bytes is too large`, { details });
    }
    await this.#unblocked(signal);
    const isSwallowed = this.#broker.publish(destination, copyOf(message));
    if (isSwallowed) throw lost({ mayArrive: true });
  }

  async get(source: Source): Promise<Delivery | undefined> {
    this.#check();
    const queue = this.#broker.queue(source.queue);
    const stored = queue.takeOne();
    return stored === undefined ? undefined : this.#unsettled.add({ queue, stored });
  }

  async consume(source: Source, credit: number, onDelivery: (delivery: Delivery) => void): Promise<Consumer> {
    this.#check();
    const queue = this.#broker.queue(source.queue);
    const consumer = new MemoryConsumer({
      queue,
      credit,
      unsettled: this.#unsettled,
      onDelivery: (delivery) => this.#guard(() => onDelivery(delivery)),
      onEnd: () => this.#consumers.delete(consumer),
    });
    this.#consumers.add(consumer);
    return consumer;
  }

  async openReplies(
    name: string,
    keepMs: number,
    onDelivery: (message: IncomingMessage) => void,
  ): Promise<Destination> {
    await this.ensure({ kind: 'shared', source: { queue: name }, reachedBy: [], options: { expiresMs: keepMs } });
    const consumer = await this.consume({ queue: name }, Infinity, (delivery) => {
      delivery.accept();
      onDelivery(delivery.message);
    });
    void consumer.ended.then((cause) => {
      if (cause?.code === 'CONSUMER_ENDED') this.lose(lostReplies(cause));
    });
    return { exchange: '', routingKey: name };
  }

  async inspect(source: Source): Promise<{ readonly messages: number; readonly consumers: number }> {
    this.#check();
    const queue = this.#broker.queue(source.queue);
    return { messages: queue.length, consumers: queue.readers };
  }

  async delete(source: Source): Promise<void> {
    this.#check();
    this.#broker.delete(source.queue);
  }

  async close(): Promise<void> {
    this.#finish(new MessagingError('CLOSED', 'the connection was closed by this program'), undefined);
  }

  /** The connection breaks. */
  lose(reason: MessagingError): void {
    this.#finish(reason, reason);
  }

  #finish(end: MessagingError, reason: MessagingError | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#broker.leave(this);
    for (const consumer of this.#consumers) consumer.finish(reason);
    this.#unsettled.giveAllBack();
    this.block(false);
    this.#settleClosed(reason);
  }

  #check(): void {
    if (this.#end?.code === 'CLOSED') throw this.#end;
    if (this.#end !== undefined) throw lost({ mayArrive: false });
  }

  async #unblocked(signal: AbortSignalLike | undefined): Promise<void> {
    while (this.#broker.isBlocked) {
      if (signal?.aborted === true) throw aborted(signal);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#blockedListeners.delete(wake);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        this.#blockedListeners.add(wake);
        signal?.addEventListener('abort', wake, { once: true });
      });
      this.#check();
    }
    if (signal?.aborted === true) throw aborted(signal);
  }

  /** A throwing reader is a programmer's mistake: it ends the connection, it must not end the broker. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (cause) {
      this.lose(new MessagingError('CONNECTION_LOST', 'a reader threw an error', { cause }));
    }
  }
}

function copyOf(message: OutgoingMessage): OutgoingMessage {
  return { ...message, body: message.body.slice(), headers: structuredClone(message.headers) };
}

function lost(details: { readonly mayArrive: boolean }): MessagingError {
  return new MessagingError('CONNECTION_LOST', 'the connection to the memory broker is gone', { details });
}

function lostReplies(cause: MessagingError): MessagingError {
  return new MessagingError('CONNECTION_LOST', 'the queue for answers was taken away', { cause });
}

function aborted(signal: AbortSignalLike): MessagingError {
  const options = { cause: signal.reason, details: { mayArrive: false } };
  return new MessagingError('ABORTED', 'the publish was given up', options);
}
