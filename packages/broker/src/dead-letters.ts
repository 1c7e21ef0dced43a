import { encodeProperties } from '@torcello/amqp091';
import type { BasicProperties } from '@torcello/amqp091';
import type { Clock } from '@torcello/platform';
import { isDeathCycle, propertiesAfterDeath } from './dead-letter.js';
import type { Exchange } from './exchange.js';
import { Message } from './queue/message.js';
import type { DeathReason, Queue } from './queue/queue.js';
import type { SharedBodies } from './queue/shared-bodies.js';
import type { Routes } from './routes.js';

/**
 * Deaths without a rejection in between after which a message is dropped: a circle of more queues than its history keeps
 * would turn for ever.
 */
const deathsInARowMax = 128;

interface DeadMessage {
  readonly queue: Queue;
  readonly message: Message;
  readonly reason: DeathReason;
}

/**
 * Publishes dead messages to the dead-letter exchange of the queue that they died in. One at a time: a message that dies
 * again at once waits for its turn, so that a long chain of queues needs no deep stack.
 */
export class DeadLetters {
  readonly #clock: Clock;
  readonly #exchanges: ReadonlyMap<string, Exchange>;
  readonly #routes: Routes;
  readonly #bodies: SharedBodies;
  readonly #waiting: DeadMessage[] = [];
  #isSending = false;

  constructor(options: {
    readonly clock: Clock;
    readonly exchanges: ReadonlyMap<string, Exchange>;
    readonly routes: Routes;
    readonly bodies: SharedBodies;
  }) {
    this.#clock = options.clock;
    this.#exchanges = options.exchanges;
    this.#routes = options.routes;
    this.#bodies = options.bodies;
  }

  /** Drops the message where the queue names no exchange, or one that is not there. */
  send(dead: DeadMessage): void {
    if (dead.queue.options.deadLetterExchange === undefined) return;
    this.#waiting.push(dead);
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#publish(next);
    } finally {
      this.#isSending = false;
    }
  }

  #publish({ queue, message, reason }: DeadMessage): void {
    const { deadLetterExchange: exchange = '', deadLetterRoutingKey } = queue.options;
    if (exchange !== '' && !this.#exchanges.has(exchange)) return;
    const deathsInARow = reason === 'rejected' ? 0 : message.deathsInARow + 1;
    if (deathsInARow > deathsInARowMax) return;
    const routingKey = deadLetterRoutingKey ?? message.routingKey;
    const atMs = this.#clock.now();
    const before = message.properties();
    const properties = propertiesAfterDeath(before, {
      queue: queue.name,
      reason,
      exchange: message.exchange,
      routingKeys: [message.routingKey, ...(message.areCopiesSpent ? [] : copiesNamed(before))],
      atMs,
    });
    const keepsItsKeys = deadLetterRoutingKey === undefined;
    const hasCopies = properties.headers?.['CC'] !== undefined;
    const areCopiesSpent = hasCopies && (message.areCopiesSpent || !keepsItsKeys);
    const hiddenCopies = keepsItsKeys ? message.hiddenCopies : undefined;
    const letter = new Message({
      exchange,
      routingKey,
      properties,
      propertyBytes: encodeProperties(properties),
      body: message.body,
      arrivedAtMs: atMs,
      deathsInARow,
      hiddenCopies,
      areCopiesSpent,
    });
    const routed = areCopiesSpent ? withoutCopies(properties) : withHidden(properties, hiddenCopies);
    const reached = this.#routes.find(exchange, routingKey, routed);
    const isCircle = ({ name }: Queue): boolean => reason !== 'rejected' && isDeathCycle(properties.headers, name);
    const targets = reached.filter((queue) => !isCircle(queue));
    this.#bodies.share(letter, targets);
    for (const target of targets) target.enqueue(letter);
  }
}

function copiesNamed({ headers }: BasicProperties): string[] {
  const copies = headers?.['CC'];
  return Array.isArray(copies) ? copies.filter((key): key is string => typeof key === 'string') : [];
}

/** The properties to route by: the copies that no receiver sees count, too. */
function withHidden(properties: BasicProperties, hiddenCopies: readonly string[] | undefined): BasicProperties {
  return hiddenCopies === undefined
    ? properties
    : { ...properties, headers: { ...properties.headers, BCC: hiddenCopies } };
}

/** A queue that names a routing key for its dead letters means that one only; the header stays, as since RabbitMQ 3.13. */
function withoutCopies(properties: BasicProperties): BasicProperties {
  const { CC: _copies, ...headers } = properties.headers ?? {};
  return { ...properties, headers };
}
