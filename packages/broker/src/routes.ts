import type { BasicProperties, FieldTable } from '@torcello/amqp091';
import { AmqpError } from './amqp-error.js';
import { Exchange } from './exchange.js';
import type { Destination } from './exchange.js';
import type { Queue } from './queue/queue.js';

/** The way of a message through exchanges to queues: bindings, exchange to exchange, alternates, CC and BCC. */
export class Routes {
  readonly #exchanges: ReadonlyMap<string, Exchange>;
  readonly #queues: ReadonlyMap<string, Queue>;

  constructor(exchanges: ReadonlyMap<string, Exchange>, queues: ReadonlyMap<string, Queue>) {
    this.#exchanges = exchanges;
    this.#queues = queues;
  }

  /** Every queue that a message reaches, each once. @throws NOT_FOUND for an unknown exchange. */
  find(exchange: string, routingKey: string, properties: BasicProperties): Queue[] {
    const keys = copiesOf(properties.headers);
    if (exchange === '') return keys === undefined ? this.#named(routingKey) : this.#anyNamed([routingKey, ...keys]);
    const source = this.#exchanges.get(exchange);
    if (source === undefined) throw new AmqpError('NOT_FOUND', `no exchange '${exchange}'`);
    const found = new Set<Queue>();
    this.#walk(source, keys === undefined ? [routingKey] : [routingKey, ...keys], {
      found,
      headers: properties.headers,
    });
    return [...found];
  }

  #named(name: string): Queue[] {
    const queue = this.#queues.get(name);
    return queue === undefined ? [] : [queue];
  }

  #anyNamed(names: readonly string[]): Queue[] {
    return [...new Set(names.flatMap((name) => this.#named(name)))];
  }

  /** Every exchange is visited once, so that circles end. An exchange where nothing matches hands on to its alternate. */
  #walk(
    start: Exchange,
    keys: readonly string[],
    message: { readonly found: Set<Queue>; readonly headers: FieldTable | undefined },
  ): void {
    const seen = new Set<Exchange>([start]);
    const visit = (exchange: Exchange | undefined): void => {
      if (exchange !== undefined) seen.add(exchange);
    };
    for (const exchange of seen) {
      let matches = 0;
      const take = (destination: Destination): void => {
        matches++;
        if (destination instanceof Exchange) visit(destination);
        else message.found.add(destination);
      };
      for (const key of keys) exchange.router.match(key, { headers: message.headers }, take);
      if (matches === 0) visit(this.#alternate(exchange));
    }
  }

  #alternate({ alternate }: Exchange): Exchange | undefined {
    return alternate === undefined ? undefined : this.#exchanges.get(alternate);
  }
}

/** Further routing keys of the sender: RabbitMQ's CC and BCC headers. */
function copiesOf(headers: FieldTable | undefined): string[] | undefined {
  if (headers === undefined || (headers['CC'] === undefined && headers['BCC'] === undefined)) return undefined;
  return [headers['CC'], headers['BCC']].flatMap(listOfKeys);
}

function listOfKeys(value: unknown): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new AmqpError('PRECONDITION_FAILED', 'CC and BCC must be arrays of strings');
  return value.filter((key: unknown) => typeof key === 'string');
}
