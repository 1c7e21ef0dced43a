import { typed } from '@torcello/amqp091';
import type { FieldTable, FieldValue } from '@torcello/amqp091';
import { durableQueue, make } from '../scenario.js';
import type { Scenario } from '../scenario.js';

const shown = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? Number(inner) : inner));

const numbers: readonly FieldValue[] = [0, 1, 1000, -1, '5', true, 1.5, typed('d', 10), typed('f', 10), 4_294_967_296n];
const texts: readonly FieldValue[] = ['', 'word', 5, true];

/** Values to try for every argument of `queue.declare`. */
const tried: Readonly<Record<string, readonly FieldValue[]>> = {
  'x-message-ttl': numbers,
  'x-expires': numbers,
  'x-max-length': numbers,
  'x-max-length-bytes': numbers,
  'x-max-priority': [0, 1, 10, 255, 256, -1, '5', true],
  'x-overflow': ['drop-head', 'reject-publish', 'reject-publish-dlx', ...texts],
  'x-dead-letter-exchange': texts,
  'x-dead-letter-routing-key': texts,
  'x-single-active-consumer': [true, false, 'yes', 1],
  'x-queue-type': ['classic', 'quorum', ...texts],
  'x-queue-mode': ['default', 'lazy', ...texts],
  'x-queue-version': [1, 2, 3, 'word'],
  'x-max-in-memory-length': [5, -1, 'word'],
  'x-max-in-memory-bytes': [5, -1, 'word'],
  'x-delivery-limit': [5, -1],
  'x-dead-letter-strategy': ['at-most-once', 'at-least-once', ...texts],
  'x-quorum-initial-group-size': [1, 0, -1, 'word'],
  'x-max-age': ['1h', 5],
  'x-unknown': ['word', 5],
};

function valuesOfArguments(): Scenario[] {
  return Object.entries(tried).flatMap(([arg, values]) =>
    values.map((value) => ({
      name: `declare ${arg} ${shown(value)}`,
      steps: [make.queue('~q', { [arg]: value }), make.send({ name: 'queue.delete', queue: '~q' })],
    })),
  );
}

/** The same for a quorum queue, which has other arguments. */
function valuesOfQuorumArguments(): Scenario[] {
  return Object.entries(tried).flatMap(([arg, values]) =>
    (arg === 'x-queue-type' ? [] : values.slice(0, 3)).map((value): Scenario => ({
      name: `declare quorum ${arg} ${shown(value)}`,
      steps: [
        make.queue('~q', { 'x-queue-type': 'quorum', [arg]: value }),
        make.send({ name: 'queue.delete', queue: '~q' }),
      ],
    })),
  );
}

/** One valid value of each argument, another one, and the first one in another type. */
const redeclared: Readonly<Record<string, readonly [FieldValue, FieldValue, FieldValue]>> = {
  'x-message-ttl': [1000, 2000, typed('l', 1000)],
  'x-expires': [60_000, 70_000, typed('l', 60_000)],
  'x-max-length': [10, 11, typed('b', 10)],
  'x-max-length-bytes': [1000, 1001, typed('s', 1000)],
  'x-max-priority': [5, 6, typed('b', 5)],
  'x-overflow': ['drop-head', 'reject-publish', 'drop-head'],
  'x-dead-letter-exchange': ['amq.direct', 'amq.fanout', 'amq.direct'],
  'x-single-active-consumer': [true, false, true],
  'x-queue-type': ['classic', 'quorum', 'classic'],
  'x-queue-mode': ['lazy', 'default', 'lazy'],
  'x-unknown': ['word', 'other', 'word'],
};

function redeclarations(): Scenario[] {
  return Object.entries(redeclared).flatMap(([arg, [value, other, typedValue]]) => {
    const again = (name: string, first: FieldTable, second: FieldTable): Scenario => ({
      name: `redeclare ${arg}: ${name}`,
      steps: [make.queue('~q', first), make.queue('~q', second), make.count('~q')],
    });
    return [
      again('the same', { [arg]: value }, { [arg]: value }),
      again('another value', { [arg]: value }, { [arg]: other }),
      again('another type', { [arg]: value }, { [arg]: typedValue }),
      again('left out', { [arg]: value }, {}),
      again('added', {}, { [arg]: value }),
    ];
  });
}

const flagSets = Array.from({ length: 8 }, (_unused, bits) => ({
  durable: (bits & 1) !== 0,
  exclusive: (bits & 2) !== 0,
  autoDelete: (bits & 4) !== 0,
}));
const named = (flags: Readonly<Record<string, boolean>>): string =>
  Object.keys(flags)
    .filter((flag) => flags[flag])
    .join('+') || 'none';

function queueFlags(): Scenario[] {
  return flagSets.flatMap((first) =>
    flagSets.map((second) => ({
      name: `queue flags ${named(first)} then ${named(second)}`,
      steps: [make.queue('~q', {}, first), make.queue('~q', {}, second), make.count('~q')],
    })),
  );
}

const types = ['direct', 'fanout', 'topic', 'headers'];

function exchangeTypes(): Scenario[] {
  return types.flatMap((first) =>
    types.map((second) => ({
      name: `exchange type '${first}' then '${second}'`,
      steps: [make.exchange('~x', first), make.exchange('~x', second)],
    })),
  );
}

function unknownExchangeTypes(): Scenario[] {
  return ['x-nothing', ''].flatMap((type) => [
    { name: `unknown exchange type '${type}'`, steps: [make.exchange('~x', type)] },
    {
      name: `unknown exchange type '${type}' for an exchange that is there`,
      steps: [make.exchange('~x', 'direct'), make.exchange('~x', type)],
    },
  ]);
}

function exchangeFlags(): Scenario[] {
  const sets = flagSets.map(({ durable, exclusive, autoDelete }) => ({ durable, autoDelete, internal: exclusive }));
  return sets.flatMap((first) =>
    sets.map((second) => ({
      name: `exchange flags ${named(first)} then ${named(second)}`,
      steps: [make.exchange('~x', 'direct', first), make.exchange('~x', 'direct', second)],
    })),
  );
}

const single: readonly Scenario[] = [
  { name: 'queue name of the broker', steps: [make.queue('', {}, { exclusive: true })] },
  {
    name: 'empty queue name means the last one declared',
    steps: [
      make.queue('~q'),
      make.bind('', 'amq.direct'),
      make.publish('~q', '1', { exchange: 'amq.direct' }),
      make.get(''),
    ],
  },
  { name: 'empty queue name before any declare', steps: [make.bind('', 'amq.direct')] },
  { name: 'reserved queue name', steps: [make.queue('amq.mine')] },
  { name: 'reserved exchange name', steps: [make.exchange('amq.mine', 'direct')] },
  {
    name: 'redeclare amq.direct',
    steps: [make.exchange('amq.direct', 'direct'), make.exchange('amq.direct', 'fanout')],
  },
  { name: 'declare the default exchange', steps: [make.exchange('', 'direct')] },
  { name: 'passive declare of the default exchange', steps: [make.exchange('', 'direct', { passive: true })] },
  { name: 'delete the default exchange', steps: [make.send({ name: 'exchange.delete', exchange: '' })] },
  { name: 'delete amq.direct', steps: [make.send({ name: 'exchange.delete', exchange: 'amq.direct' })] },
  { name: 'passive queue missing', steps: [make.count('~none')] },
  { name: 'passive exchange missing', steps: [make.exchange('~none', 'direct', { passive: true })] },
  {
    name: 'passive exchange of another type',
    steps: [make.exchange('~x', 'direct'), make.exchange('~x', 'topic', { passive: true })],
  },
  { name: 'delete queue missing', steps: [make.send({ name: 'queue.delete', queue: '~none' })] },
  { name: 'delete exchange missing', steps: [make.send({ name: 'exchange.delete', exchange: '~none' })] },
  { name: 'purge queue missing', steps: [make.send({ name: 'queue.purge', queue: '~none' })] },
  {
    name: 'unbind what is not bound',
    steps: [
      make.queue('~q'),
      make.send({ name: 'queue.unbind', queue: '~q', exchange: 'amq.direct', routingKey: 'k', arguments: {} }),
    ],
  },
  {
    name: 'unbind from a missing exchange',
    steps: [
      make.queue('~q'),
      make.send({ name: 'queue.unbind', queue: '~q', exchange: '~none', routingKey: 'k', arguments: {} }),
    ],
  },
  {
    name: 'unbind a missing queue',
    steps: [
      make.send({ name: 'queue.unbind', queue: '~none', exchange: 'amq.direct', routingKey: 'k', arguments: {} }),
    ],
  },
  { name: 'bind to a missing exchange', steps: [make.queue('~q'), make.bind('~q', '~none')] },
  { name: 'bind a missing queue', steps: [make.bind('~none', 'amq.direct')] },
  {
    name: 'unbind exchanges that are gone',
    steps: [
      make.exchange('~x', 'fanout'),
      make.send({ name: 'exchange.unbind', source: '~x', destination: '~gone', routingKey: '', arguments: {} }),
      make.send({ name: 'exchange.unbind', source: '~gone', destination: '~x', routingKey: '', arguments: {} }),
      make.send({ name: 'exchange.unbind', source: '~gone', destination: '~away', routingKey: '', arguments: {} }),
    ],
  },
  { name: 'bind to the default exchange', steps: [make.queue('~q'), make.bind('~q', '', 'k')] },
  {
    name: 'bind exchanges that are missing',
    steps: [make.send({ name: 'exchange.bind', source: '~a', destination: '~b', routingKey: '', arguments: {} })],
  },
  {
    name: 'exclusive queue of another connection',
    steps: [
      make.queue('~q', {}, { exclusive: true }),
      make.send({ name: 'queue.declare', queue: '~q', ...durableQueue, passive: true }, 'b1'),
      make.consume('~q', {}, 'b2'),
      make.get('~q', true, 'b3'),
    ],
  },
  {
    name: 'exclusive queue dies with its connection',
    steps: [
      make.queue('~q', {}, { exclusive: true }),
      { cut: 'a' },
      make.queue('~other', {}, {}, 'b1'),
      make.wait(200),
      make.count('~q', 'b1'),
    ],
  },
  {
    name: 'delete if-unused with a consumer',
    steps: [make.queue('~q'), make.consume('~q'), make.send({ name: 'queue.delete', queue: '~q', ifUnused: true })],
  },
  {
    name: 'delete if-empty with a message',
    steps: [make.queue('~q'), make.publish('~q', '1'), make.send({ name: 'queue.delete', queue: '~q', ifEmpty: true })],
  },
  {
    name: 'delete exchange if-unused',
    steps: [
      make.exchange('~x', 'fanout'),
      make.queue('~q'),
      make.bind('~q', '~x'),
      make.send({ name: 'exchange.delete', exchange: '~x', ifUnused: true }),
    ],
  },
  {
    name: 'auto-delete exchange goes with its last binding',
    steps: [
      make.exchange('~x', 'fanout', { autoDelete: true }),
      make.queue('~q'),
      make.bind('~q', '~x'),
      make.send({ name: 'queue.unbind', queue: '~q', exchange: '~x', routingKey: '', arguments: {} }),
      make.exchange('~x', 'fanout', { passive: true }),
    ],
  },
  {
    name: 'auto-delete queue goes with its last consumer',
    steps: [
      make.queue('~q', {}, { autoDelete: true }),
      make.consume('~q'),
      make.send({ name: 'basic.cancel', consumerTag: 'c' }),
      make.wait(100),
      make.count('~q'),
    ],
  },
  {
    name: 'auto-delete queue stays before a first consumer',
    steps: [make.queue('~q', {}, { autoDelete: true }), make.publish('~q', '1'), make.get('~q'), make.count('~q')],
  },
  {
    name: 'purge counts what waits',
    steps: [
      make.queue('~q'),
      make.publish('~q', '1'),
      make.publish('~q', '2'),
      make.get('~q', false),
      make.send({ name: 'queue.purge', queue: '~q' }),
    ],
  },
  {
    name: 'delete counts what waits',
    steps: [
      make.queue('~q'),
      make.publish('~q', '1'),
      make.publish('~q', '2'),
      make.send({ name: 'queue.delete', queue: '~q' }),
    ],
  },
  {
    name: 'alternate exchange redeclared otherwise',
    steps: [
      make.exchange('~x', 'direct', {}, { 'alternate-exchange': 'amq.fanout' }),
      make.exchange('~x', 'direct', {}, { 'alternate-exchange': 'amq.topic' }),
    ],
  },
  {
    name: 'alternate exchange that is no text',
    steps: [make.exchange('~x', 'direct', {}, { 'alternate-exchange': 5 })],
  },
  { name: 'name with a line break', steps: [make.queue('~q\r\n'), make.count('~q')] },
  { name: 'quorum not durable', steps: [make.queue('~q', { 'x-queue-type': 'quorum' }, { durable: false })] },
  { name: 'quorum exclusive', steps: [make.queue('~q', { 'x-queue-type': 'quorum' }, { exclusive: true })] },
  { name: 'quorum auto-delete', steps: [make.queue('~q', { 'x-queue-type': 'quorum' }, { autoDelete: true })] },
];

/** Declaring and declaring again, with every argument and flag. */
export const declareScenarios: readonly Scenario[] = [
  ...valuesOfArguments(),
  ...valuesOfQuorumArguments(),
  ...redeclarations(),
  ...queueFlags(),
  ...exchangeTypes(),
  ...unknownExchangeTypes(),
  ...exchangeFlags(),
  ...single,
];
