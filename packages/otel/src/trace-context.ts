import { context, ROOT_CONTEXT, trace, type Context, type Span } from '@opentelemetry/api';

const traceparentShape = /^00-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/;

/** The context that a message brings in its header `traceparent` (W3C, version 00); the root where it brings none. */
export function contextOf(headers: Readonly<Record<string, unknown>>): Context {
  const { traceparent } = headers;
  const [, traceId, spanId, flags] = typeof traceparent === 'string' ? (traceparentShape.exec(traceparent) ?? []) : [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags, 16);
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/** The header of a message that this span sends; none where no tracer is at work. */
export function headersOf(span: Span): Readonly<Record<string, string>> {
  const spanContext = span.spanContext();
  if (!trace.isSpanContextValid(spanContext)) return {};
  const { traceId, spanId, traceFlags } = spanContext;
  return { traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}` };
}

/**
 * Runs work in the trace of a message: for letters that are read in a loop, where nobody but the loop knows when the work
 * on one begins.
 */
export function inTraceOf<T>(message: { readonly headers: Readonly<Record<string, unknown>> }, work: () => T): T {
  return context.with(contextOf(message.headers), work);
}
