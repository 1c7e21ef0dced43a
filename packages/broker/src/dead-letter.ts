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
  const deaths = deathsOf(headers);
  const same = deaths.find((table) => isDeath(table, death.queue, death.reason));
  const newest: FieldTable = {
    count: typed('l', Number(untyped(same?.['count']) ?? 0) + 1),
    reason: death.reason,
    queue: death.queue,
    time: typed('T', Math.floor(death.atMs / 1000)),
    exchange: death.exchange,
    'routing-keys': death.routingKeys,
    ...(expiration === undefined ? {} : { 'original-expiration': expiration }),
  };
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
 * Whether a message has come back to a queue it died in, round a circle in which nobody ever rejected it. RabbitMQ drops
 * such a message, as nothing would ever end its travels.
 */
export function isDeathCycle(headers: FieldTable | undefined, queue: string): boolean {
  const deaths = deathsOf(headers ?? {});
  const isHere = deaths.some((table) => untyped(table['queue']) === queue);
  return isHere && !deaths.some((table) => untyped(table['reason']) === 'rejected');
}

function ends(which: 'first' | 'last', death: Death): FieldTable {
  return {
    [`x-${which}-death-reason`]: death.reason,
    [`x-${which}-death-queue`]: death.queue,
    [`x-${which}-death-exchange`]: death.exchange,
  };
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
