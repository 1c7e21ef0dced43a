import { encodeProperties } from '@torcello/amqp091';
import type { BasicProperties } from '@torcello/amqp091';
import type { Clock } from '@torcello/platform';
import type { Broker } from '../broker.js';
import { Exchange } from '../exchange.js';
import type { Queue } from '../queue/queue.js';
import type { QueueEntry } from '../queue/ready-list.js';
import type { Vhost } from '../vhost.js';
import { TargetClient } from './target-client.js';
import type { TargetAddress, TargetMessage } from './target-client.js';

/** What a move did. */
export interface MoveReport {
  readonly exchanges: number;
  readonly queues: number;
  readonly bindings: number;
  readonly messages: number;
  /** Messages that somebody may have seen already, marked as redelivered on the target. */
  readonly marked: number;
}

export interface MoveOptions {
  /** The broker that is left; nobody else uses it. */
  readonly broker: Broker;
  readonly target: TargetAddress;
  /** The broker's own. */
  readonly clock: Clock;
  /** Whether messages of a queue may have been seen by somebody; they are marked as redelivered then. Default: all may. */
  readonly mayBeSeen?: (vhost: string, queue: string) => boolean;
  /** Called after each queue. */
  readonly onQueue?: (vhost: string, queue: string, messages: number) => void;
}

const batchLength = 200;
/** An exchange for messages that cannot go the way they came; see `wayOf`. */
const detourName = 'torcello.move';

/**
 * Moves everything durable to another broker: exchanges and queues first, then the messages, each to the queue that it is
 * in and with the exchange and routing key that it was published with, then the bindings. A message is forgotten here once
 * the target has confirmed it, so a move that was cut short is finished by the same call again; at most the last
 * `batchLength` messages of one queue come twice then. The target's virtual hosts must be there and nobody may use them yet.
 * @throws TargetError: what is confirmed by then is moved, the rest is still here.
 */
export async function move(options: MoveOptions): Promise<MoveReport> {
  let report: MoveReport = { exchanges: 0, queues: 0, bindings: 0, messages: 0, marked: 0 };
  for (const vhost of options.broker.vhosts.values()) {
    const name = vhost.name === '/' ? options.target.vhost : vhost.name;
    const client = await TargetClient.open({ ...options.target, vhost: name });
    const moved = await moveVhost(vhost, client, options);
    await client.close();
    report = {
      exchanges: report.exchanges + moved.exchanges,
      queues: report.queues + moved.queues,
      bindings: report.bindings + moved.bindings,
      messages: report.messages + moved.messages,
      marked: report.marked + moved.marked,
    };
  }
  return report;
}

async function moveVhost(vhost: Vhost, client: TargetClient, options: MoveOptions): Promise<MoveReport> {
  const exchanges = [...vhost.exchanges.values()].filter(({ name }) => name !== '' && !name.startsWith('amq.'));
  const queues = [...vhost.queues.values()].filter(({ isKept }) => isKept);
  for (const { definition } of exchanges) {
    const { isDurable: durable, isAutoDelete: autoDelete, isInternal: internal, ...more } = definition;
    const declare = {
      name: 'exchange.declare',
      exchange: more.name,
      type: more.type,
      durable,
      autoDelete,
      internal,
    } as const;
    await client.call({ ...declare, arguments: more.arguments }, 'exchange.declare-ok');
  }
  let [messages, marked] = [0, 0];
  for (const queue of queues) {
    const count = await moveQueue(vhost, queue, client, options);
    messages += count;
    if (count > 0 && (options.mayBeSeen ?? (() => true))(vhost.name, queue.name)) {
      await client.markSeen(queue.name, count);
      marked += count;
    }
    options.onQueue?.(vhost.name, queue.name, count);
  }
  const bindings = await bindAll(vhost, client);
  return { exchanges: exchanges.length, queues: queues.length, bindings, messages, marked };
}

async function moveQueue(vhost: Vhost, queue: Queue, client: TargetClient, options: MoveOptions): Promise<number> {
  const { isAutoDelete: autoDelete, arguments: args } = queue.definition;
  const declare = { name: 'queue.declare', queue: queue.name, durable: true, autoDelete, arguments: args } as const;
  await client.call(declare, 'queue.declare-ok');
  const ways = new Ways(vhost, queue.name, client);
  let count = 0;
  for (let batch = takeSome(queue); batch.length > 0; batch = takeSome(queue)) {
    const messages: TargetMessage[] = [];
    for (const entry of batch) messages.push({ ...(await ways.of(entry)), ...contentOf(entry, options.clock) });
    await client.publishAll(messages);
    for (const entry of batch) queue.settle(entry);
    await options.broker.durable();
    count += batch.length;
  }
  await ways.close();
  return count;
}

function takeSome(queue: Queue): QueueEntry[] {
  const taken: QueueEntry[] = [];
  while (taken.length < batchLength) {
    const entry = queue.take();
    if (entry === undefined) break;
    taken.push(entry);
  }
  return taken;
}

/** A message that has a time to live takes what is left of it along. */
function contentOf({ message, expiresAtMs }: QueueEntry, clock: Clock): Pick<TargetMessage, 'properties' | 'body'> {
  const { body, propertyBytes } = message;
  if (expiresAtMs === undefined) return { properties: propertyBytes, body };
  const leftMs = Math.max(1, Math.round(expiresAtMs - clock.monotonicMs()));
  const properties: BasicProperties = { ...message.properties(), expiration: String(leftMs) };
  return { properties: encodeProperties(properties), body };
}

type Way = Pick<TargetMessage, 'exchange' | 'routingKey'>;

/**
 * The ways by which messages of one queue reach it and nothing else, with exchange and routing key as they were: nothing
 * is bound yet on the target, so a binding for the time of the move does. Messages without such a way, because their
 * exchange is gone or internal, or they came by a copy (CC) through the default exchange, go through an exchange of the
 * move's own, which their readers see.
 */
class Ways {
  readonly #vhost: Vhost;
  readonly #queue: string;
  readonly #client: TargetClient;
  readonly #bound = new Map<string, Way>();
  #hasDetour = false;

  constructor(vhost: Vhost, queue: string, client: TargetClient) {
    this.#vhost = vhost;
    this.#queue = queue;
    this.#client = client;
  }

  async of({ message }: QueueEntry): Promise<Way> {
    const { exchange, routingKey } = message;
    const hasCopies = message.properties().headers?.['CC'] !== undefined;
    if (exchange === '') {
      if (routingKey === this.#queue && !hasCopies) return { exchange, routingKey };
      return this.#detour();
    }
    const source = this.#vhost.exchanges.get(exchange);
    if (source === undefined || source.definition.isInternal) return this.#detour();
    const bindingKey = { topic: '#', fanout: '', headers: '', direct: routingKey }[source.definition.type];
    await this.#bind(exchange, bindingKey);
    return { exchange, routingKey };
  }

  async close(): Promise<void> {
    for (const { exchange, routingKey } of this.#bound.values()) {
      const unbind = { name: 'queue.unbind', queue: this.#queue, exchange, routingKey, arguments: {} } as const;
      await this.#client.call(unbind, 'queue.unbind-ok');
    }
    if (this.#hasDetour)
      await this.#client.call({ name: 'exchange.delete', exchange: detourName }, 'exchange.delete-ok');
  }

  async #detour(): Promise<Way> {
    const way = { exchange: detourName, routingKey: this.#queue };
    if (this.#hasDetour) return way;
    this.#hasDetour = true;
    const declare = { name: 'exchange.declare', exchange: detourName, type: 'fanout', durable: true } as const;
    await this.#client.call({ ...declare, arguments: {} }, 'exchange.declare-ok');
    await this.#bind(detourName, '');
    return way;
  }

  async #bind(exchange: string, routingKey: string): Promise<void> {
    const key = `${exchange}\0${routingKey}`;
    if (this.#bound.has(key)) return;
    this.#bound.set(key, { exchange, routingKey });
    const bind = { name: 'queue.bind', queue: this.#queue, exchange, routingKey, arguments: {} } as const;
    await this.#client.call(bind, 'queue.bind-ok');
  }
}

async function bindAll(vhost: Vhost, client: TargetClient): Promise<number> {
  let count = 0;
  for (const exchange of vhost.exchanges.values()) {
    for (const { destination, routingKey, arguments: args, storeKey } of exchange.bindings.values()) {
      if (storeKey === undefined) continue;
      const bound = { source: exchange.name, destination: destination.name, routingKey, arguments: args };
      if (destination instanceof Exchange) await client.call({ name: 'exchange.bind', ...bound }, 'exchange.bind-ok');
      else {
        const { source, destination: queue, ...more } = bound;
        await client.call({ name: 'queue.bind', queue, exchange: source, ...more }, 'queue.bind-ok');
      }
      count++;
    }
  }
  return count;
}
