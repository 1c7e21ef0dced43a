import { Typed } from '@torcello/amqp091';
import type { Command } from '@torcello/amqp091';
import { deviations } from './deviations.js';

/** Headers that hold an instant of the run. */
const instants = new Set(['time', 'timestamp_in_ms']);

/**
 * What one client saw, in the parts whose order means something: answers in their order, deliveries by consumer, returns,
 * confirms by number. How confirms are grouped, texts of errors, names and tags that the broker makes are left out.
 */
export class Transcript {
  readonly #parts = new Map<string, string[]>();
  readonly #outcomes = new Map<string, Map<number, string>>();
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  saw(place: string, { method, ...content }: Command): void {
    if (method.name === 'basic.ack' || method.name === 'basic.nack') {
      return this.#confirmed(place, method.name, method);
    }
    const part =
      method.name === 'basic.deliver' ? `${place} to ${method.consumerTag}` : `${place} ${kindOf(method.name)}`;
    const lines = this.#parts.get(part) ?? [];
    this.#parts.set(part, lines);
    const body =
      'body' in content ? { properties: content.properties, body: Buffer.from(content.body).toString() } : {};
    lines.push(this.#shown({ ...method, ...body }));
  }

  /** A note of the runner, for example that a step could not be taken. */
  note(place: string, text: string): void {
    const part = `${place} answers`;
    this.#parts.set(part, [...(this.#parts.get(part) ?? []), text]);
  }

  toString(): string {
    const parts = [...this.#parts].map(([part, lines]) => `${part}\n${lines.map((line) => `  ${line}\n`).join('')}`);
    const confirms = [...this.#outcomes].map(([place, outcomes]) => {
      const told = [...outcomes].toSorted(([a], [b]) => a - b).map(([tag, outcome]) => `${tag} ${outcome}`);
      return `${place} confirms: ${told.join(', ')}\n`;
    });
    return [...parts, ...confirms].toSorted().join('');
  }

  #confirmed(place: string, name: string, method: { readonly deliveryTag: number; readonly multiple: boolean }): void {
    const outcomes = this.#outcomes.get(place) ?? new Map<number, string>();
    this.#outcomes.set(place, outcomes);
    const from = method.multiple ? 1 : method.deliveryTag;
    for (let tag = from; tag <= method.deliveryTag; tag++) if (!outcomes.has(tag)) outcomes.set(tag, name);
  }

  #shown(value: unknown): string {
    const text = JSON.stringify(value, (key, inner: unknown) => {
      if (key === 'replyText' && typeof inner === 'string') return inner.split(' - ')[0];
      if (deviations.headersLeftOut.some((prefix) => key.startsWith(prefix))) return undefined;
      if (instants.has(key)) return 'an instant';
      if (inner instanceof Typed) return { [`type ${inner.tag}`]: plain(inner.value) };
      return sorted(plain(inner));
    });
    return text
      .replaceAll(this.#prefix, '~')
      .replaceAll(/amq\.gen-[\w-]+/g, 'amq.gen')
      .replaceAll(/amq\.ctag-[\w-]+/g, 'amq.ctag')
      .replaceAll(/amq\.rabbitmq\.reply-to\.[\w.=+/-]+/g, 'amq.rabbitmq.reply-to.NAME');
  }
}

function kindOf(name: string): string {
  if (name === 'basic.return') return 'returns';
  return name === 'basic.cancel' ? 'cancels' : 'answers';
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** The same table in another order is the same table. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
