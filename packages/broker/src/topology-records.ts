import { createHash } from 'node:crypto';
import { decodeTable, encodeTable } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';

/** Declarations as they lie in the store: one JSON value a thing, argument tables as the bytes of the wire. */
export interface ExchangeRecord {
  readonly vhost: string;
  readonly name: string;
  readonly type: string;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: string;
}
export interface QueueRecord {
  readonly vhost: string;
  readonly name: string;
  readonly number: number;
  readonly autoDelete: boolean;
  readonly arguments: string;
}
export interface BindingRecord {
  readonly vhost: string;
  readonly source: string;
  readonly destination: string;
  readonly toExchange: boolean;
  readonly routingKey: string;
  readonly arguments: string;
}

/** First word of the keys of each kind of declaration. */
export const recordKinds = {
  format: 'format',
  vhost: 'vhost',
  exchange: 'exchange',
  queue: 'queue',
  binding: 'binding',
  user: 'user',
  policy: 'policy',
  stop: 'stop',
} as const;

/** A key made of words; each is escaped, so that names may hold anything. */
export function recordKey(kind: string, ...names: readonly string[]): string {
  return [kind, ...names.map(encodeURIComponent)].join('/');
}

/** A binding is named by all of its parts, which together may be too long for a key. */
export function bindingKey(record: BindingRecord): string {
  const { vhost, source, destination, toExchange, routingKey } = record;
  const parts = JSON.stringify([vhost, source, destination, toExchange, routingKey, record.arguments]);
  return recordKey(recordKinds.binding, createHash('sha256').update(parts).digest('hex'));
}

export function tableToText(table: FieldTable): string {
  return Buffer.from(encodeTable(table)).toString('base64');
}

export function tableFromText(text: string): FieldTable {
  return decodeTable(Buffer.from(text, 'base64'), { keepTypes: true });
}
