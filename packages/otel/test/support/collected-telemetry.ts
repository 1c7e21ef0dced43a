import { AsyncLocalStorage } from 'node:async_hooks';
import {
  context,
  createNoopMeter,
  ROOT_CONTEXT,
  trace,
  type Attributes,
  type Context,
  type ContextManager,
  type Meter,
  type Span,
  type SpanContext,
  type SpanStatus,
  type Tracer,
} from '@opentelemetry/api';

/** A span that ended, as a test wants to see it. */
export interface EndedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly kind: number;
  readonly attributes: Attributes;
  readonly status: SpanStatus | undefined;
}

/** A tracer and a meter that write down what they are told. */
export class CollectedTelemetry {
  readonly spans: EndedSpan[] = [];
  readonly measured: { readonly name: string; readonly value: number; readonly attributes: Attributes }[] = [];
  #ids = 0;

  readonly tracer: Tracer = {
    startSpan: (name, options = {}, parent = context.active()) => this.#span(name, options, parent),
    startActiveSpan: () => {
      throw new TypeError('not needed here');
    },
  };

  readonly meter: Meter = this.#meter();

  /** Sums by name and, if given, attribute. */
  total(name: string, attribute?: string): Readonly<Record<string, number>> | number {
    const fitting = this.measured.filter((each) => each.name === name);
    if (attribute === undefined) return fitting.reduce((sum, { value }) => sum + value, 0);
    const sums: Record<string, number> = {};
    for (const { value, attributes } of fitting) {
      const key = String(attributes[attribute]);
      sums[key] = (sums[key] ?? 0) + value;
    }
    return sums;
  }

  #meter(): Meter {
    const meter = createNoopMeter();
    meter.createCounter = (name) => ({ add: (value, attributes) => this.#measure(name, value, { ...attributes }) });
    meter.createHistogram = (name) => ({
      record: (value, attributes) => this.#measure(name, value, { ...attributes }),
    });
    return meter;
  }

  #measure(name: string, value: number, attributes: Attributes): void {
    this.measured.push({ name, value, attributes });
  }

  #span(
    name: string,
    { kind = 0, attributes: first = {} }: { kind?: number; attributes?: Attributes },
    parent: Context,
  ): Span {
    const before = trace.getSpanContext(parent);
    const id = (digits: number): string => (this.#ids += 1).toString(16).padStart(digits, '0');
    const spanContext: SpanContext = { traceId: before?.traceId ?? id(32), spanId: id(16), traceFlags: 1 };
    const attributes: Attributes = { ...first };
    let status: SpanStatus | undefined;
    const span: Span = {
      spanContext: () => spanContext,
      setAttribute: (key, value) => {
        attributes[key] = value;
        return span;
      },
      setAttributes: (more) => {
        Object.assign(attributes, more);
        return span;
      },
      addEvent: () => span,
      addLink: () => span,
      addLinks: () => span,
      setStatus: (said) => {
        status = said;
        return span;
      },
      updateName: () => span,
      end: () => {
        const { traceId, spanId } = spanContext;
        this.spans.push({ name, traceId, spanId, parentSpanId: before?.spanId, kind, attributes, status });
      },
      isRecording: () => true,
      recordException: () => undefined,
    };
    return span;
  }
}

/** What an SDK would install: contexts that follow the course of the work. */
export class FollowingContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with: ContextManager['with'] = (given, work, thisArg, ...args) =>
    this.#storage.run(given, () => Reflect.apply(work, thisArg, args) as ReturnType<typeof work>);

  bind: ContextManager['bind'] = (_given, target) => target;

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}
