import { AsyncLocalStorage } from 'node:async_hooks';
import { hexId, type Random } from '@torcello/platform';

/** What the requests that are made in the course of some work inherit from it. */
export interface CallScope {
  /** Milliseconds that whoever waits for the work still waits; undefined: nobody said. */
  readonly remainingMs: () => number | undefined;
  /** W3C trace context of the work. */
  readonly traceparent: string | undefined;
}

/** The header, and on other transports the application property, in which the trace travels. */
export const traceHeader = 'traceparent';

const traceShape = /^00-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/;

// No state of the program: it follows the course of one piece of work, as the engine sees it.
const scopes = new AsyncLocalStorage<CallScope>();

/** Runs work on behalf of somebody; requests made meanwhile inherit the scope. */
export function runInScope<T>(scope: CallScope, work: () => T): T {
  return scopes.run(scope, work);
}

/** What the caller of the method that runs now has left, in milliseconds; undefined outside of a method. */
export function inheritedRemainingMs(): number | undefined {
  return scopes.getStore()?.remainingMs();
}

/** The trace that the work of now belongs to. */
export function currentTraceparent(): string | undefined {
  return scopes.getStore()?.traceparent;
}

/**
 * Runs work under a W3C `traceparent`, as a tracer or an HTTP request brought it: requests, notifications and letters sent
 * meanwhile carry it on, each with a span id of its own.
 * @throws TypeError when it is none.
 */
export function withTraceparent<T>(traceparent: string, work: () => T): T {
  if (!traceShape.test(traceparent)) throw new TypeError(`"${traceparent}" is no traceparent of version 00`);
  const outer = scopes.getStore();
  return runInScope({ remainingMs: () => outer?.remainingMs(), traceparent }, work);
}

/** The header of a message that is sent now: the same trace, a span id of its own. */
export function traceHeaders(random: Random): Readonly<Record<string, unknown>> {
  const headers: Record<string, unknown> = {};
  addTrace(headers, random);
  return headers;
}

/** Puts that header among the others, if there is a trace. */
export function addTrace(headers: Record<string, unknown>, random: Random): void {
  const traceparent = currentTraceparent();
  if (traceparent === undefined) return;
  const [version, traceId, , flags] = traceparent.split('-');
  headers[traceHeader] = `${version}-${traceId}-${hexId(random).slice(0, 16)}-${flags}`;
}

/** The trace that a message brings; what is malformed is none. */
export function traceparentOf(headers: Readonly<Record<string, unknown>>): string | undefined {
  const value = headers[traceHeader];
  return typeof value === 'string' && traceShape.test(value) ? value : undefined;
}
