import type { FieldTable, FieldValue, OutgoingContentMethod, OutgoingMethod } from '@torcello/amqp091';
import { FrameWriter, methodSpecs } from '@torcello/amqp091';
import { silentLogger } from '@torcello/platform';
import type { Logger } from '@torcello/platform';
import { seededRandom } from '@torcello/platform/testing';

const names = [
  '',
  'a',
  'b',
  'c',
  'amq.topic',
  'amq.fanout',
  'amq.headers',
  'amq.rabbitmq.reply-to',
  'constructor',
  '__proto__',
];
const keys = ['', 'a', 'b', 'a.b', '#', '*.b', 'a.#', 'amq.rabbitmq.reply-to.x'];
const argumentNames = [
  'x-message-ttl',
  'x-expires',
  'x-max-length',
  'x-max-priority',
  'x-dead-letter-exchange',
  'x-dead-letter-routing-key',
  'x-queue-type',
  'x-overflow',
  'x-single-active-consumer',
  'x-delivery-limit',
  'x-match',
  'alternate-exchange',
  'x-priority',
];
const values: readonly FieldValue[] = [
  0,
  1,
  5,
  -1,
  1000,
  'a',
  'b',
  '',
  'quorum',
  'stream',
  'reject-publish',
  true,
  false,
  null,
  3n,
  'any',
  [1, 'a'],
  { a: 1 },
];

/** Makes up what a client might say, sense and nonsense, by a seed. */
export class Chaos {
  readonly #random: ReturnType<typeof seededRandom>;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  upTo(most: number): number {
    return Math.floor(this.#random.fraction() * most);
  }

  one<T>(choices: readonly T[]): T {
    const chosen = choices[this.upTo(choices.length)];
    if (chosen === undefined) throw new RangeError('nothing to choose from');
    return chosen;
  }

  table(): FieldTable {
    const count = this.upTo(3) === 0 ? this.upTo(3) : 0;
    return Object.fromEntries(Array.from({ length: count }, () => [this.one(argumentNames), this.one(values)]));
  }

  field(name: string, type: string): unknown {
    if (type === 'bit') return this.upTo(name === 'passive' || name === 'immediate' ? 10 : 3) === 0;
    if (type === 'table') return this.table();
    if (type === 'longstr') return new Uint8Array(0);
    if (type === 'shortstr' || type === 'longtext') return this.text(name);
    return this.upTo(type === 'octet' ? 256 : 12);
  }

  text(name: string): string {
    if (name === 'type') return this.one(['direct', 'topic', 'fanout', 'headers', 'odd']);
    if (name === 'routingKey') return this.one(keys);
    return name === 'consumerTag' ? this.one(['', 't1', 't2', 't3']) : this.one(names);
  }

  /** Any method of a channel that a client may send, with any arguments. */
  method(): OutgoingMethod {
    const usual = methodSpecs.filter(({ name }) => !name.startsWith('connection.') && !name.startsWith('channel.'));
    const allowed =
      this.upTo(200) === 0
        ? methodSpecs
        : usual.filter(({ from, name }) => from !== 'server' && !name.startsWith('tx'));
    const spec = this.one(allowed);
    const fields = spec.fields.map(({ name, type }) => [name, this.field(name, type)] as const);
    return { name: spec.name, ...Object.fromEntries(fields) } as OutgoingMethod;
  }

  /** The method as bytes, with a content where it needs one. */
  bytes(channel: number, method: OutgoingMethod): Buffer {
    const writer = new FrameWriter();
    const properties = {
      ...(this.upTo(3) === 0 ? { expiration: this.one(['0', '5', '1000', 'soon']) } : {}),
      ...(this.upTo(3) === 0 ? { headers: { CC: this.one<FieldValue>([['a'], ['b', 'c'], 'x']) } } : {}),
      ...(this.upTo(3) === 0 ? { replyTo: 'amq.rabbitmq.reply-to' } : {}),
      deliveryMode: 1 + this.upTo(2),
      priority: this.upTo(10),
    };
    const hasContent = methodSpecs.some(({ name, hasContent: has }) => has && name === method.name);
    const content = { properties, body: new Uint8Array(this.upTo(50)) };
    if (hasContent) writer.content(channel, method as OutgoingContentMethod, content);
    else writer.method(channel, method);
    return Buffer.concat(writer.take());
  }
}

/** A logger that keeps what failed inside the broker. */
export function noticing(failures: unknown[]): Logger {
  const error = (message: string, fields?: object): void => void failures.push([message, fields]);
  return { ...silentLogger, error, with: () => noticing(failures) };
}
