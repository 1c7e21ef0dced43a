import type { Observer } from './observer.js';

/** A policy as a row of definitions. `~` in pattern and values stands for the scenario's own prefix of names. */
export interface PolicyRow {
  readonly name: string;
  readonly pattern: string;
  readonly 'apply-to': string;
  readonly definition: Readonly<Record<string, string | number>>;
  readonly priority?: number;
  readonly isOperator?: true;
}

type Step = (it: Observer) => Promise<void>;

/** What is done before there are policies, with the first ones, with the second ones, and when they are gone. */
export interface PolicyScenario {
  readonly name: string;
  readonly key: string;
  readonly first?: readonly PolicyRow[];
  readonly second?: readonly PolicyRow[];
  readonly before?: Step;
  readonly withFirst?: Step;
  readonly withSecond?: Step;
  readonly after?: Step;
}

type Definition = PolicyRow['definition'];

function policy(definition: Definition, more: Partial<PolicyRow> = {}): PolicyRow {
  return { name: 'p', pattern: '^~', 'apply-to': 'queues', definition, ...more };
}
function operator(definition: Definition): PolicyRow {
  return policy(definition, { name: 'op', isOperator: true });
}

const five = ['1', '2', '3', '4', '5'];
const live: Step = async (it) => {
  await it.publish('q', five);
  await it.drain('q');
};
const declared =
  (args: Record<string, unknown> = {}): Step =>
  (it) =>
    it.queue('q', args);

/** Where argument, policy and operator name a length each: what five publishes leave. */
function lengths(): Omit<PolicyScenario, 'key'>[] {
  const choices = [undefined, 2, 4];
  const combinations = choices.flatMap((own) =>
    choices.flatMap((users) => choices.map((operators) => ({ own, users, operators }))),
  );
  return combinations.map(({ own, users, operators }) => ({
    name: `of five messages some stay: argument ${own}, policy ${users}, operator ${operators}`,
    first: [
      ...(users === undefined ? [] : [policy({ 'max-length': users })]),
      ...(operators === undefined ? [] : [operator({ 'max-length': operators })]),
    ],
    before: declared(own === undefined ? {} : { 'x-max-length': own }),
    withFirst: live,
    after: live,
  }));
}

/** Patterns that this broker understands: whether they reach the queue `~q`. */
function patterns(): Omit<PolicyScenario, 'key'>[] {
  const texts = [
    '^~',
    '^~q$',
    '~q',
    '~',
    '^~.*$',
    '^~.*q$',
    '^(~q|~x)$',
    '~x|~q',
    '^~x$',
    '^~q$|^$',
    '\\.~',
    '~\\-q',
    '^~q.*q',
  ];
  return texts.map((pattern) => ({
    name: `the pattern ${pattern}`,
    first: [policy({ 'max-length': 1 }, { pattern })],
    before: declared(),
    withFirst: live,
  }));
}

const others: readonly Omit<PolicyScenario, 'key'>[] = [
  {
    name: 'messages that wait are cut to the length of a new policy, and die of it',
    first: [
      policy({ 'max-length': 2, 'dead-letter-exchange': '', 'dead-letter-routing-key': '~dead' }, { pattern: '^~q$' }),
    ],
    before: async (it) => {
      await it.queue('q');
      await it.queue('dead');
      await it.publish('q', five);
    },
    withFirst: async (it) => {
      await it.wait(100);
      await it.drain('q');
      await it.drain('dead');
    },
  },
  {
    name: 'a length in bytes',
    first: [policy({ 'max-length-bytes': 3 })],
    second: [policy({ 'max-length-bytes': 1 })],
    before: declared(),
    withFirst: (it) => it.publish('q', five),
    withSecond: (it) => it.drain('q'),
    after: live,
  },
  {
    name: 'a time to live holds for what comes, not for what waits',
    first: [policy({ 'message-ttl': 50 })],
    before: async (it) => {
      await it.queue('q');
      await it.publish('q', ['old']);
    },
    withFirst: async (it) => {
      await it.wait(200);
      await it.drain('q');
      await it.publish('q', ['new']);
      await it.wait(200);
      await it.drain('q');
    },
    after: async (it) => {
      await it.publish('q', ['newest']);
      await it.wait(200);
      await it.drain('q');
    },
  },
  {
    name: 'the smaller time to live of argument and policy',
    first: [policy({ 'message-ttl': 100_000 })],
    second: [policy({ 'message-ttl': 20 })],
    before: declared({ 'x-message-ttl': 60 }),
    withFirst: async (it) => {
      await it.publish('q', ['a']);
      await it.wait(250);
      await it.drain('q');
    },
    withSecond: async (it) => {
      await it.publish('q', ['b']);
      await it.wait(250);
      await it.drain('q');
    },
  },
  {
    name: 'a queue ends that nobody used for as long as a policy says',
    first: [policy({ expires: 150 })],
    before: declared(),
    withFirst: async (it) => {
      await it.wait(1_000);
      await it.count('q');
    },
  },
  {
    name: 'a queue that may end is saved by the end of its policy',
    first: [policy({ expires: 60_000 })],
    before: declared(),
    after: async (it) => {
      await it.wait(200);
      await it.count('q');
    },
  },
  {
    name: 'publishes are refused by a policy, and dropped by the next',
    first: [policy({ 'max-length': 2, overflow: 'reject-publish' })],
    second: [policy({ 'max-length': 2, overflow: 'drop-head' })],
    before: declared(),
    withFirst: (it) => it.publish('q', five),
    withSecond: live,
    after: live,
  },
  {
    name: 'the overflow of the declaration counts',
    first: [policy({ 'max-length': 2, overflow: 'reject-publish' })],
    before: declared({ 'x-overflow': 'drop-head' }),
    withFirst: live,
  },
  {
    name: 'dead letters go where policies say',
    first: [policy({ 'dead-letter-exchange': 'amq.fanout' }, { pattern: '^~q$' })],
    second: [policy({ 'dead-letter-exchange': '' }, { pattern: '^~q$' })],
    before: async (it) => {
      await it.queue('q');
      await it.publish('q', five);
    },
    withFirst: async (it) => {
      await it.giveBack('q', false);
      await it.count('q');
    },
    withSecond: async (it) => {
      await it.giveBack('q', false);
      await it.drain('q');
    },
  },
  {
    name: 'a key alone makes no dead letters',
    first: [policy({ 'dead-letter-routing-key': 'x' })],
    before: declared(),
    withFirst: async (it) => {
      await it.publish('q', ['1']);
      await it.giveBack('q', false);
      await it.drain('q');
    },
  },
  {
    name: 'the dead letter exchange of the declaration counts',
    first: [policy({ 'dead-letter-exchange': 'amq.fanout', 'dead-letter-routing-key': 'x' }, { pattern: '^~q$' })],
    before: async (it) => {
      await it.queue('dead');
      await it.queue('q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '~dead' });
    },
    withFirst: async (it) => {
      await it.publish('q', ['1']);
      await it.giveBack('q', false);
      await it.wait(100);
      await it.drain('dead');
    },
  },
  {
    name: 'an alternate exchange comes and goes with a policy',
    first: [policy({ 'alternate-exchange': '~ae' }, { 'apply-to': 'exchanges' })],
    before: async (it) => {
      await it.exchange('x', 'direct');
      await it.exchange('ae', 'fanout');
      await it.exchange('y', 'direct', { 'alternate-exchange': '~ae' });
      await it.queue('q');
      await it.bind('q', 'ae');
    },
    withFirst: async (it) => {
      await it.publish('nobody', ['1'], {}, 'x');
      await it.publish('nobody', ['2'], {}, 'y');
      await it.drain('q');
    },
    after: async (it) => {
      await it.publish('nobody', ['3'], {}, 'x');
      await it.publish('nobody', ['4'], {}, 'y');
      await it.drain('q');
    },
  },
  {
    name: 'of several policies only the highest counts, with all it has and nothing of others',
    first: [
      policy({ 'max-length': 1 }, { name: 'low', priority: 1 }),
      policy({ 'message-ttl': 60_000 }, { name: 'high', priority: 2 }),
    ],
    second: [policy({ 'max-length': 1 }, { name: 'low', priority: 3 })],
    before: declared(),
    withFirst: live,
    withSecond: live,
  },
  {
    name: 'a policy for exchanges is none for queues',
    first: [policy({ 'max-length': 1 }, { 'apply-to': 'exchanges' })],
    before: declared(),
    withFirst: live,
  },
  {
    name: 'a policy for all is one for queues',
    first: [policy({ 'max-length': 1 }, { 'apply-to': 'all' })],
    before: declared(),
    withFirst: live,
  },
  {
    name: 'a queue that is declared later has the policy too, and is equal to one without arguments',
    first: [policy({ 'max-length': 1 })],
    withFirst: async (it) => {
      await it.queue('q');
      await live(it);
      await it.queue('q');
      await it.queue('q', { 'x-max-length': 1 });
      await it.count('q');
    },
  },
  {
    name: 'a quorum queue has a length and a limit of deliveries',
    first: [policy({ 'max-length': 2, 'delivery-limit': 1 })],
    before: declared({ 'x-queue-type': 'quorum' }),
    withFirst: async (it) => {
      await it.publish('q', five);
      await it.giveBack('q', true);
      await it.wait(100);
      await it.giveBack('q', true);
      await it.wait(100);
      await it.drain('q');
    },
  },
  {
    name: 'messages that are out come back over the length of a policy',
    first: [policy({ 'max-length': 2 })],
    before: async (it) => {
      await it.queue('q');
      await it.publish('q', five);
      await it.hold('q');
    },
    withFirst: async (it) => {
      await it.count('q');
      await it.giveBack('q', true);
      await it.wait(100);
      await it.drain('q');
    },
  },
];

export const policyScenarios: readonly PolicyScenario[] = [...lengths(), ...patterns(), ...others].map(
  (scenario, at) => ({ ...scenario, key: `s${at}k` }),
);
