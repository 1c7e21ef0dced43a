import { dispatcherModule, RemoteFailure } from './failure.js';
import type { Request } from './request.js';
import { defaultVersion, isVersionCompatible } from './version.js';

/** What a method learns about the request besides its arguments. */
export interface IncomingCall {
  /** What the caller sent along with every request: user, request id, … */
  readonly context: Readonly<Record<string, unknown>>;
  /** Aborted when nobody waits for the answer any more, or the server's grace at `stop` is over. */
  readonly signal: AbortSignal;
  /** Milliseconds that the caller still waits; undefined for casts and callers that do not say (Python). */
  readonly remainingMs: () => number | undefined;
  /** The sender's own id of this request: the same when the broker hands the request out again. */
  readonly uniqueId: string | undefined;
  /** Nobody waits for an answer. */
  readonly isCast: boolean;
  /** W3C trace context that came with the request; the method's own requests carry it on by themselves. */
  readonly traceparent: string | undefined;
  /**
   * Sends the caller a piece of progress, any JSON. Resolves when the next one may be made: it waits for a caller that
   * reads slowly, and does nothing for one that cannot read progress (Python, `call`, casts).
   * @throws ABORTED when the caller has gone.
   */
  readonly report: (progress: unknown) => Promise<void>;
}

/**
 * A method; what it returns is the result, what it throws travels as the failure (see `RemoteFailure`). An async iterable
 * is a streamed answer: its items travel as progress, and as an array to a caller that cannot read progress. Calls that
 * the method makes have no more time than its own caller waits.
 */
export type Method = (args: Readonly<Record<string, unknown>>, call: IncomingCall) => unknown;

/** A group of methods that a server offers under a namespace and version. */
export interface Endpoint {
  readonly target?: {
    readonly namespace?: string;
    /** Default 1.0. */
    readonly version?: string;
    /** Further namespaces that it answers to. */
    readonly legacyNamespaces?: readonly (string | undefined)[];
  };
  /** Names that begin with an underscore are private and never called. */
  readonly methods: Readonly<Record<string, Method>>;
}

/**
 * The first method that fits a request.
 * @throws RemoteFailure NoSuchMethod or UnsupportedVersion, as oslo.messaging's dispatcher answers (oslo 1.6).
 */
export function findMethod(endpoints: readonly Endpoint[], request: Request): Method {
  const { method: name, version = defaultVersion } = request;
  if (name.startsWith('_')) throw noSuchMethod(name);
  let isServed = false;
  for (const endpoint of endpoints) {
    if (!serves(endpoint, request.namespace, version)) continue;
    isServed = true;
    const method = Object.hasOwn(endpoint.methods, name) ? endpoint.methods[name] : undefined;
    if (method !== undefined) return method;
  }
  throw isServed ? noSuchMethod(name) : unsupportedVersion(name, version);
}

function serves({ target }: Endpoint, namespace: string | undefined, version: string): boolean {
  const isMeant = namespace === target?.namespace || target?.legacyNamespaces?.includes(namespace) === true;
  return isMeant && offers(target?.version ?? defaultVersion, version);
}

/** A version that is none, sent by a stranger, is one that nobody offers. */
function offers(implemented: string, requested: string): boolean {
  if (implemented === defaultVersion && requested === defaultVersion) return true;
  try {
    return isVersionCompatible(implemented, requested);
  } catch {
    return false;
  }
}

function noSuchMethod(name: string): RemoteFailure {
  const message = `Endpoint does not support RPC method ${name}`;
  return new RemoteFailure({ class: 'NoSuchMethod', module: dispatcherModule, message });
}

function unsupportedVersion(name: string, version: string): RemoteFailure {
  const message = `Endpoint does not support RPC version ${version}. Attempted method: ${name}`;
  return new RemoteFailure({ class: 'UnsupportedVersion', module: dispatcherModule, message });
}
