import assert from 'node:assert/strict';
import { encodeProperties } from '@torcello/amqp091';
import type { BasicProperties, FieldTable } from '@torcello/amqp091';
import { SimulatedClock } from '@torcello/platform/testing';
import { emptyDisk, MemoryStore, startBroker } from '../../src/index.js';
import type { Broker } from '../../src/index.js';
import type { QueueConsumer } from '../../src/queue/consumer-list.js';
import { Message } from '../../src/queue/message.js';
import { refused } from '../../src/queue/queue.js';
import type { Queue } from '../../src/queue/queue.js';
import type { QueueEntry } from '../../src/queue/ready-list.js';
import type { QueueShape } from './queue-model.js';

/** A consumer that takes what it has credit for. */
export class Taker implements QueueConsumer {
  readonly tag: string;
  readonly isSettledAtOnce = false;
  readonly isExclusive = false;
  readonly priority = 0;
  readonly unsettled: QueueEntry[] = [];
  credit: number;

  constructor(tag: string, credit: number) {
    this.tag = tag;
    this.credit = credit;
  }

  canTake(): boolean {
    return this.unsettled.length < this.credit;
  }

  deliver(entry: QueueEntry): void {
    this.unsettled.push(entry);
  }

  onQueueEnd(): void {
    this.unsettled.length = 0;
  }
}

/** The real queue `q` of a real broker over a disk in memory, its dead letters in `dead`. */
export class World {
  readonly clock: SimulatedClock = new SimulatedClock();
  #disk = emptyDisk();
  readonly #shape: QueueShape;
  readonly #memoryBytes: number;
  #broker: Broker | undefined;
  takers: Taker[] = [];
  taken: QueueEntry[] = [];

  /** @param memoryBytes - budget of waiting messages: a small one keeps them on disk only. */
  constructor(shape: QueueShape, memoryBytes: number) {
    this.#shape = shape;
    this.#memoryBytes = memoryBytes;
  }

  get queue(): Queue {
    return this.#queueNamed('q');
  }

  get broker(): Broker {
    assert.ok(this.#broker !== undefined);
    return this.#broker;
  }

  async start(): Promise<void> {
    this.takers = [];
    this.taken = [];
    this.#broker = await startBroker({
      store: new MemoryStore(this.#disk),
      clock: this.clock,
      limits: { residentMessageBytesMax: this.#memoryBytes },
    });
    this.#declare('dead', {});
    this.declare();
  }

  /** After a crash the next broker finds what was durable, and not what a stop adds. */
  async restart(how: 'stop' | 'crash'): Promise<void> {
    await this.broker.durable();
    const { entities, messages } = this.#disk;
    const asItWas = { entities: new Map(entities), messages: new Map(messages) };
    await this.broker.stop();
    if (how === 'crash') this.#disk = asItWas;
    await this.start();
  }

  declare(): void {
    this.#declare('q', argumentsOf(this.#shape));
  }

  /** False when the queue refuses. */
  publish(wish: {
    readonly id: number;
    readonly priority: number;
    readonly isPersistent: boolean;
    readonly ttlMs: number;
  }): boolean {
    const properties: BasicProperties = {
      deliveryMode: wish.isPersistent ? 2 : 1,
      priority: wish.priority,
      ...(wish.ttlMs === Infinity ? {} : { expiration: String(wish.ttlMs) }),
    };
    const message = new Message({
      exchange: '',
      routingKey: 'q',
      properties,
      propertyBytes: encodeProperties(properties),
      body: Buffer.from(`${wish.id} `.repeat(20)),
      arrivedAtMs: this.clock.now(),
    });
    return this.queue.enqueue(message, 'withdraw') !== refused;
  }

  /** The dead letters, as `id reason`, in no order. */
  deadLetters(): string[] {
    const { entries, ids } = drain(this.#queueNamed('dead'));
    return entries.map(({ message }, at) => {
      const headers = message.properties().headers ?? {};
      return `${ids[at]} ${headers['x-last-death-reason'] as string}`;
    });
  }

  #queueNamed(name: string): Queue {
    const queue = this.broker.vhosts.get('/')?.queues.get(name);
    assert.ok(queue !== undefined, `the queue '${name}' is there`);
    return queue;
  }

  #declare(name: string, args: FieldTable): void {
    this.broker.vhosts.get('/')?.declareQueue({
      name,
      isServerNamed: false,
      isDurable: true,
      isAutoDelete: false,
      isExclusive: false,
      connection: this,
      arguments: args,
    });
  }
}

export function idOf({ message }: QueueEntry): number {
  return Number.parseInt(Buffer.from(message.body).toString(), 10);
}

/** Takes everything, looks at it, and puts it back unseen. */
function drain(queue: Queue): { readonly entries: QueueEntry[]; readonly ids: number[] } {
  const entries: QueueEntry[] = [];
  for (let entry = queue.take(); entry !== undefined; entry = queue.take()) entries.push(entry);
  queue.putBack(entries);
  return { entries, ids: entries.map(idOf) };
}

function argumentsOf(shape: QueueShape): FieldTable {
  const { messageTtlMs, expiresMs, lengthMax, isRefusing, priorityMax, isQuorum, deliveryLimit, hasDeadLetters } =
    shape;
  return {
    ...(messageTtlMs === undefined ? {} : { 'x-message-ttl': messageTtlMs }),
    ...(expiresMs === undefined ? {} : { 'x-expires': expiresMs }),
    ...(lengthMax === undefined ? {} : { 'x-max-length': lengthMax }),
    ...(isRefusing ? { 'x-overflow': 'reject-publish' } : {}),
    ...(priorityMax === 0 ? {} : { 'x-max-priority': priorityMax }),
    ...(isQuorum ? { 'x-queue-type': 'quorum', 'x-delivery-limit': deliveryLimit } : {}),
    ...(hasDeadLetters ? { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' } : {}),
  };
}
