import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { rabbitMqMissing, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import { connect } from 'amqplib';
import type { Channel, ConfirmChannel, GetMessage, Options } from 'amqplib';
import { runBroker, startBrokerProcess } from './support/broker-process.js';
import type { BrokerProcess } from './support/broker-process.js';

const skip = rabbitMqMissing() ?? false;
const persistent = { persistent: true };
const oddQueue = 'wörk/ün %2f 📦';

async function contents(channel: Channel, queue: string): Promise<GetMessage[]> {
  const found: GetMessage[] = [];
  for (let message = await channel.get(queue); message !== false; message = await channel.get(queue))
    found.push(message);
  return found;
}

function texts(messages: readonly GetMessage[]): string[] {
  return messages.map(({ content }) => content.toString());
}

/** Runs the move to its end and gives its sum. */
async function moved(folder: string, to: string): Promise<Record<string, number>> {
  const moving = runBroker(['--data', folder, 'move', '--to', to]);
  const { code } = await moving.exited;
  const { stdout, stderr } = moving.output();
  assert.equal(code, 0, stderr + stdout);
  const last = stdout.trim().split('\n').at(-1) ?? '';
  return JSON.parse(last) as Record<string, number>;
}

async function confirming(url: string): Promise<{ channel: ConfirmChannel; close: () => Promise<void> }> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return { channel, close: () => connection.close() };
}

async function manage(ours: BrokerProcess, method: string, path: string, body?: unknown): Promise<string> {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`;
  const more = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(`${ours.management}/api/${path}`, { method, headers: { authorization }, ...more });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response.text();
}

/** Properties without the count that a quorum queue adds. */
function asSent({ properties: all }: GetMessage): unknown {
  const { 'x-delivery-count': _count, ...more } = all.headers ?? {};
  return { ...all, headers: more };
}

/** Headers of every type that a client of RabbitMQ can send. */
const headers: Readonly<Record<string, unknown>> = {
  text: 'ä',
  yes: true,
  small: { '!': 'int8', value: -5 },
  short: { '!': 'int16', value: -300 },
  int: 70_000,
  long: { '!': 'int64', value: 2 ** 40 },
  float: { '!': 'float', value: 1.5 },
  double: 1.25,
  decimal: { '!': 'decimal', value: { places: 2, digits: 314 } },
  time: { '!': 'timestamp', value: 1_700_000_000 },
  bytes: Buffer.from([0, 1, 255]),
  nothing: null,
  list: ['a', 1, ['b', { c: [true, null] }]],
  table: { in: { deep: { list: [{ x: 1 }] } } },
};

const properties: Options.Publish = {
  persistent: true,
  contentType: 'application/x-odd',
  contentEncoding: 'utf-9',
  headers: headers as Record<string, unknown>,
  priority: 7,
  correlationId: 'c-1',
  replyTo: 'back',
  messageId: 'm-1',
  timestamp: 1_700_000_001,
  type: 'kind',
  userId: 'guest',
  appId: 'app',
};

async function declareAll(channel: Channel): Promise<void> {
  await channel.assertExchange('events', 'topic', { alternateExchange: 'unrouted' });
  await channel.assertExchange('unrouted', 'fanout');
  await channel.assertExchange('inner', 'direct', { internal: true });
  await channel.assertExchange('by-header', 'headers');
  await channel.assertExchange('passing', 'direct', { durable: true, autoDelete: true });
  await channel.bindExchange('inner', 'events', 'in.#');
  const quorum = { arguments: { 'x-queue-type': 'quorum' } };
  for (const name of ['one', 'two', 'strays', oddQueue, 'ends']) await channel.assertQueue(name);
  await channel.assertQueue('raft', quorum);
  await channel.assertQueue('single', { arguments: { 'x-queue-type': 'quorum', 'x-single-active-consumer': true } });
  await channel.assertQueue('leaves', { durable: true, autoDelete: true });
  await channel.assertQueue('idle', { arguments: { 'x-expires': 60_000 } });
  await channel.assertQueue('full', { arguments: { 'x-max-length': 5, 'x-overflow': 'reject-publish' } });
  await channel.assertQueue('latest', { arguments: { 'x-max-length': 5 } });
  await channel.bindQueue('one', 'events', 'a.#');
  await channel.bindQueue('two', 'events', '#');
  await channel.bindQueue('raft', 'events', 'a.*');
  await channel.bindQueue('strays', 'unrouted', '');
  await channel.bindQueue(oddQueue, 'inner', 'in.x');
  await channel.bindQueue('one', 'by-header', '', { 'x-match': 'any', colour: 'red', size: 3 });
  await channel.bindQueue('leaves', 'passing', 'k');
  await channel.bindQueue('two', 'passing', 'other');
}

/** A way of trying again: work that was rejected waits, and comes back by itself. */
async function declareRetries(channel: Channel): Promise<void> {
  await channel.assertExchange('work-in', 'direct');
  await channel.assertExchange('wait-in', 'direct');
  await channel.assertQueue('work', { arguments: { 'x-dead-letter-exchange': 'wait-in' } });
  await channel.assertQueue('wait', { arguments: { 'x-message-ttl': 3_000, 'x-dead-letter-exchange': 'work-in' } });
  await channel.bindQueue('work', 'work-in', 'job');
  await channel.bindQueue('wait', 'wait-in', 'job');
}

test(
  'every kind of message and queue arrives as it was, also where definitions were imported before',
  { skip, timeout: 300_000 },
  async (t) => {
    const folder = temporaryFolder('move-all');
    t.after(() => folder.remove());
    const ours = await startBrokerProcess(t, folder.path);
    const { channel } = await confirming(ours.amqp);
    await declareAll(channel);
    await declareRetries(channel);
    channel.publish('events', 'a.b', Buffer.from('all'), properties);
    channel.publish('events', 'in.x', Buffer.from('inner'), persistent);
    channel.publish('by-header', '', Buffer.from('red'), { ...persistent, headers: { colour: 'red' } });
    channel.publish('unrouted', 'z', Buffer.from('stray'), persistent);
    channel.publish('events', 'q', Buffer.from('copy'), { ...persistent, CC: ['a.c', 'in.x'], BCC: ['a.d'] });
    channel.publish('passing', 'k', Buffer.from('leaving'), persistent);
    channel.sendToQueue('single', Buffer.from('s'), persistent);
    channel.sendToQueue('raft', Buffer.from('transient'), { persistent: false });
    channel.sendToQueue('idle', Buffer.from('i'), persistent);
    channel.sendToQueue('ends', Buffer.from('soon'), { ...persistent, expiration: '86400000' });
    for (let number = 0; number < 5; number++) channel.sendToQueue('full', Buffer.from(`${number}`), persistent);
    for (let number = 0; number < 9; number++) channel.sendToQueue('latest', Buffer.from(`${number}`), persistent);
    for (let number = 0; number < 20; number++) channel.publish('work-in', 'job', Buffer.from(`${number}`), persistent);
    await channel.waitForConfirms();
    for (const queue of ['leaves', 'single', 'idle']) {
      if (queue === 'single') continue;
      const back = await channel.get(queue);
      assert.ok(back !== false, queue);
      channel.nack(back, false, true);
    }
    const reader = await confirming(ours.amqp);
    const held = [await reader.channel.get('full'), await reader.channel.get('full')];
    assert.ok(
      held.every((message) => message !== false),
      'two are out with a reader',
    );
    for (const text of ['5', '6']) channel.sendToQueue('full', Buffer.from(text), persistent);
    for (let number = 0; number < 10; number++) {
      const job = await channel.get('work');
      if (job !== false) channel.nack(job, false, false);
    }
    await channel.waitForConfirms();
    const before = await confirming(ours.amqp);
    const whole = await contents(before.channel, 'raft');
    await before.close();

    const rabbit = await startRabbitMq();
    t.after(() => rabbit.stop());
    const vhost = await rabbit.freshVhost();
    const file = join(folder.path, 'definitions.json');
    writeFileSync(file, (await manage(ours, 'GET', 'definitions/%2f')).replaceAll('torcello@localhost', vhost));
    const withVhost = JSON.parse(await manage(ours, 'GET', 'definitions/%2f')) as Record<string, unknown[]>;
    for (const part of ['queues', 'exchanges', 'bindings']) {
      withVhost[part] = (withVhost[part] ?? []).map((row) => ({ ...(row as object), vhost }));
    }
    writeFileSync(file, JSON.stringify(withVhost));
    await rabbit.control('import_definitions', file);

    const sum = await moved(folder.path, rabbit.url(vhost));
    const there = await confirming(rabbit.url(vhost));
    const found = async (queue: string): Promise<string[]> => texts(await contents(there.channel, queue));
    assert.deepEqual(await found('one'), ['all', 'red', 'copy']);
    assert.deepEqual(await found('two'), ['all', 'inner', 'copy']);
    assert.deepEqual(await found('strays'), ['stray']);
    assert.deepEqual(await found(oddQueue), ['inner', 'copy']);
    const raft = await contents(there.channel, 'raft');
    assert.deepEqual(raft.map(asSent), whole.map(asSent));
    assert.deepEqual(texts(raft), ['all', 'copy', 'transient']);
    assert.deepEqual(
      raft.map(({ fields }) => [fields.exchange, fields.routingKey]),
      whole.map(({ fields }) => [fields.exchange, fields.routingKey]),
    );
    const leaving = await contents(there.channel, 'leaves');
    assert.deepEqual(
      [texts(leaving), leaving[0]?.fields.exchange, leaving[0]?.fields.redelivered],
      [['leaving'], 'passing', true],
    );
    assert.deepEqual(await found('idle'), ['i']);
    assert.deepEqual(await found('ends'), ['soon']);
    const full = await contents(there.channel, 'full');
    assert.deepEqual(texts(full), ['0', '1', '2', '3', '4', '5', '6']);
    assert.ok(
      full.slice(0, 2).every(({ fields }) => fields.redelivered),
      'what was out comes back marked',
    );
    assert.deepEqual(await found('latest'), ['4', '5', '6', '7', '8']);
    const jobs = new Set<string>();
    for (const until = performance.now() + 30_000; jobs.size < 20 && performance.now() < until;) {
      for (const text of [...(await found('work')), ...(await found('wait'))]) {
        assert.ok(!jobs.has(text), `job ${text} came once`);
        jobs.add(text);
      }
    }
    assert.equal(jobs.size, 20, 'jobs that wait for their next try are there, and come back');
    there.channel.publish('passing', 'k', Buffer.from('after'), persistent);
    there.channel.publish('events', 'in.x', Buffer.from('after'), persistent);
    await there.channel.waitForConfirms();
    assert.deepEqual(
      [await found('leaves'), await found(oddQueue), await found('two'), await found('strays')],
      [['after'], ['after'], ['after'], []],
      'bindings are as they were',
    );
    assert.equal(sum['bindings'], 11);
    await there.close();
  },
);
