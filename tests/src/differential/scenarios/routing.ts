import type { FieldTable } from '@torcello/amqp091';
import { make } from '../scenario.js';
import type { Scenario, Step } from '../scenario.js';

const keys = ['', 'a', 'b', 'a.b', 'a.b.c', 'b.a', '.', 'a.', '.a', 'a..b', '#', '*', 'a.*', 'a.#', 'A', 'a.b.a.b'];
const patterns = ['', 'a', '#', '*', 'a.*', '*.a', 'a.#', '#.a', '#.b.#', '*.*', 'a.*.c', '*.#', '#.#', 'a.b', '*.*.*'];

/** Every pattern bound to a queue of its own, and one message. */
function perKey(type: string, texts: readonly string[]): Scenario[] {
  return keys.map((key) => ({
    name: `${type}: key '${key}'`,
    steps: [
      make.exchange('~x', type),
      ...texts.flatMap((text, at): Step[] => [make.queue(`~q${at}`), make.bind(`~q${at}`, '~x', text)]),
      make.confirm(),
      make.publish(key, 'hello', { exchange: '~x', mandatory: true }),
      make.wait(),
      ...texts.map((_text, at) => make.get(`~q${at}`)),
    ],
  }));
}

const matches: readonly FieldTable[] = [
  {},
  { 'x-match': 'all' },
  { 'x-match': 'any' },
  { 'x-match': 'all', a: 1 },
  { 'x-match': 'any', a: 1, b: 'two' },
  { 'x-match': 'all', a: 1, b: 'two' },
  { a: 1 },
  { 'x-match': 'all-with-x', 'x-a': 1 },
  { 'x-match': 'any-with-x', 'x-a': 1, b: 'two' },
  { 'x-match': 'all', 'x-a': 1 },
  { 'x-match': 'any', a: null },
  { 'x-match': 'all', a: true },
];
const headerSets: readonly FieldTable[] = [
  {},
  { a: 1 },
  { a: 2 },
  { a: '1' },
  { b: 'two' },
  { a: 1, b: 'two' },
  { 'x-a': 1 },
  { 'x-a': 1, b: 'two' },
  { a: 1, c: 3 },
  { a: true },
  { a: null },
];

function headers(): Scenario[] {
  return headerSets.map((sent) => ({
    name: `headers: ${JSON.stringify(sent)}`,
    steps: [
      make.exchange('~x', 'headers'),
      ...matches.flatMap((wanted, at): Step[] => [make.queue(`~q${at}`), make.bind(`~q${at}`, '~x', '', wanted)]),
      make.publish('', 'hello', { exchange: '~x', properties: { headers: sent } }),
      make.wait(),
      ...matches.map((_wanted, at) => make.get(`~q${at}`)),
    ],
  }));
}

const bindExchange = (destination: string, source: string, routingKey = ''): Step =>
  make.send({ name: 'exchange.bind', destination, source, routingKey, arguments: {} });

const copies = (name: string, sent: FieldTable): Scenario => ({
  name,
  steps: [
    make.queue('~a'),
    make.queue('~b'),
    make.queue('~c'),
    make.publish('~a', 'hello', { properties: { headers: sent } }),
    make.wait(),
    make.get('~a'),
    make.get('~b'),
    make.get('~c'),
  ],
});

const single: readonly Scenario[] = [
  copies('CC', { CC: ['~b', '~c'] }),
  copies('BCC', { BCC: ['~b'] }),
  copies('CC and BCC', { CC: ['~b'], BCC: ['~c'], other: 1 }),
  copies('CC names the key again', { CC: ['~a', '~b', '~b'] }),
  copies('CC that is no list', { CC: '~b' }),
  copies('CC with a number', { CC: [5] }),
  {
    name: 'headers: x-match that is unknown',
    steps: [make.exchange('~x', 'headers'), make.queue('~q'), make.bind('~q', '~x', '', { 'x-match': 'some' })],
  },
  {
    name: 'exchange to exchange',
    steps: [
      make.exchange('~a', 'direct'),
      make.exchange('~b', 'topic'),
      make.queue('~q'),
      make.bind('~q', '~b', 'k.#'),
      bindExchange('~b', '~a', 'k.one'),
      make.publish('k.one', '1', { exchange: '~a' }),
      make.publish('k.two', '2', { exchange: '~a', mandatory: true }),
      make.wait(),
      make.get('~q'),
      make.get('~q'),
    ],
  },
  {
    name: 'exchange to exchange in a circle',
    steps: [
      make.exchange('~a', 'fanout'),
      make.exchange('~b', 'fanout'),
      make.queue('~q'),
      make.bind('~q', '~b'),
      bindExchange('~b', '~a'),
      bindExchange('~a', '~b'),
      make.publish('', '1', { exchange: '~a' }),
      make.wait(),
      make.get('~q'),
      make.get('~q'),
    ],
  },
  {
    name: 'alternate exchange takes what nobody matched',
    steps: [
      make.exchange('~rest', 'fanout'),
      make.exchange('~x', 'direct', {}, { 'alternate-exchange': '~rest' }),
      make.queue('~q'),
      make.queue('~r'),
      make.bind('~q', '~x', 'known'),
      make.bind('~r', '~rest'),
      make.publish('known', '1', { exchange: '~x', mandatory: true }),
      make.publish('unknown', '2', { exchange: '~x', mandatory: true }),
      make.wait(),
      make.get('~q'),
      make.get('~r'),
      make.get('~r'),
    ],
  },
  {
    name: 'alternate exchange that is missing',
    steps: [
      make.exchange('~x', 'direct', {}, { 'alternate-exchange': '~none' }),
      make.publish('k', '1', { exchange: '~x', mandatory: true }),
    ],
  },
  {
    name: 'two bindings of one queue deliver once',
    steps: [
      make.queue('~q'),
      make.bind('~q', 'amq.topic', '~a.#'),
      make.bind('~q', 'amq.topic', '~a.*'),
      make.publish('~a.b', '1', { exchange: 'amq.topic' }),
      make.wait(),
      make.get('~q'),
      make.get('~q'),
    ],
  },
  {
    name: 'internal exchange',
    steps: [make.exchange('~x', 'fanout', { internal: true }), make.publish('', '1', { exchange: '~x' }), make.wait()],
  },
  { name: 'missing exchange', steps: [make.publish('', '1', { exchange: '~none' }), make.wait(), make.queue('~q')] },
  {
    name: 'default exchange by queue name',
    steps: [
      make.queue('~q'),
      make.publish('~q', '1'),
      make.publish('~other', '2', { mandatory: true }),
      make.wait(),
      make.get('~q'),
    ],
  },
];

/** The way of a message through every type of exchange. */
export const routingScenarios: readonly Scenario[] = [
  ...perKey('topic', patterns),
  ...perKey('direct', ['', 'a', 'a.b', '#', '*', 'A']),
  ...perKey('fanout', ['', 'a']),
  ...headers(),
  ...single,
];
