import type { BasicProperties, FieldTable } from '@torcello/amqp091';
import { make } from '../scenario.js';
import type { Scenario, Step } from '../scenario.js';

const bodies = (queue: string, count: number, more: { readonly properties?: BasicProperties } = {}): Step[] =>
  Array.from({ length: count }, (_unused, at) => make.publish(queue, `${at + 1}`, more));
const gets = (queue: string, count: number): Step[] => Array.from({ length: count }, () => make.get(queue));

const settling: readonly Scenario[] = [
  ...[true, false].flatMap((requeue) =>
    [1, 2, 3].map((tag) => ({
      name: `nack ${tag} of three, requeue ${requeue}`,
      steps: [
        make.queue('~q'),
        ...bodies('~q', 3),
        make.get('~q', false),
        make.get('~q', false),
        make.get('~q', false),
        make.nack(tag, requeue),
        make.wait(),
        ...gets('~q', 3),
      ],
    })),
  ),
  ...[1, 2, 3, 0].flatMap((tag) =>
    (['ack', 'nack', 'requeue'] as const).map((how) => ({
      name: `${how} multiple up to ${tag}`,
      steps: [
        make.queue('~q'),
        ...bodies('~q', 4),
        make.get('~q', false),
        make.get('~q', false),
        make.get('~q', false),
        how === 'ack' ? make.ack(tag, true) : make.nack(tag, how === 'requeue', true),
        make.wait(),
        ...gets('~q', 4),
      ],
    })),
  ),
  ...[1, 5].flatMap((tag) =>
    [false, true].map((multiple) => ({
      name: `ack of unknown tag ${tag}${multiple ? ' multiple' : ''}`,
      steps: [make.queue('~q'), make.ack(tag, multiple), make.wait(), make.count('~q')],
    })),
  ),
  {
    name: 'ack twice',
    steps: [
      make.queue('~q'),
      ...bodies('~q', 1),
      make.get('~q', false),
      make.ack(1),
      make.ack(1),
      make.wait(),
      make.count('~q'),
    ],
  },
  {
    name: 'nack multiple 0 with nothing out',
    steps: [make.queue('~q'), make.nack(0, true, true), make.wait(), make.count('~q')],
  },
  {
    name: 'ack multiple 0 with nothing out',
    steps: [make.queue('~q'), make.ack(0, true), make.wait(), make.count('~q')],
  },
  { name: 'reject unknown', steps: [make.queue('~q'), make.reject(3, true), make.wait(), make.count('~q')] },
  {
    name: 'ack of a no-ack delivery',
    steps: [make.queue('~q'), ...bodies('~q', 1), make.get('~q', true), make.ack(1), make.wait(), make.count('~q')],
  },
  {
    name: 'recover gives back, marked',
    steps: [
      make.queue('~q'),
      ...bodies('~q', 2),
      make.get('~q', false),
      make.get('~q', false),
      make.send({ name: 'basic.recover', requeue: true }),
      ...gets('~q', 2),
    ],
  },
  { name: 'recover without requeue', steps: [make.queue('~q'), make.send({ name: 'basic.recover', requeue: false })] },
  {
    name: 'channel close gives back, marked',
    steps: [
      make.queue('~q'),
      ...bodies('~q', 2),
      make.get('~q', false, 'a2'),
      make.send({ name: 'channel.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 }, 'a2'),
      make.wait(),
      ...gets('~q', 2),
    ],
  },
  {
    name: 'connection loss gives back, marked',
    steps: [
      make.queue('~q'),
      ...bodies('~q', 3),
      make.consume('~q', {}, 'b1'),
      make.wait(),
      { cut: 'b' },
      make.wait(200),
      ...gets('~q', 3),
    ],
  },
  {
    name: 'cancel keeps what is out',
    steps: [
      make.queue('~q'),
      ...bodies('~q', 2),
      make.consume('~q'),
      make.wait(),
      make.send({ name: 'basic.cancel', consumerTag: 'c' }),
      make.count('~q'),
      make.ack(1),
      make.nack(2, true),
      make.wait(),
      ...gets('~q', 2),
    ],
  },
];

const shared: readonly Scenario[] = [
  {
    name: 'prefetch of a channel: what one consumer gives free another one may take',
    steps: [
      make.queue('~q'),
      make.queue('~r'),
      make.qos(1, true),
      make.consume('~q'),
      ...bodies('~q', 1),
      make.wait(),
      make.consume('~r', { tag: 'd' }),
      ...bodies('~r', 1),
      make.wait(),
      make.ack(1),
      make.wait(),
    ],
  },
  {
    name: 'prefetch of a channel holds back a consumer without acknowledgements, too',
    steps: [
      make.queue('~q'),
      make.queue('~r'),
      make.qos(1, true),
      make.consume('~q'),
      ...bodies('~q', 1),
      make.wait(),
      make.consume('~r', { tag: 'd', noAck: true }),
      ...bodies('~r', 1),
      make.wait(),
      make.ack(1),
      make.wait(),
    ],
  },
  {
    name: 'prefetch of a channel does not count what was asked for one by one',
    steps: [
      make.queue('~q'),
      make.queue('~r'),
      make.qos(1, true),
      ...bodies('~q', 1),
      make.get('~q', false),
      make.consume('~r', { tag: 'd' }),
      ...bodies('~r', 2),
      make.wait(),
    ],
  },
  {
    name: 'prefetch of a channel in a transaction comes free at the commit',
    steps: [
      make.queue('~q'),
      ...bodies('~q', 2),
      make.send({ name: 'tx.select' }),
      make.qos(1, true),
      make.consume('~q'),
      make.wait(),
      make.ack(1),
      make.wait(),
      make.send({ name: 'tx.commit' }),
      make.wait(),
    ],
  },
];

const prefetches: readonly Scenario[] = [0, 1, 2, 3].flatMap((prefetch) => [
  {
    name: `prefetch ${prefetch} of one consumer`,
    steps: [
      make.queue('~q'),
      make.qos(prefetch),
      ...bodies('~q', 5),
      make.consume('~q'),
      make.wait(),
      make.ack(1),
      make.wait(),
    ],
  },
  {
    name: `prefetch ${prefetch} of two consumers on a channel`,
    steps: [
      make.queue('~q'),
      make.queue('~r'),
      make.qos(prefetch),
      ...bodies('~q', 5),
      ...bodies('~r', 5),
      make.consume('~q'),
      make.consume('~r', { tag: 'd' }),
      make.wait(),
    ].slice(0, prefetch === 0 ? 14 : 15),
  },
  {
    name: `prefetch ${prefetch}, multiple ack`,
    steps: [
      make.queue('~q'),
      make.qos(prefetch),
      ...bodies('~q', 6),
      make.consume('~q'),
      make.wait(),
      make.ack(0, true),
      make.wait(),
    ],
  },
]);

const consuming: readonly Scenario[] = [
  { name: 'consume with a tag of the broker', steps: [make.queue('~q'), make.consume('~q', { tag: '' })] },
  { name: 'consume twice with one tag', steps: [make.queue('~q'), make.consume('~q'), make.consume('~q')] },
  { name: 'consume a missing queue', steps: [make.consume('~none')] },
  { name: 'cancel an unknown tag', steps: [make.send({ name: 'basic.cancel', consumerTag: 'nobody' })] },
  { name: 'get a missing queue', steps: [make.get('~none')] },
  {
    name: 'exclusive consumer beside another',
    steps: [make.queue('~q'), make.consume('~q'), make.consume('~q', { exclusive: true }, 'a2')],
  },
  {
    name: 'consumer beside an exclusive one',
    steps: [make.queue('~q'), make.consume('~q', { exclusive: true }), make.consume('~q', {}, 'a2')],
  },
  {
    name: 'exclusive consumer on single active consumer',
    steps: [make.queue('~q', { 'x-single-active-consumer': true }), make.consume('~q', { exclusive: true })],
  },
  {
    name: 'cancel notify when the queue goes',
    steps: [
      make.queue('~q'),
      make.consume('~q', {}, 'b1'),
      make.send({ name: 'queue.delete', queue: '~q' }),
      make.wait(),
    ],
  },
  {
    name: 'single active consumer: the next takes over after the last ack',
    steps: [
      make.queue('~q', { 'x-single-active-consumer': true }),
      make.consume('~q', { tag: 'first' }),
      make.consume('~q', { tag: 'second' }, 'a2'),
      ...bodies('~q', 2),
      make.wait(),
      make.ack(0, true),
      make.send({ name: 'basic.cancel', consumerTag: 'first' }),
      make.publish('~q', '3'),
      make.wait(),
    ],
  },
  {
    name: 'single active consumer: the next takes over from one with a delivery out',
    steps: [
      make.queue('~q', { 'x-single-active-consumer': true }),
      make.qos(1),
      make.qos(1, false, 'a2'),
      make.consume('~q', { tag: 'first' }),
      make.consume('~q', { tag: 'second' }, 'a2'),
      ...bodies('~q', 3),
      make.wait(),
      make.send({ name: 'basic.cancel', consumerTag: 'first' }),
      make.wait(),
      make.publish('~q', '4'),
      make.wait(),
      make.ack(1),
      make.wait(),
    ],
  },
  {
    name: 'consumer priorities: the higher one gets it',
    steps: [
      make.queue('~q'),
      make.qos(2),
      make.qos(2, false, 'a2'),
      make.consume('~q', { tag: 'low', args: { 'x-priority': -1 } }),
      make.consume('~q', { tag: 'high', args: { 'x-priority': 5 } }, 'a2'),
      ...bodies('~q', 3),
      make.wait(),
    ],
  },
  {
    name: 'consumer priority that is no number',
    steps: [make.queue('~q'), make.consume('~q', { args: { 'x-priority': 'much' } })],
  },
  {
    name: 'consumers take turns',
    steps: [
      make.queue('~q'),
      make.consume('~q', { tag: 'one', noAck: true }),
      make.consume('~q', { tag: 'two', noAck: true }),
      ...[1, 2, 3, 4].flatMap((number): Step[] => [make.publish('~q', `${number}`), make.wait(30)]),
    ],
  },
  {
    name: 'direct reply-to',
    steps: [
      make.queue('~q'),
      make.consume('amq.rabbitmq.reply-to', { noAck: true }),
      make.publish('~q', 'ask', { properties: { replyTo: 'amq.rabbitmq.reply-to' } }),
      make.wait(),
      make.get('~q'),
    ],
  },
  { name: 'direct reply-to with acks', steps: [make.consume('amq.rabbitmq.reply-to')] },
  {
    name: 'direct reply-to twice',
    steps: [
      make.consume('amq.rabbitmq.reply-to', { noAck: true }),
      make.consume('amq.rabbitmq.reply-to', { noAck: true, tag: 'd' }),
    ],
  },
  {
    name: 'direct reply-to without a consumer',
    steps: [
      make.queue('~q'),
      make.publish('~q', 'ask', { properties: { replyTo: 'amq.rabbitmq.reply-to' } }),
      make.wait(),
      make.count('~q'),
    ],
  },
];

/** Which messages a full queue with priorities gives up. */
const crowded: readonly Scenario[] = [
  { 'x-max-length': 4 },
  { 'x-max-length-bytes': 12 },
  { 'x-max-length': 4, 'x-overflow': 'reject-publish' },
].flatMap((limit) =>
  [
    [1, 2, 3, 1, 2, 3, 1, 2, 3],
    [3, 3, 3, 3, 0, 1, 2],
    [0, 0, 0, 0, 3, 2, 1],
  ].map((order) => ({
    name: `priorities ${order.join(' ')} with ${JSON.stringify(limit)}`,
    steps: [
      make.queue('~dead'),
      make.queue('~q', {
        ...limit,
        'x-max-priority': 3,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': '~dead',
      }),
      make.confirm(),
      ...order.map((priority, at) => make.publish('~q', `${at}:${priority}`, { properties: { priority } })),
      make.wait(),
      ...gets('~q', 5),
      ...gets('~dead', 6),
    ],
  })),
);

const priorities: readonly Scenario[] = [0, 1, 5, 255].map((most) => ({
  name: `priorities with x-max-priority ${most}`,
  steps: [
    make.queue('~q', { 'x-max-priority': most }),
    ...[0, 3, 9, 5, undefined, 255, 1].map((priority, at) =>
      make.publish('~q', `${at}: ${priority}`, priority === undefined ? {} : { properties: { priority } }),
    ),
    ...gets('~q', 7),
  ],
}));

const expirations = ['0', '1', '100', '60000', '-1', 'soon', '', '1.5', '4294967295', '4294967296', '99999999999'];
const lives: readonly Scenario[] = [
  ...expirations.map((expiration) => ({
    name: `expiration '${expiration}'`,
    steps: [make.queue('~q'), make.publish('~q', '1', { properties: { expiration } }), make.wait(250), make.get('~q')],
  })),
  ...[
    [100, '60000'],
    [60_000, '100'],
    [100, undefined],
    [0, undefined],
    [60_000, '0'],
  ].map(([ttl, expiration]) => ({
    name: `x-message-ttl ${ttl} and expiration ${expiration}`,
    steps: [
      make.queue('~q', { 'x-message-ttl': Number(ttl) }),
      make.publish('~q', '1', expiration === undefined ? {} : { properties: { expiration: String(expiration) } }),
      make.wait(300),
      make.get('~q'),
    ],
  })),
  {
    name: 'expiration is looked at from the head only',
    steps: [
      make.queue('~q'),
      make.publish('~q', 'stays'),
      make.publish('~q', 'goes', { properties: { expiration: '50' } }),
      make.wait(200),
      make.count('~q'),
      ...gets('~q', 2),
    ],
  },
  {
    name: 'ttl goes on after a requeue',
    steps: [
      make.queue('~q', { 'x-message-ttl': 300 }),
      ...bodies('~q', 1),
      make.get('~q', false),
      make.nack(1, true),
      make.wait(500),
      make.get('~q'),
    ],
  },
  {
    name: 'ttl does not touch what is handed out',
    steps: [
      make.queue('~q', { 'x-message-ttl': 100 }),
      ...bodies('~q', 1),
      make.get('~q', false),
      make.wait(300),
      make.ack(1),
      make.wait(),
      make.count('~q'),
    ],
  },
  {
    name: 'ttl 0 with a consumer',
    steps: [
      make.queue('~q', { 'x-message-ttl': 0 }),
      make.consume('~q', { noAck: true }),
      make.wait(),
      ...bodies('~q', 1),
      make.wait(),
    ],
  },
  {
    name: 'x-expires ends an unused queue',
    steps: [make.queue('~q', { 'x-expires': 100 }), make.wait(400), make.count('~q')],
  },
  {
    name: 'x-expires leaves a queue with a consumer',
    steps: [make.queue('~q', { 'x-expires': 100 }), make.consume('~q'), make.wait(400), make.count('~q')],
  },
];

const lengths: readonly Scenario[] = [0, 1, 2, 3].flatMap((most) =>
  ['drop-head', 'reject-publish', 'reject-publish-dlx'].flatMap((overflow) =>
    ([{ 'x-max-length': most }, { 'x-max-length-bytes': most }] as FieldTable[]).map((limit) => ({
      name: `${JSON.stringify(limit)} ${overflow}`,
      steps: [
        make.queue('~dead'),
        make.queue('~q', {
          ...limit,
          'x-overflow': overflow,
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': '~dead',
        }),
        make.confirm(),
        ...[1, 2, 3, 4].flatMap((number): Step[] => [make.publish('~q', `${number}`), make.wait(40)]),
        ...gets('~q', 4),
        make.wait(),
        ...gets('~dead', 4),
      ],
    })),
  ),
);

/** Settlement, prefetch, consumers, priorities, times to live and lengths. */
export const queueScenarios: readonly Scenario[] = [
  ...settling,
  ...shared,
  ...prefetches,
  ...consuming,
  ...priorities,
  ...crowded,
  ...lives,
  ...lengths,
];
