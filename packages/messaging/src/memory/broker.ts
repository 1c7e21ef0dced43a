import type { Clock } from '@torcello/platform';
import type { Destination, OutgoingMessage, Topology, TopologyOptions } from '../driver.js';
import { MessagingError } from '../errors.js';
import { MemoryQueue, type StoredMessage } from './queue.js';
import { matchesTopic } from './topic-pattern.js';

interface Exchange {
  readonly type: 'topic' | 'fanout';
  readonly bindings: { readonly pattern: string; readonly queue: string }[];
}

/**
 * A broker in this process: exchanges, bindings and queues with RabbitMQ's meaning, nothing on disk. What tests want to
 * do to a broker is here too: cut connections, refuse logins, block publishers, swallow a confirm.
 */
export class MemoryBroker {
  readonly #clock: Clock;
  readonly #exchanges = new Map<string, Exchange>();
  readonly #queues = new Map<string, MemoryQueue>();
  readonly #connections = new Set<{ lose(reason: MessagingError): void; block(isBlocked: boolean): void }>();
  #order = 0;
  #isBlocked = false;
  #confirmsToSwallow = 0;
  #refusal: MessagingError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Number of open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Ends every connection, as a cable cut does. */
  cut(): void {
    const reason = new MessagingError('CONNECTION_LOST', 'the connection to the memory broker was cut');
    for (const connection of this.#connections) connection.lose(reason);
  }

  /** Refuses every new connection with this error until it is called with undefined. */
  refuse(error: MessagingError | undefined): void {
    this.#refusal = error;
  }

  /** Asks publishers to pause, or lets them go on. */
  block(isBlocked: boolean): void {
    this.#isBlocked = isBlocked;
    for (const connection of this.#connections) connection.block(isBlocked);
  }

  /** The next `count` publishes are stored, and the connection is cut before the sender hears of it. */
  swallowConfirms(count: number): void {
    this.#confirmsToSwallow = count;
  }

  join(connection: { lose(reason: MessagingError): void; block(isBlocked: boolean): void }): void {
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#connections.add(connection);
  }

  leave(connection: { lose(reason: MessagingError): void; block(isBlocked: boolean): void }): void {
    this.#connections.delete(connection);
  }

  ensure(topology: Topology): void {
    const { source, reachedBy, options, kind } = topology;
    const type = kind === 'fanout' ? 'fanout' : 'topic';
    for (const { exchange } of reachedBy) this.#ensureExchange(exchange, type);
    this.#ensureQueue(source.queue, options);
    for (const { exchange, routingKey } of reachedBy) {
      const bindings = this.#exchanges.get(exchange)?.bindings ?? [];
      const isBound = bindings.some((binding) => binding.pattern === routingKey && binding.queue === source.queue);
      if (!isBound) bindings.push({ pattern: routingKey, queue: source.queue });
    }
  }

  /** Stores the message in every queue that it reaches; true when the sender's confirm is to be swallowed. */
  publish(destination: Destination, message: OutgoingMessage): boolean {
    const queues = this.#route(destination);
    if (queues.length === 0 && message.ifNobody === 'fail') throw unroutable(destination);
    const stored = queues.map((queue) => queue.offer(this.#store(queue, destination, message)));
    if (stored.includes(false)) {
      const full = queues.filter((_, at) => stored[at] === false).map((queue) => queue.name);
      throw new MessagingError('NOT_CONFIRMED', `queue "${full.join('", "')}" is full`, { details: { queues: full } });
    }
    if (this.#confirmsToSwallow === 0) return false;
    this.#confirmsToSwallow -= 1;
    this.cut();
    return true;
  }

  queue(name: string): MemoryQueue {
    const queue = this.#living(name);
    if (queue === undefined)
      throw new MessagingError('NOT_FOUND', `there is no queue "${name}"`, { details: { queue: name } });
    return queue;
  }

  delete(name: string): void {
    this.#queues.get(name)?.destroy();
    this.#queues.delete(name);
    for (const [exchange, { type, bindings }] of this.#exchanges) {
      const kept = bindings.filter((binding) => binding.queue !== name);
      bindings.splice(0, bindings.length, ...kept);
      // A fanout exchange goes with its last queue, as oslo.messaging declares it.
      if (type === 'fanout' && kept.length === 0) this.#exchanges.delete(exchange);
    }
  }

  #ensureExchange(name: string, type: Exchange['type']): void {
    if (name === '') return;
    const exchange = this.#exchanges.get(name);
    if (exchange === undefined) this.#exchanges.set(name, { type, bindings: [] });
    else if (exchange.type !== type) {
      const details = { exchange: name, wanted: type, found: exchange.type };
      throw new MessagingError('PRECONDITION_FAILED', `exchange "${name}" is a ${exchange.type} exchange`, { details });
    }
  }

  #ensureQueue(name: string, options: TopologyOptions): void {
    const queue = this.#living(name);
    queue?.use();
    if (queue === undefined) {
      const deadLetter = (stored: StoredMessage, to: Destination): void => this.#deadLetter(stored, to);
      this.#queues.set(name, new MemoryQueue({ name, options, clock: this.#clock, deadLetter }));
    } else if (describe(queue.options) !== describe(options)) {
      const details = { queue: name, wanted: options, found: queue.options };
      throw new MessagingError('PRECONDITION_FAILED', `queue "${name}" exists with other options`, { details });
    }
  }

  #living(name: string): MemoryQueue | undefined {
    const queue = this.#queues.get(name);
    if (queue?.isOver === true) this.delete(name);
    return this.#queues.get(name);
  }

  #route(destination: Destination): readonly MemoryQueue[] {
    const { exchange: name, routingKey } = destination;
    const names = name === '' ? [routingKey] : this.#boundTo(destination);
    return [...new Set(names)].flatMap((queue) => this.#living(queue) ?? []);
  }

  #boundTo(destination: Destination): readonly string[] {
    const exchange = this.#exchanges.get(destination.exchange);
    if (exchange === undefined) throw unroutable(destination);
    const { type, bindings } = exchange;
    return bindings
      .filter(({ pattern }) => type === 'fanout' || matchesTopic(pattern, destination.routingKey))
      .map(({ queue }) => queue);
  }

  #store(queue: MemoryQueue, destination: Destination, message: OutgoingMessage): StoredMessage {
    const livesMs = Math.min(message.expiresMs ?? Infinity, queue.options.messageTtlMs ?? Infinity);
    const expiresAtMs = this.#clock.monotonicMs() + livesMs;
    return { order: this.#order++, message, destination, expiresAtMs, deliveries: 0 };
  }

  #deadLetter(stored: StoredMessage, to: Destination): void {
    const { expiresMs: _, ...message } = stored.message;
    try {
      this.publish(to, { ...message, ifNobody: 'drop' });
    } catch {
      // A dead-letter address that leads nowhere drops the message, as RabbitMQ does.
    }
  }
}

function describe(options: TopologyOptions): string {
  const known = Object.entries(options).filter(([name, value]) => value !== undefined && name !== 'durable');
  return JSON.stringify(known.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function unroutable(destination: Destination): MessagingError {
  const { exchange, routingKey } = destination;
  const where = exchange === '' ? `queue "${routingKey}"` : `exchange "${exchange}" with key "${routingKey}"`;
  return new MessagingError('UNROUTABLE', `no queue takes messages for ${where}`, { details: { ...destination } });
}
