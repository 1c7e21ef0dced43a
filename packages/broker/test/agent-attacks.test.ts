import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { silentLogger } from '@torcello/platform';
import { defaultLimits } from '../src/index.js';
import { startManagement } from '../src/management/management.js';
import { testBroker } from './support/test-broker.js';
import type { TestBroker } from './support/test-broker.js';

/** What an agent may open, as the API sets it. */
const limits = { 'max-connections': 8, 'max-channels': 32 };
const login = `Basic ${Buffer.from('guest:guest').toString('base64')}`;

interface Stage extends TestBroker {
  /** The control plane's own channel. */
  readonly owner: ConfirmChannel;
  readonly connectAgent: () => Promise<ChannelModel>;
}

/** Two agents with an account each, made as the API makes them; the attacker is a1. */
async function stage(t: TestContext): Promise<Stage> {
  const one = await testBroker(t);
  const at = { host: '127.0.0.1', port: 0 };
  const management = await startManagement({ broker: one.broker, limits: defaultLimits, logger: silentLogger, at });
  t.after(() => management.stop());
  const put = async (path: string, body: unknown): Promise<void> => {
    const url = `http://127.0.0.1:${management.address.port}/api/${path}`;
    const answer = await fetch(url, { method: 'PUT', headers: { authorization: login }, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
  };
  const owner = await (await connect(one.url)).createConfirmChannel();
  await owner.assertExchange('agents', 'topic');
  for (const queue of ['tasks', 'results']) await owner.assertQueue(queue);
  await owner.bindQueue('results', 'agents', '#');
  for (const agent of ['a1', 'a2']) {
    const queue = `mailbox.${agent}`;
    await owner.assertQueue(queue);
    owner.sendToQueue(queue, Buffer.from('plan'), { persistent: true });
    await put(`users/${agent}`, agent === 'a1' ? { password: 'secret', tags: '' } : { password_hash: '', tags: '' });
    await put(`permissions/%2f/${agent}`, { configure: '^$', write: '^agents$', read: `^mailbox\\.${agent}$` });
    const rights = { exchange: 'agents', write: `^${agent}\\..*$`, read: '^$' };
    await put(`topic-permissions/%2f/${agent}`, rights);
    for (const [limit, value] of Object.entries(limits)) await put(`user-limits/${agent}/${limit}`, { value });
  }
  owner.sendToQueue('tasks', Buffer.from('task'), { persistent: true });
  await owner.waitForConfirms();
  const connectAgent = async (): Promise<ChannelModel> => {
    const connection = await connect(one.url.replace('guest:guest', 'a1:secret'));
    connection.on('error', () => undefined);
    connection.setMaxListeners(0);
    return connection;
  };
  return { ...one, owner, connectAgent };
}

/** amqplib hides the code of a close that comes instead of `connection.open-ok`; limits.test.ts looks at it: 530. */
function codeOfOpening(error: unknown): number {
  return /Expected ConnectionOpenOk; got <ConnectionClose/.test(String(error)) ? 530 : codeOf(error);
}

/** Runs an attack on a fresh channel, and gives the code that it is refused with; 0 when it is not. */
async function refusal(
  connection: ChannelModel,
  attack: (channel: ConfirmChannel) => Promise<unknown>,
): Promise<number> {
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<number>((resolve) => (fail = (error) => resolve(codeOf(error))));
  connection.once('error', fail);
  const channel = await Promise.race([failed, connection.createConfirmChannel().catch(later)]);
  if (typeof channel === 'number') return channel;
  channel.on('error', fail);
  const done = attack(channel).then(
    () => 0,
    (error: unknown) => codeOf(error),
  );
  return Promise.race([failed, done]);
}

/** The connection may still say why. */
async function later(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  return NaN;
}

function codeOf(error: unknown): number {
  return Number((error as { readonly code?: unknown }).code);
}

function publish(
  channel: ConfirmChannel,
  at: readonly [exchange: string, key: string],
  more: Publish = {},
): Promise<void> {
  const { body = 'forged', ...options } = more;
  return new Promise((resolve, reject) => {
    channel.publish(...at, Buffer.from(body), options, (error: unknown) => {
      if (error === null || error === undefined) resolve();
      else reject(new Error('not confirmed'));
    });
  });
}

interface Publish {
  readonly body?: string;
  readonly userId?: string;
}

type Attack = (agent: ChannelModel, stage: Stage) => Promise<number>;
const onChannel =
  (attack: (channel: ConfirmChannel) => Promise<unknown>): Attack =>
  (agent) =>
    refusal(agent, attack);

/** Repeats an attack, and gives the first refusal; 0 when there was none. */
async function firstRefusal(times: number, attack: (number: number) => Promise<number>): Promise<number> {
  for (let number = 0; number < times; number++) {
    const code = await attack(number);
    if (code !== 0) return code;
  }
  return 0;
}

/** The sixteen ways in which one agent may try to harm others, and the code that each is refused with. */
const attacks: readonly [what: string, code: number, attack: Attack][] = [
  ["reads another's mailbox", 403, onChannel((channel) => channel.consume('mailbox.a2', () => undefined))],
  ["sends to another's mailbox", 403, onChannel((channel) => publish(channel, ['', 'mailbox.a2']))],
  ["purges another's mailbox", 403, onChannel((channel) => channel.purgeQueue('mailbox.a2'))],
  ["deletes another's mailbox", 403, onChannel((channel) => channel.deleteQueue('mailbox.a2'))],
  ['takes tasks', 403, onChannel((channel) => channel.get('tasks'))],
  ['injects tasks', 403, onChannel((channel) => publish(channel, ['', 'tasks']))],
  ["reads others' results", 403, onChannel((channel) => channel.consume('results', () => undefined))],
  ["forges others' results", 403, onChannel((channel) => publish(channel, ['agents', 'a2.result']))],
  ['deletes the exchange', 403, onChannel((channel) => channel.deleteExchange('agents'))],
  ['taps results into its mailbox', 403, onChannel((channel) => channel.bindQueue('mailbox.a1', 'agents', '#'))],
  [
    'makes a hundred queues',
    403,
    (agent) => firstRefusal(100, (number) => refusal(agent, (channel) => channel.assertQueue(`mine.${number}`))),
  ],
  ['signs as another', 406, onChannel((channel) => publish(channel, ['agents', 'a1.result'], { userId: 'a2' }))],
  [
    'probes which queues there are',
    403,
    async (agent) => {
      const codes = [];
      for (const queue of ['mailbox.a2', 'nobody'])
        codes.push(await refusal(agent, (channel) => channel.checkQueue(queue)));
      assert.equal(codes[0], codes[1], 'a queue that is there looks like one that is not');
      return codes[0] ?? 0;
    },
  ],
  ['opens five hundred channels', 530, (agent) => firstRefusal(500, () => refusal(agent, () => Promise.resolve()))],
  [
    'sends a message of 20 MB',
    406,
    onChannel((channel) => publish(channel, ['agents', 'a1.result'], { body: 'x'.repeat(20_000_000) })),
  ],
  [
    'opens fifty connections',
    530,
    (_agent, { connectAgent }) => firstRefusal(50, () => connectAgent().then(() => 0, codeOfOpening)),
  ],
];

test('the attacks are sixteen, each with a name of its own', () => {
  assert.equal(new Set(attacks.map(([what]) => what)).size, 16);
});

attacks.forEach(([what, code, attack], at) => {
  test(`attack ${at + 1}: an agent ${what} and is refused with ${code}, and nothing is different`, async (t) => {
    const scene = await stage(t);
    const queues = [...(scene.broker.vhosts.get('/')?.queues.keys() ?? [])];
    const agent = await scene.connectAgent();
    assert.equal(await attack(agent, scene), code);
    assert.deepEqual([...(scene.broker.vhosts.get('/')?.queues.keys() ?? [])], queues);
    const counts = { 'mailbox.a1': 1, 'mailbox.a2': 1, tasks: 1, results: 0 };
    for (const [queue, count] of Object.entries(counts)) {
      const { messageCount, consumerCount } = await scene.owner.checkQueue(queue);
      assert.deepEqual([messageCount, consumerCount], [count, 0], queue);
    }
    await scene.owner.checkExchange('agents');
    assert.equal(scene.broker.vhosts.get('/')?.exchanges.get('agents')?.bindings.size, 1);
    const open = scene.broker.connections().filter(({ user }) => user === 'a1').length;
    assert.ok(open <= limits['max-connections'], `${open} connections`);
  });
});

test('what the agent is for goes on: it reads its mailbox and answers under its name', async (t) => {
  const { connectAgent, owner } = await stage(t);
  const channel = await (await connectAgent()).createConfirmChannel();
  const plan = await channel.get('mailbox.a1');
  assert.ok(plan !== false, 'the plan');
  channel.ack(plan);
  await publish(channel, ['agents', 'a1.result'], { userId: 'a1' });
  assert.equal((await owner.checkQueue('results')).messageCount, 1);
});
