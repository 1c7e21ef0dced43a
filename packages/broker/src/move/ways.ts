import type { Message } from '../queue/message.js';
import type { Vhost } from '../vhost.js';
import type { Way } from './move-state.js';
import type { TargetClient } from './target-client.js';

/** An exchange for messages that cannot go the way they came. */
export const detourName = 'torcello.move';
/** Bindings of one queue at once; beyond them the old ones go first. */
const waysMax = 500;

/** What ways need around them. */
export interface WaysAround {
  readonly vhost: Vhost;
  readonly queue: string;
  readonly client: TargetClient;
  /** Exchanges whose bindings stand on the target already: nothing may be published there. */
  readonly bound: ReadonlySet<string>;
  /** Makes the ways durable, before the first message takes a new one. */
  remember(ways: readonly Way[]): void;
  /** The same for ways that were taken away. */
  closed(ways: readonly Way[]): void;
}

/**
 * The ways by which messages of one queue reach it and nothing else, with exchange and routing key as they were: nothing
 * is bound yet on the target, so a binding for the time of the move does. Messages without such a way, because their
 * exchange is gone, internal or bound already, or they came by a copy (CC) through the default exchange, go through an
 * exchange of the move's own, which their readers see.
 */
export class Ways {
  readonly #around: WaysAround;
  readonly #made = new Map<string, Way>();

  constructor(around: WaysAround) {
    this.#around = around;
  }

  /** The way of a message; undefined when `make` must make it first. */
  known(message: Message): Way | undefined {
    const { exchange, routingKey } = message;
    const source = this.#source(message);
    if (source === undefined) return this.#made.has(keyOf(detour)) ? this.#detour() : undefined;
    if (source === '') return { exchange, routingKey };
    return this.#made.has(keyOf({ exchange, routingKey: source.key })) ? { exchange, routingKey } : undefined;
  }

  async make(message: Message): Promise<Way> {
    const { exchange, routingKey } = message;
    const source = this.#source(message);
    if (source === '') return { exchange, routingKey };
    if (this.#made.size >= waysMax) await this.close();
    if (source === undefined) {
      const declare = { name: 'exchange.declare', exchange: detourName, type: 'fanout', durable: true } as const;
      await this.#around.client.call({ ...declare, arguments: {} }, 'exchange.declare-ok');
      await this.#bind(detour);
      return this.#detour();
    }
    await this.#bind({ exchange, routingKey: source.key });
    return { exchange, routingKey };
  }

  /** Takes the bindings away again, after the last message was confirmed. */
  async close(): Promise<void> {
    const { client, queue } = this.#around;
    const ways = [...this.#made.values()];
    await unbindWays(client, queue, ways);
    this.#made.clear();
    this.#around.closed(ways);
  }

  /** The binding key of the message's own exchange; '' for the nameless one, undefined where that way is closed. */
  #source(message: Message): { readonly key: string } | '' | undefined {
    const { exchange, routingKey } = message;
    const { vhost, queue, bound } = this.#around;
    if (exchange === '') return routingKey === queue && !hasCopies(message) ? '' : undefined;
    const source = vhost.exchanges.get(exchange)?.definition;
    if (source === undefined || source.isInternal || !source.isDurable || bound.has(exchange)) return undefined;
    return { key: { topic: '#', fanout: '', headers: '', direct: routingKey }[source.type] };
  }

  #detour(): Way {
    return { exchange: detourName, routingKey: this.#around.queue };
  }

  async #bind(way: Way): Promise<void> {
    const key = keyOf(way);
    if (this.#made.has(key)) return;
    const { client, queue } = this.#around;
    this.#around.remember([...this.#made.values(), way]);
    await client.call({ name: 'queue.bind', queue, ...way, arguments: {} }, 'queue.bind-ok');
    this.#made.set(key, way);
  }
}

/** Also bindings that are not there may be taken away. */
export async function unbindWays(client: TargetClient, queue: string, ways: readonly Way[]): Promise<void> {
  await Promise.all(
    ways.map((way) => client.call({ name: 'queue.unbind', queue, ...way, arguments: {} }, 'queue.unbind-ok')),
  );
}

const detour: Way = { exchange: detourName, routingKey: '' };

function keyOf({ exchange, routingKey }: Way): string {
  return `${exchange}\0${routingKey}`;
}

function hasCopies(message: Message): boolean {
  return message.properties().headers?.['CC'] !== undefined;
}
