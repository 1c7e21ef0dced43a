import { untyped } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';
import type { Queue } from './queue/queue.js';
import { DirectRouter } from './routing/direct.js';
import { FanoutRouter } from './routing/fanout.js';
import { HeadersRouter } from './routing/headers.js';
import type { Router } from './routing/router.js';
import { TopicRouter } from './routing/topic.js';

export type ExchangeType = 'direct' | 'fanout' | 'topic' | 'headers';

const routers: Readonly<Record<ExchangeType, () => Router<Destination>>> = {
  direct: () => new DirectRouter<Destination>(),
  fanout: () => new FanoutRouter<Destination>(),
  topic: () => new TopicRouter<Destination>(),
  headers: () => new HeadersRouter<Destination>(),
};

/** An exchange as it was declared. */
export interface ExchangeDefinition {
  readonly name: string;
  readonly type: ExchangeType;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  /** Only other exchanges may publish to it. */
  readonly isInternal: boolean;
  readonly arguments: FieldTable;
}

export type Destination = Queue | Exchange;

/** A rule that leads messages of one exchange to a queue or to another exchange. */
export interface Binding {
  readonly source: Exchange;
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
  /** Key in the store; undefined for a binding that is not durable. */
  readonly storeKey: string | undefined;
}

/** An exchange and the bindings that start at it. */
export class Exchange {
  readonly definition: ExchangeDefinition;
  readonly router: Router<Destination>;
  /** Bindings that start here, by what makes them different from one another. */
  readonly bindings: Map<string, Binding> = new Map();
  /** Where a message goes that matches nothing here: as declared, else as a policy says. */
  alternate: string | undefined;

  constructor(definition: ExchangeDefinition) {
    this.definition = definition;
    this.router = routers[definition.type]();
    this.alternate = declaredAlternate(definition);
  }

  get name(): string {
    return this.definition.name;
  }
}

export function declaredAlternate(definition: ExchangeDefinition): string | undefined {
  const name = untyped(definition.arguments['alternate-exchange']);
  return typeof name === 'string' ? name : undefined;
}

export function isExchangeType(type: string): type is ExchangeType {
  return Object.hasOwn(routers, type);
}

/** The exchanges that every virtual host has from the start (AMQP 0-9-1 §3.1.3), besides the nameless one. */
export const predeclaredExchanges: readonly ExchangeDefinition[] = (
  [
    ['amq.direct', 'direct'],
    ['amq.fanout', 'fanout'],
    ['amq.topic', 'topic'],
    ['amq.headers', 'headers'],
    ['amq.match', 'headers'],
  ] as const
).map(([name, type]) => ({
  name,
  type,
  isDurable: true,
  isAutoDelete: false,
  isInternal: false,
  arguments: {},
}));
