import { MessagingError, type ErrorCode } from '../errors.js';
import { parseJson, stringifyJson } from '../wire/json.js';

/**
 * Thrown by a method to answer with exactly this failure. `module: 'builtins'` and the name of a Python exception make a
 * Python caller raise that exception; other modules arrive there as RemoteError with the class name in `exc_type`.
 */
export class RemoteFailure extends Error {
  /** For callers of ours: a code of the application, and data to go with it. */
  readonly code: string | undefined;
  readonly class: string;
  readonly module: string;
  readonly data: unknown;

  constructor(failure: {
    readonly message: string;
    readonly class: string;
    /** Default `torcello`. */
    readonly module?: string;
    readonly code?: string;
    /** Any JSON. */
    readonly data?: unknown;
  }) {
    super(failure.message);
    this.name = 'RemoteFailure';
    this.class = failure.class;
    this.module = failure.module ?? 'torcello';
    this.code = failure.code;
    this.data = failure.data;
  }
}

/** What a REMOTE_ERROR carries in its `details`. */
export interface RemoteErrorDetails {
  readonly class: string;
  readonly module: string;
  readonly message: string;
  readonly args: readonly unknown[];
  readonly traceback: readonly string[];
  readonly code?: string;
  readonly data?: unknown;
}

/** Module of the errors that a dispatcher answers with, as oslo.messaging names it. */
export const dispatcherModule = 'oslo_messaging.rpc.dispatcher';

/** JavaScript's error classes that Python has too. */
const pythonTwins: ReadonlySet<string> = new Set(['TypeError', 'SyntaxError']);

/** The failure string of an error that a method threw (oslo 1.6). */
export function encodeFailure(error: unknown): string {
  const failure = error instanceof RemoteFailure ? error : foreignFailure(error);
  const suffixed = failure.class.endsWith('_Remote') && failure.module.endsWith('_Remote');
  const plain = (name: string): string => (suffixed ? name.slice(0, -'_Remote'.length) : name);
  return stringifyJson({
    class: plain(failure.class),
    module: plain(failure.module),
    message: failure.message,
    tb: [`${failure.class}: ${failure.message}\n`],
    args: [failure.message],
    kwargs: {},
    ...(failure.code === undefined ? {} : { code: failure.code }),
    ...(failure.data === undefined ? {} : { data: failure.data }),
  });
}

/** The error that a caller gets for a failure string; one that cannot be read is a remote error all the same. */
export function decodeFailure(text: string): MessagingError {
  const details = readDetails(text);
  const code = codeOf(details);
  return new MessagingError(code, `${details.class}: ${details.message}`, { details: { ...details } });
}

function codeOf(details: RemoteErrorDetails): ErrorCode {
  if (details.module !== dispatcherModule) return 'REMOTE_ERROR';
  if (details.class === 'NoSuchMethod') return 'NO_SUCH_METHOD';
  return details.class === 'UnsupportedVersion' ? 'UNSUPPORTED_VERSION' : 'REMOTE_ERROR';
}

function readDetails(text: string): RemoteErrorDetails {
  const failure = parseFailure(text);
  const string = (name: string): string => (typeof failure[name] === 'string' ? failure[name] : '');
  const list = (name: string): readonly unknown[] => (Array.isArray(failure[name]) ? failure[name] : []);
  const module = string('module');
  return {
    class: string('class'),
    // Python 2 called it so.
    module: module === 'exceptions' ? 'builtins' : module,
    message: string('message'),
    args: list('args'),
    traceback: list('tb').filter((line) => typeof line === 'string'),
    ...(typeof failure['code'] === 'string' ? { code: failure['code'] } : {}),
    ...(failure['data'] === undefined ? {} : { data: failure['data'] }),
  };
}

function parseFailure(text: string): Readonly<Record<string, unknown>> {
  try {
    const value = parseJson(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Not JSON: the text itself is all there is to say.
  }
  return { class: 'Unknown', module: '', message: text };
}

/** Class and message travel, the stack stays at home. */
function foreignFailure(error: unknown): RemoteFailure {
  if (!(error instanceof Error)) return new RemoteFailure({ class: 'Error', module: 'js', message: String(error) });
  const module = pythonTwins.has(error.name) ? 'builtins' : 'js';
  const { code } = error as { code?: unknown };
  return new RemoteFailure({
    class: error.name,
    module,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
  });
}
