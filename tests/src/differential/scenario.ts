import type { BasicProperties, FieldTable, OutgoingMethod } from '@torcello/amqp091';

/** Where a step happens: connection and channel, for example `a1` is channel 1 of connection `a`. Opened at first use. */
export type Place = `${'a' | 'b' | 'c'}${1 | 2 | 3}`;

/** A publish as data. */
export interface Letter {
  readonly exchange?: string;
  readonly routingKey: string;
  readonly body?: string;
  readonly properties?: BasicProperties;
  readonly mandatory?: boolean;
  readonly immediate?: boolean;
}

export type Step =
  /** Sends a method; waits for its answer when it has one. */
  | { readonly on: Place; readonly send: OutgoingMethod }
  | { readonly on: Place; readonly publish: Letter }
  /** Settles the delivery with this number, counted over the whole channel. */
  | { readonly settle: number }
  /** Breaks the connection without a word. */
  | { readonly cut: 'a' | 'b' | 'c' };

/** Steps against a broker, as data. Names of queues and exchanges begin with `~`, which each run replaces by its own. */
export interface Scenario {
  readonly name: string;
  readonly steps: readonly Step[];
}

export const durableQueue = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };

/** Steps in few words; each is on channel 1 of connection `a` unless it says otherwise. */
export const make = {
  queue: (queue: string, args: FieldTable = {}, flags: Partial<typeof durableQueue> = {}, on: Place = 'a1'): Step => ({
    on,
    send: { name: 'queue.declare', queue, ...durableQueue, ...flags, arguments: args },
  }),
  exchange: (
    exchange: string,
    type: string,
    flags: { readonly [flag: string]: boolean } = {},
    args: FieldTable = {},
  ): Step => ({
    on: 'a1',
    send: { name: 'exchange.declare', exchange, type, durable: true, ...flags, arguments: args },
  }),
  bind: (queue: string, exchange: string, routingKey = '', args: FieldTable = {}): Step => ({
    on: 'a1',
    send: { name: 'queue.bind', queue, exchange, routingKey, arguments: args },
  }),
  publish: (routingKey: string, body: string, more: Omit<Letter, 'routingKey' | 'body'> = {}): Step => ({
    on: 'a1',
    publish: { routingKey, body, ...more },
  }),
  send: (send: OutgoingMethod, on: Place = 'a1'): Step => ({ on, send }),
  get: (queue: string, noAck = true, on: Place = 'a1'): Step => ({ on, send: { name: 'basic.get', queue, noAck } }),
  count: (queue: string, on: Place = 'a1'): Step => ({
    on,
    send: { name: 'queue.declare', queue, ...durableQueue, passive: true },
  }),
  consume: (
    queue: string,
    more: {
      readonly tag?: string;
      readonly noAck?: boolean;
      readonly exclusive?: boolean;
      readonly args?: FieldTable;
    } = {},
    on: Place = 'a1',
  ): Step => ({
    on,
    send: {
      name: 'basic.consume',
      queue,
      consumerTag: more.tag ?? 'c',
      noAck: more.noAck ?? false,
      exclusive: more.exclusive ?? false,
      arguments: more.args ?? {},
    },
  }),
  ack: (deliveryTag: number, multiple = false, on: Place = 'a1'): Step => ({
    on,
    send: { name: 'basic.ack', deliveryTag, multiple },
  }),
  nack: (deliveryTag: number, requeue: boolean, multiple = false, on: Place = 'a1'): Step => ({
    on,
    send: { name: 'basic.nack', deliveryTag, multiple, requeue },
  }),
  reject: (deliveryTag: number, requeue: boolean, on: Place = 'a1'): Step => ({
    on,
    send: { name: 'basic.reject', deliveryTag, requeue },
  }),
  qos: (prefetchCount: number, global = false, on: Place = 'a1'): Step => ({
    on,
    send: { name: 'basic.qos', prefetchSize: 0, prefetchCount, global },
  }),
  confirm: (on: Place = 'a1'): Step => ({ on, send: { name: 'confirm.select' } }),
  /** Waits until nothing has come for this long, in milliseconds. */
  wait: (settle = 60): Step => ({ settle }),
};
