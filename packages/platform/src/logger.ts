import type { Clock } from './clock.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

/** One line of JSON a call. Fields carry the facts; the message is for people and may change. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  with(fields: LogFields): Logger;
}

const rank: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/**
 * A logger that hands finished lines to `write`, each ending in a line feed.
 * @param options.least - lines below this level are dropped; default `info`.
 */
export function jsonLogger(options: {
  readonly clock: Clock;
  readonly write: (line: string) => void;
  readonly least?: LogLevel;
  readonly fields?: LogFields;
}): Logger {
  const least = rank[options.least ?? 'info'];
  const log = (level: LogLevel, message: string, fields?: LogFields): void => {
    if (rank[level] < least) return;
    const at = new Date(options.clock.now()).toISOString();
    const line = { at, level, message, ...options.fields, ...describeErrors(fields) };
    options.write(`${JSON.stringify(line)}\n`);
  };
  return {
    debug: (message, fields) => log('debug', message, fields),
    info: (message, fields) => log('info', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    error: (message, fields) => log('error', message, fields),
    with: (fields) => jsonLogger({ ...options, fields: { ...options.fields, ...fields } }),
  };
}

/** Drops every line. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLogger,
};

function describeErrors(fields: LogFields | undefined): LogFields {
  const entries = Object.entries(fields ?? {}).map(([key, value]) => [key, describeError(value)]);
  return Object.fromEntries(entries) as LogFields;
}

function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { code } = value as { code?: unknown };
  return {
    name: value.name,
    message: value.message,
    ...(code === undefined ? {} : { code }),
    ...(value.cause === undefined ? {} : { cause: describeError(value.cause) }),
    ...(value.stack === undefined ? {} : { stack: value.stack }),
  };
}
