import { untyped, typed } from '@torcello/amqp091';
import type { BasicProperties, FieldTable, FieldValue } from '@torcello/amqp091';
import type { DeathReason } from './queue/queue.js';

/** One death of a message: where, why and what it was addressed to. */
export interface Death {
  readonly queue: string;
  readonly reason: DeathReason;
  readonly exchange: string;
  readonly routingKeys: readonly string[];
  /** Wall-clock instant, milliseconds since 1970. */
  readonly atMs: number;
}

/** Entries of `x-death`, the newest; a message that travels for ever shall not grow for ever. */
const deathsKeptMax = 16;

/**
 * The properties of a message after a death, as RabbitMQ writes them: `x-death` counts deaths by queue and reason with the
 * newest in front, `x-first-death-*` and `x-last-death-*` name the ends, and the sender's expiration moves into the table.
 */
export function propertiesAfterDeath(properties: BasicProperties, death: Death): BasicProperties {
  const { expiration, headers = {}, ...rest } = properties;
  const deaths = grouped(deathsOf(headers));
  const same = deaths.find((table) => isDeath(table, death.queue, death.reason));
  const newest: FieldTable =
    same === undefined
      ? {
          count: typed('l', 1),
          reason: death.reason,
          queue: death.queue,
          time: typed('T', Math.floor(death.atMs / 1000)),
          exchange: death.exchange,
          'routing-keys': death.routingKeys,
          ...(expiration === undefined ? {} : { 'original-expiration': expiration }),
        }
      : { ...same, count: typed('l', countOf(same) + 1) };
  return {
    ...rest,
    headers: {
      ...headers,
      'x-death': [newest, ...deaths.filter((table) => table !== same)].slice(0, deathsKeptMax),
      ...(headers['x-death'] === undefined ? ends('first', death) : {}),
      ...ends('last', death),
    },
  };
}

/**
 * Whether a message has come back to a queue it died in, and nobody rejected it since. RabbitMQ drops such a message, as
 * nothing would ever end its travels.
 */
export function isDeathCycle(headers: FieldTable | undefined, queue: string): boolean {
  for (const table of deathsOf(headers ?? {})) {
    if (untyped(table['reason']) === 'rejected') return false;
    if (untyped(table['queue']) === queue) return true;
  }
  return false;
}

function ends(which: 'first' | 'last', death: Death): FieldTable {
  return {
    [`x-${which}-death-reason`]: death.reason,
    [`x-${which}-death-queue`]: death.queue,
    [`x-${which}-death-exchange`]: death.exchange,
  };
}

/** One entry for each queue and reason, also where a sender wrote several. Entries without a count count as 1 each. */
function grouped(deaths: readonly FieldTable[]): FieldTable[] {
  const groups = new Map<string, FieldTable>();
  for (const table of deaths) {
    const key = JSON.stringify([untyped(table['queue']), untyped(table['reason'])]);
    const first = groups.get(key);
    if (first === undefined) groups.set(key, { ...table, count: typed('l', countOf(table)) });
    else if (table['count'] === undefined) groups.set(key, { ...first, count: typed('l', countOf(first) + 1) });
  }
  return [...groups.values()];
}

function countOf(table: FieldTable): number {
  const count = Number(untyped(table['count']) ?? 1);
  return Number.isSafeInteger(count) ? count : 1;
}

function deathsOf(headers: FieldTable): FieldTable[] {
  const value = headers['x-death'];
  return Array.isArray(value) ? (value as FieldValue[]).filter(isTable) : [];
}

function isDeath(table: FieldTable, queue: string, reason: DeathReason): boolean {
  return untyped(table['queue']) === queue && untyped(table['reason']) === reason;
}

function isTable(value: FieldValue): value is FieldTable {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject && !(value instanceof Date) && !(value instanceof Uint8Array) && untyped(value) === value;
}
