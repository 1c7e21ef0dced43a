import { typed } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';
import { make } from '../scenario.js';
import type { Scenario, Step } from '../scenario.js';

const toDead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~dead' };

/** Ways to die, as the arguments that make it happen and the steps after the publish. */
const deaths: Readonly<Record<string, { readonly args: FieldTable; readonly steps: readonly Step[] }>> = {
  rejected: { args: {}, steps: [make.get('~q', false), make.reject(1, false)] },
  nacked: { args: {}, steps: [make.get('~q', false), make.nack(1, false)] },
  expired: { args: { 'x-message-ttl': 50 }, steps: [make.wait(250)] },
  maxlen: { args: { 'x-max-length': 1 }, steps: [make.publish('~q', 'second'), make.wait()] },
};

/** A death that the sender says happened before, as older brokers wrote it: without a count. */
function earlier(queue: string, reason: string, count?: number): FieldTable {
  return {
    queue,
    reason,
    exchange: '',
    'routing-keys': ['k'],
    ...(count === undefined ? {} : { count: typed('l', count) }),
  };
}

const letters: Readonly<Record<string, FieldTable>> = {
  plain: {},
  'with headers': { a: 1, b: ['two'] },
  'with x-death of its own': { 'x-death': 'rubbish' },
  'with deaths of another queue': { 'x-death': [earlier('~p', 'expired'), earlier('~p', 'expired')] },
  'with counted deaths': { 'x-death': [earlier('~p', 'expired', 3), earlier('~p', 'expired', 2)] },
  'with deaths of this queue': { 'x-death': [earlier('~q', 'expired', 7)] },
  'with CC': { CC: ['~cc'] },
  'with BCC': { BCC: ['~cc'] },
};

function everyDeath(): Scenario[] {
  return Object.entries(deaths).flatMap(([reason, { args, steps }]) =>
    Object.entries(letters).map(([what, headers]) => ({
      name: `dead letter: ${reason}, ${what}`,
      steps: [
        make.queue('~dead'),
        make.queue('~cc'),
        make.queue('~q', { ...args, ...toDead }),
        make.publish('~q', 'first', { properties: { headers, messageId: 'm', expiration: '60000', deliveryMode: 2 } }),
        ...steps,
        make.wait(),
        make.get('~dead'),
        make.get('~dead'),
        make.get('~cc'),
      ],
    })),
  );
}

function deadLetterKeys(): Scenario[] {
  return ['fanout', 'topic', 'direct'].flatMap((type) =>
    [undefined, 'new.key'].map((key) => ({
      name: `dead letter to ${type} with key ${key ?? 'of the message'}`,
      steps: [
        make.exchange('~dlx', type),
        make.queue('~dead'),
        make.bind('~dead', '~dlx', key ?? '~q'),
        make.queue('~q', {
          'x-dead-letter-exchange': '~dlx',
          ...(key === undefined ? {} : { 'x-dead-letter-routing-key': key }),
        }),
        make.publish('~q', '1'),
        make.get('~q', false),
        make.reject(1, false),
        make.wait(),
        make.get('~dead'),
      ],
    })),
  );
}

const copies: Readonly<Record<string, FieldTable>> = {
  CC: { CC: ['~copy'] },
  BCC: { BCC: ['~copy'] },
  'CC and BCC': { CC: ['~copy'], BCC: ['~hidden', '~copy'] },
  'an empty BCC': { BCC: [] },
};

/** What becomes of the sender's copies when the dead letter keeps its routing key, takes another one, or dies again. */
function deadCopies(): Scenario[] {
  const reads = ['~copy', '~hidden', '~end'].flatMap((queue) => [make.get(queue), make.get(queue)]);
  const keys: Readonly<Record<string, FieldTable>> = {
    'its key': {},
    'a new key': { 'x-dead-letter-routing-key': '~end' },
  };
  return Object.entries(copies).flatMap(([what, headers]) =>
    Object.entries(keys).flatMap(([which, key]) => [
      {
        name: `dead letter with ${what} keeps ${which}`,
        steps: [
          make.exchange('~dlx', 'direct'),
          ...['~copy', '~hidden', '~end'].flatMap((queue) => [make.queue(queue), make.bind(queue, '~dlx', queue)]),
          make.queue('~q', { 'x-dead-letter-exchange': '~dlx', ...key }),
          make.publish('~q', 'first', { properties: { headers, deliveryMode: 2 } }),
          make.get('~q', false),
          make.reject(1, false),
          make.wait(),
          ...reads,
        ],
      },
      {
        name: `dead letter with ${what} keeps ${which} and dies again`,
        steps: [
          make.exchange('~dlx', 'direct'),
          make.exchange('~again', 'fanout'),
          ...['~copy', '~hidden', '~end'].map((queue) => make.queue(queue)),
          make.queue('~middle', { 'x-dead-letter-exchange': '', 'x-message-ttl': 0 }),
          make.bind('~middle', '~again'),
          make.queue('~q', { 'x-dead-letter-exchange': '~again', ...key }),
          make.publish('~q', 'first', { properties: { headers, deliveryMode: 2 } }),
          make.get('~q', false),
          make.reject(1, false),
          make.wait(),
          ...reads,
        ],
      },
    ]),
  );
}

/** A queue that hands on at once what it gets, to another one. */
const relay = (name: string, to: string): Step =>
  make.queue(name, { 'x-message-ttl': 0, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': to });

const single: readonly Scenario[] = [
  {
    name: 'dead letter: a chain of five queues',
    steps: [
      make.queue('~5'),
      ...[4, 3, 2, 1].map((number) => relay(`~${number}`, `~${number + 1}`)),
      make.publish('~1', 'first'),
      make.wait(),
      make.get('~5'),
    ],
  },
  {
    name: 'dead letter: a rejection opens the circle again',
    steps: [
      make.queue('~1', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~2' }),
      relay('~2', '~3'),
      relay('~3', '~1'),
      make.publish('~1', 'first'),
      make.get('~1', false),
      make.reject(1, false),
      make.wait(),
      make.get('~1', false),
      make.reject(2, false),
      make.wait(),
      make.get('~1'),
    ],
  },
  {
    name: 'dead letter: a circle with a rejection long ago ends',
    steps: [
      make.queue('~0', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~1' }),
      relay('~1', '~2'),
      relay('~2', '~1'),
      make.publish('~0', 'first'),
      make.get('~0', false),
      make.reject(1, false),
      make.wait(),
      make.count('~1'),
      make.count('~2'),
    ],
  },
  {
    name: 'dead letter to a missing exchange',
    steps: [
      make.queue('~q', { 'x-dead-letter-exchange': '~none' }),
      make.publish('~q', '1'),
      make.get('~q', false),
      make.reject(1, false),
      make.wait(),
      make.count('~q'),
    ],
  },
  {
    name: 'dead letter that dies twice',
    steps: [
      make.queue('~end'),
      make.queue('~middle', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~end', 'x-message-ttl': 50 }),
      make.queue('~q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~middle' }),
      make.publish('~q', '1'),
      make.get('~q', false),
      make.reject(1, false),
      make.wait(250),
      make.get('~end'),
    ],
  },
  {
    name: 'dead letter comes round and is rejected again',
    steps: [
      make.queue('~wait', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~q', 'x-message-ttl': 50 }),
      make.queue('~q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~wait' }),
      make.publish('~q', '1'),
      make.get('~q', false),
      make.reject(1, false),
      make.wait(250),
      make.get('~q', false),
      make.reject(2, false),
      make.wait(250),
      make.get('~q'),
    ],
  },
  {
    name: 'dead letter circle without a rejection is dropped',
    steps: [
      make.queue('~a', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~b', 'x-message-ttl': 30 }),
      make.queue('~b', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~a', 'x-message-ttl': 30 }),
      make.publish('~a', '1'),
      make.wait(300),
      make.count('~a'),
      make.count('~b'),
    ],
  },
  {
    name: 'dead letter to itself',
    steps: [
      make.queue('~q', { 'x-dead-letter-exchange': '', 'x-message-ttl': 30 }),
      make.publish('~q', '1'),
      make.wait(200),
      make.count('~q'),
    ],
  },
  {
    name: 'dead letter key without an exchange',
    steps: [make.queue('~q', { 'x-dead-letter-routing-key': 'k' })],
  },
];

const mandatories: readonly Scenario[] = [true, false].flatMap((mandatory) =>
  ['', '~x', 'amq.topic', 'amq.headers', 'amq.fanout'].map((exchange) => ({
    name: `unroutable at '${exchange}', mandatory ${mandatory}`,
    steps: [
      make.exchange('~x', 'direct'),
      make.confirm(),
      make.publish('~nobody', 'text', {
        exchange,
        mandatory,
        properties: { contentType: 'text/plain', headers: { a: 1 } },
      }),
      make.wait(),
    ],
  })),
);

const tx = (name: 'tx.select' | 'tx.commit' | 'tx.rollback', on: 'a1' | 'a2' = 'a1'): Step => make.send({ name }, on);
const transactions: readonly Scenario[] = [
  { name: 'tx.select twice', steps: [tx('tx.select'), tx('tx.select')] },
  { name: 'tx.commit without select', steps: [tx('tx.commit')] },
  { name: 'tx.rollback without select', steps: [tx('tx.rollback')] },
  { name: 'tx after confirm', steps: [make.confirm(), tx('tx.select')] },
  { name: 'confirm after tx', steps: [tx('tx.select'), make.confirm()] },
  ...(['tx.commit', 'tx.rollback'] as const).flatMap((end) => [
    {
      name: `publishes and ${end}`,
      steps: [
        make.queue('~q'),
        tx('tx.select'),
        make.publish('~q', '1'),
        make.publish('~q', '2'),
        make.count('~q', 'a2'),
        tx(end),
        make.count('~q', 'a2'),
        make.get('~q', true, 'a2'),
      ],
    },
    {
      name: `acks and ${end}`,
      steps: [
        make.queue('~q'),
        make.publish('~q', '1'),
        make.publish('~q', '2'),
        tx('tx.select'),
        make.get('~q', false),
        make.get('~q', false),
        make.ack(1),
        make.nack(2, true),
        make.wait(),
        make.count('~q', 'a2'),
        tx(end),
        make.wait(),
        make.count('~q', 'a2'),
        make.get('~q', true, 'a2'),
        make.send({ name: 'channel.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 }),
        make.wait(),
        make.get('~q', true, 'a2'),
        make.get('~q', true, 'a2'),
      ],
    },
    {
      name: `mandatory return at ${end}`,
      steps: [tx('tx.select'), make.publish('~nobody', '1', { mandatory: true }), make.wait(), tx(end), make.wait()],
    },
    {
      name: `ack of unknown tag and ${end}`,
      steps: [tx('tx.select'), make.ack(7), make.wait(), tx(end)],
    },
    {
      name: `publish to a missing exchange and ${end}`,
      steps: [tx('tx.select'), make.publish('k', '1', { exchange: '~none' }), make.wait(), tx(end)],
    },
  ]),
];

const confirms: readonly Scenario[] = [
  { name: 'confirm.select twice', steps: [make.confirm(), make.confirm()] },
  {
    name: 'confirms of ten publishes',
    steps: [
      make.queue('~q'),
      make.confirm(),
      ...Array.from({ length: 10 }, (_unused, at) =>
        make.publish('~q', `${at}`, { properties: { deliveryMode: at % 2 === 0 ? 2 : 1 } }),
      ),
      make.wait(200),
      make.count('~q'),
    ],
  },
];

const refusals: readonly Scenario[] = [
  { name: 'immediate', steps: [make.queue('~q'), make.publish('~q', '1', { immediate: true }), make.wait()] },
  {
    name: 'prefetch size',
    steps: [make.send({ name: 'basic.qos', prefetchSize: 1, prefetchCount: 0, global: false })],
  },
  { name: 'channel.flow off', steps: [make.send({ name: 'channel.flow', active: false })] },
  { name: 'channel.flow on', steps: [make.send({ name: 'channel.flow', active: true })] },
  {
    name: 'user-id of somebody else',
    steps: [make.queue('~q'), make.publish('~q', '1', { properties: { userId: 'root' } }), make.wait()],
  },
  {
    name: 'user-id of oneself',
    steps: [make.queue('~q'), make.publish('~q', '1', { properties: { userId: 'guest' } }), make.get('~q')],
  },
  { name: 'channel opened twice', steps: [make.queue('~q'), make.send({ name: 'channel.open' })] },
  {
    name: 'a content method without content',
    steps: [make.queue('~q'), make.send({ name: 'basic.recover', requeue: true })],
  },
  {
    name: 'every property comes through',
    steps: [
      make.queue('~q'),
      make.publish('~q', 'body', {
        properties: {
          contentType: 'text/plain',
          contentEncoding: 'utf-8',
          headers: { number: 1, text: 'a', list: [1, 'b', { c: true }], nothing: null },
          deliveryMode: 2,
          priority: 3,
          correlationId: 'c',
          replyTo: 'r',
          expiration: '10000',
          messageId: 'm',
          timestamp: 1_700_000_000,
          type: 't',
          appId: 'app',
        },
      }),
      make.get('~q'),
    ],
  },
  {
    name: 'headers that fill half of a frame',
    steps: [
      make.queue('~q'),
      make.publish('~q', 'body', { properties: { headers: { long: 'x'.repeat(70_000) } } }),
      make.get('~q'),
    ],
  },
  { name: 'an empty body', steps: [make.queue('~q'), make.publish('~q', ''), make.get('~q')] },
  {
    name: 'a body over many frames',
    steps: [make.queue('~q'), make.publish('~q', 'x'.repeat(300_000)), make.get('~q')],
  },
];

/** Dead letters, returns, confirms, transactions and refusals. */
export const letterScenarios: readonly Scenario[] = [
  ...everyDeath(),
  ...deadLetterKeys(),
  ...deadCopies(),
  ...single,
  ...mandatories,
  ...transactions,
  ...confirms,
  ...refusals,
];
