import type { Notification } from './notification.js';

/**
 * Which notifications an endpoint wants: patterns that must all fit. A text is a regular expression that has to match
 * from the start, as oslo.messaging's filter rules; fields of context, payload and metadata fit only when they are text.
 */
export interface NotificationFilter {
  readonly publisherId?: Pattern;
  readonly eventType?: Pattern;
  readonly context?: Readonly<Record<string, Pattern>>;
  readonly payload?: Readonly<Record<string, Pattern>>;
  readonly metadata?: Readonly<{ messageId?: Pattern; timestamp?: Pattern }>;
}
export type Pattern = string | RegExp;

/** The filter as a function; patterns are compiled once. @throws SyntaxError for a broken pattern. */
export function compileFilter(filter: NotificationFilter): (notification: Omit<Notification, 'priority'>) => boolean {
  const rules: ((notification: Omit<Notification, 'priority'>) => boolean)[] = [];
  const add = (pattern: Pattern, read: (notification: Omit<Notification, 'priority'>) => unknown): void => {
    const expression = new RegExp(`^(?:${typeof pattern === 'string' ? pattern : pattern.source})`, flagsOf(pattern));
    rules.push((notification) => {
      const value = read(notification);
      return typeof value === 'string' && expression.test(value);
    });
  };
  if (filter.publisherId !== undefined) add(filter.publisherId, ({ publisherId }) => publisherId);
  if (filter.eventType !== undefined) add(filter.eventType, ({ eventType }) => eventType);
  for (const [name, pattern] of Object.entries(filter.context ?? {})) add(pattern, ({ context }) => context[name]);
  for (const [name, pattern] of Object.entries(filter.payload ?? {}))
    add(pattern, ({ payload }) => field(payload, name));
  if (filter.metadata?.messageId !== undefined) add(filter.metadata.messageId, ({ messageId }) => messageId);
  if (filter.metadata?.timestamp !== undefined) add(filter.metadata.timestamp, ({ timestamp }) => timestamp);
  return (notification) => rules.every((rule) => rule(notification));
}

function flagsOf(pattern: Pattern): string {
  // Global and sticky expressions remember where they stopped.
  return typeof pattern === 'string' ? '' : pattern.flags.replaceAll(/[gy]/g, '');
}

function field(payload: unknown, name: string): unknown {
  const isObject = typeof payload === 'object' && payload !== null;
  return isObject && Object.hasOwn(payload, name) ? (payload as Record<string, unknown>)[name] : undefined;
}
