import {
  context,
  metrics,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Meter,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import {
  isMessagingError,
  type Delivery,
  type Destination,
  type Driver,
  type DriverConnection,
} from '@torcello/messaging';
import { contextOf, headersOf } from './trace-context.js';

export interface InstrumentOptions {
  /** Default: the global provider's. */
  readonly tracer?: Tracer;
  readonly meter?: Meter;
  /** `messaging.system` of spans and metrics. Default: the scheme of the URL, `rabbitmq` for those of AMQP 0-9-1. */
  readonly system?: string;
}

const scope = '@torcello/messaging';

/**
 * The same driver, with a span for every send and for every delivery, and metrics of both, under OpenTelemetry's names for
 * messaging. The trace travels in the header `traceparent`, which Torcello's programs pass on in any case.
 *
 * A send's span ends with the broker's confirm, a delivery's with its settlement; what its handler does meanwhile, and
 * afterwards, is its child. Without a provider all of it costs next to nothing and changes nothing.
 */
export function instrumented(driver: Driver, options: InstrumentOptions = {}): Driver {
  const tracer = options.tracer ?? trace.getTracer(scope);
  const instruments = instrumentsOf(options.meter ?? metrics.getMeter(scope));
  return {
    schemes: driver.schemes,
    connect: async (url, connectOptions) => {
      const system = options.system ?? systemOf(url.scheme);
      const { clock } = connectOptions;
      const nowMs = (): number => clock.monotonicMs();
      return instrument(await driver.connect(url, connectOptions), { tracer, instruments, system, nowMs });
    },
  };
}

interface Instruments {
  readonly sent: (attributes: Attributes) => void;
  readonly consumed: (attributes: Attributes) => void;
  readonly operated: (seconds: number, attributes: Attributes) => void;
  readonly processed: (seconds: number, attributes: Attributes) => void;
}

interface Instrumentation {
  readonly tracer: Tracer;
  readonly instruments: Instruments;
  readonly system: string;
  readonly nowMs: () => number;
}

function instrument(inner: DriverConnection, setting: Instrumentation): DriverConnection {
  const inHand = new Set<(reason: string) => void>();
  void inner.closed.then((reason) => {
    for (const end of inHand) end(reason?.code ?? 'CLOSED');
  });
  const deliver = (delivery: Delivery, queue: string): Processing => process(delivery, queue, { setting, inHand });
  return {
    capabilities: inner.capabilities,
    ...(inner.wire === undefined ? {} : { wire: inner.wire }),
    closed: inner.closed,
    get isBlocked() {
      return inner.isBlocked;
    },
    onBlocked: (listener) => inner.onBlocked(listener),
    ensure: (...given) => inner.ensure(...given),
    publish: (to, message, signal) =>
      send(setting, { to, message }, (headers) => {
        const traced = { ...message, headers: { ...message.headers, ...headers } };
        return inner.publish(to, traced, signal);
      }),
    get: async (source) => {
      const delivery = await inner.get(source);
      return delivery === undefined ? undefined : deliver(delivery, source.queue).delivery;
    },
    consume: (source, credit, onDelivery) =>
      inner.consume(source, credit, (delivery) => {
        const processing = deliver(delivery, source.queue);
        context.with(trace.setSpan(contextOf(delivery.message.headers), processing.span), () =>
          onDelivery(processing.delivery),
        );
      }),
    openReplies: (...given) => inner.openReplies(...given),
    inspect: (source) => inner.inspect(source),
    delete: (source) => inner.delete(source),
    close: () => inner.close(),
  };
}

interface Sending {
  readonly to: Destination;
  readonly message: Parameters<DriverConnection['publish']>[1];
}

async function send(
  { tracer, instruments, system, nowMs }: Instrumentation,
  { to, message }: Sending,
  publish: (headers: Readonly<Record<string, string>>) => Promise<void>,
): Promise<void> {
  const name = to.exchange === '' ? to.routingKey : to.exchange;
  const common = { 'messaging.system': system, 'messaging.operation.name': 'send', 'messaging.destination.name': name };
  const attributes: Attributes = {
    ...common,
    'messaging.operation.type': 'send',
    'messaging.rabbitmq.destination.routing_key': to.routingKey,
    'messaging.message.body.size': message.body.length,
    ...(message.properties.messageId === undefined ? {} : { 'messaging.message.id': message.properties.messageId }),
  };
  // Where the program has no span of its own at work, what the message brings along already is the parent.
  const active = context.active();
  const parent = trace.getSpan(active) === undefined ? contextOf(message.headers) : active;
  const span = tracer.startSpan(`send ${name}`, { kind: SpanKind.PRODUCER, attributes }, parent);
  const startMs = nowMs();
  let failure: Attributes = {};
  try {
    await publish(headersOf(span));
  } catch (error) {
    failure = { 'error.type': isMessagingError(error) ? error.code : 'error' };
    span.setAttributes(failure);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    span.end();
    instruments.sent({ ...common, ...failure });
    instruments.operated((nowMs() - startMs) / 1_000, { ...common, ...failure });
  }
}

interface Processing {
  readonly span: Span;
  readonly delivery: Delivery;
}

function process(
  delivery: Delivery,
  queue: string,
  { setting, inHand }: { readonly setting: Instrumentation; readonly inHand: Set<(reason: string) => void> },
): Processing {
  const { tracer, instruments, system, nowMs } = setting;
  const { message, destination } = delivery;
  const common = {
    'messaging.system': system,
    'messaging.operation.name': 'process',
    'messaging.destination.name': queue,
  };
  const attributes: Attributes = {
    ...common,
    'messaging.operation.type': 'process',
    'messaging.rabbitmq.destination.routing_key': destination.routingKey,
    'messaging.message.body.size': message.body.length,
    ...(message.properties.messageId === undefined ? {} : { 'messaging.message.id': message.properties.messageId }),
  };
  const span = tracer.startSpan(
    `process ${queue}`,
    { kind: SpanKind.CONSUMER, attributes },
    contextOf(message.headers),
  );
  instruments.consumed(common);
  const startMs = nowMs();
  const end = (how: string): void => {
    if (!inHand.delete(end)) return;
    span.setAttribute('torcello.settlement', how);
    const failure: Attributes = how === 'accept' || how === 'release' ? {} : { 'error.type': how };
    if (how !== 'accept' && how !== 'release') span.setStatus({ code: SpanStatusCode.ERROR, message: how });
    span.end();
    instruments.processed((nowMs() - startMs) / 1_000, { ...common, ...failure });
  };
  inHand.add(end);
  const settle = (how: 'accept' | 'release' | 'reject') => (): boolean => {
    const isInTime = delivery[how]();
    end(isInTime ? how : 'stale');
    return isInTime;
  };
  return {
    span,
    // Not spread: a driver's delivery may be of a class.
    delivery: {
      message,
      destination,
      redelivered: delivery.redelivered,
      earlierDeliveries: delivery.earlierDeliveries,
      accept: settle('accept'),
      release: settle('release'),
      reject: settle('reject'),
    },
  };
}

function instrumentsOf(meter: Meter): Instruments {
  const sent = meter.createCounter('messaging.client.sent.messages', { unit: '{message}' });
  const consumed = meter.createCounter('messaging.client.consumed.messages', { unit: '{message}' });
  const operated = meter.createHistogram('messaging.client.operation.duration', { unit: 's' });
  const processed = meter.createHistogram('messaging.process.duration', { unit: 's' });
  return {
    sent: (attributes) => sent.add(1, attributes),
    consumed: (attributes) => consumed.add(1, attributes),
    operated: (seconds, attributes) => operated.record(seconds, attributes),
    processed: (seconds, attributes) => processed.record(seconds, attributes),
  };
}

function systemOf(scheme: string): string {
  return ['rabbit', 'amqp', 'amqps', 'kombu'].includes(scheme) ? 'rabbitmq' : scheme;
}
