import type { Notifier, Notify } from './notifier.js';
import { isPriority, priorities, type Priority } from './notification.js';

/**
 * Which notifier gets which notification, as the file of oslo.messaging's routing driver: group, then name of a notifier,
 * then globs of event types and priorities in lower case. All rules of an entry must fit; what is absent fits everything.
 */
export type NotificationRoutes = Readonly<Record<string, Readonly<Record<string, NotificationRule>>>>;

export interface NotificationRule {
  readonly accepted_events?: readonly string[];
  readonly accepted_priorities?: readonly string[];
}

/**
 * A notifier that hands each notification to every notifier that some group routes it to, once. Rejects with the first
 * failure after all were tried.
 * @throws TypeError for a route to a name that no notifier has.
 */
export function routedNotifier(notifiers: Readonly<Record<string, Notifier>>, routes: NotificationRoutes): Notifier {
  const entries = Object.values(routes).flatMap((group) => Object.entries(group));
  const compiled = entries.map(([name, rule]) => {
    const to = notifiers[name];
    if (to === undefined) throw new TypeError(`no notifier is named "${name}"`);
    return { to, fits: compileRule(rule) };
  });
  const notify =
    (priority: Priority): Notify =>
    async (eventType, payload, context) => {
      const chosen = new Set(compiled.filter(({ fits }) => fits(eventType, priority)).map(({ to }) => to));
      const sends = [...chosen].map((to) => to[priority](eventType, payload, context));
      const failed = (await Promise.allSettled(sends)).find(({ status }) => status === 'rejected');
      if (failed?.status === 'rejected') throw failed.reason;
    };
  return Object.fromEntries(priorities.map((priority) => [priority, notify(priority)])) as Record<Priority, Notify>;
}

function compileRule(rule: NotificationRule): (eventType: string, priority: Priority) => boolean {
  const { accepted_events: events, accepted_priorities: wanted } = rule;
  const unknown = wanted?.find((glob) => /^\w+$/.test(glob) && !isPriority(glob));
  if (unknown !== undefined) throw new TypeError(`"${unknown}" is no priority`);
  const [fitsEvent, fitsPriority] = [events?.map(globOf), wanted?.map(globOf)];
  return (eventType, priority) =>
    (fitsEvent?.some((glob) => glob.test(eventType)) ?? true) &&
    (fitsPriority?.some((glob) => glob.test(priority)) ?? true);
}

/** Python's `fnmatch`: `*`, `?`, `[abc]`, `[!abc]`; anything else is itself. */
function globOf(glob: string): RegExp {
  const pattern = glob.replaceAll(
    /\*+|\?|\[(!?)([^\]]+)\]|[^*?[]|\[/g,
    (part, not: string | undefined, set?: string) => {
      if (part.startsWith('*')) return '.*';
      if (part === '?') return '.';
      if (set !== undefined) return `[${not === '!' ? '^' : ''}${set.replaceAll(/[\\^\]]/g, String.raw`\$&`)}]`;
      return part.replaceAll(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`);
    },
  );
  return new RegExp(`^${pattern}$`, 's');
}
