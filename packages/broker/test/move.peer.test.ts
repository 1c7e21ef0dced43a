import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rabbitMqMissing, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import { connect } from 'amqplib';
import type { Channel, GetMessage } from 'amqplib';
import { runBroker, startBrokerProcess } from './support/broker-process.js';

const skip = rabbitMqMissing() ?? false;
const persistent = { persistent: true };

/** Everything that a queue has, without taking it away for good. */
async function contents(channel: Channel, queue: string): Promise<GetMessage[]> {
  const found: GetMessage[] = [];
  for (let message = await channel.get(queue); message !== false; message = await channel.get(queue))
    found.push(message);
  return found;
}

function texts(messages: readonly GetMessage[]): string[] {
  return messages.map(({ content }) => content.toString());
}

async function declareAll(channel: Channel): Promise<void> {
  await channel.assertExchange('orders', 'topic', { durable: true });
  await channel.assertExchange('twins', 'direct', { durable: true });
  await channel.assertQueue('work', {
    durable: true,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
  });
  await channel.assertQueue('dead', { durable: true });
  await channel.assertQueue('urgent', { durable: true, arguments: { 'x-max-priority': 5 } });
  for (const name of ['left', 'right']) {
    await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.bindQueue(name, 'twins', 'both');
  }
  await channel.bindQueue('work', 'orders', 'new.#');
  await channel.bindQueue('dead', 'orders', 'new.late.#');
}

test(
  'a move to RabbitMQ with messages in flight loses nothing, doubles nothing, and keeps order and addresses',
  { skip, timeout: 300_000 },
  async (t) => {
    const folder = temporaryFolder('move');
    t.after(() => folder.remove());
    const ours = await startBrokerProcess(t, folder.path);
    const connection = await connect(ours.amqp);
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    await declareAll(channel);
    const count = 1_000;
    for (let number = 0; number < count; number++)
      channel.publish('orders', `new.${number}`, Buffer.from(`${number}`), persistent);
    channel.publish('twins', 'both', Buffer.from('twin'), { ...persistent, messageId: 'm-1', headers: { a: 1 } });
    channel.publish('', 'left', Buffer.from('copied'), { ...persistent, CC: ['right'] });
    for (const priority of [1, 4, 2])
      channel.sendToQueue('urgent', Buffer.from(`${priority}`), { ...persistent, priority });
    channel.sendToQueue('urgent', Buffer.from('0'), { ...persistent, expiration: '3600000' });
    await channel.waitForConfirms();
    const back = await channel.get('urgent');
    assert.ok(back !== false, 'one that is given back');
    channel.nack(back, false, true);
    await channel.prefetch(20);
    const reader = await connection.createChannel();
    reader.on('error', () => undefined);
    await reader.prefetch(20);
    let got = 0;
    await new Promise<void>((resolve) => {
      void reader.consume('work', (message) => {
        if (message === null) return;
        got++;
        if (got <= 10) reader.ack(message);
        if (got === 12) reader.nack(message, false, false);
        if (got === 30) resolve();
      });
    });
    await channel.checkQueue('dead');

    const rabbit = await startRabbitMq();
    t.after(() => rabbit.stop());
    const vhost = await rabbit.freshVhost();
    const moving = runBroker(['--data', folder.path, 'move', '--to', rabbit.url(vhost)]);
    t.after(() => moving.stop('SIGKILL'));
    const summary = JSON.parse(await moving.line((text) => text.includes('"moved":true'))) as Record<string, number>;
    assert.deepEqual(await moving.exited, { code: 0, signal: null }, moving.output().stderr);
    await ours.exited;

    const target = await connect(rabbit.url(vhost));
    const there = await target.createConfirmChannel();
    const work = await contents(there, 'work');
    const left = Array.from({ length: count - 10 }, (_, at) => at + 10).filter((number) => number !== 11);
    assert.deepEqual(texts(work), left.map(String), 'what was not acknowledged, in order, once');
    assert.ok(
      work.every(({ fields }) => fields.exchange === 'orders'),
      'as it was addressed',
    );
    const marked = work.filter(({ fields }) => fields.redelivered).length;
    assert.ok(
      work.slice(0, 19).every(({ fields }) => fields.redelivered),
      'those that were out with a reader are marked',
    );
    assert.ok(marked < 100, `${marked} are marked: nobody saw the others`);
    assert.equal(work[0]?.fields.routingKey, 'new.10');
    const dead = await contents(there, 'dead');
    assert.deepEqual(texts(dead), ['11']);
    assert.equal(dead[0]?.properties.headers?.['x-first-death-reason'], 'rejected');
    for (const name of ['left', 'right']) {
      const messages = await contents(there, name);
      assert.deepEqual(texts(messages), ['twin', 'copied'], name);
      assert.equal(messages[0]?.fields.exchange, 'twins');
      assert.equal(messages[0]?.fields.redelivered, false, 'nobody saw it');
      assert.equal(messages[0]?.properties.messageId, 'm-1');
    }
    const urgent = await contents(there, 'urgent');
    assert.deepEqual(texts(urgent), ['4', '2', '1', '0']);
    assert.equal(urgent[0]?.fields.redelivered, true, 'somebody saw it and gave it back');
    const leftMs = Number(urgent[3]?.properties.expiration);
    assert.ok(leftMs > 3_000_000 && leftMs <= 3_600_000, `${leftMs} ms of life are left`);
    there.publish('orders', 'new.late.x', Buffer.from('after'), persistent);
    await there.waitForConfirms();
    assert.deepEqual(
      [texts(await contents(there, 'work')), texts(await contents(there, 'dead'))],
      [['after'], ['after']],
    );
    assert.deepEqual(
      { queues: summary['queues'], messages: summary['messages'] },
      { queues: 5, messages: count - 11 + 1 + 4 + 4 },
    );

    await target.close();
    const again = runBroker(['--data', folder.path, 'move', '--to', rabbit.url(vhost)]);
    const empty = JSON.parse(await again.line((text) => text.includes('"moved":true'))) as Record<string, number>;
    assert.equal(empty['messages'], 0, 'what was moved is not here any more');
    await again.exited;
  },
);

test('a target that cannot be reached, or refuses, costs nothing', async (t) => {
  const folder = temporaryFolder('move-refused');
  t.after(() => folder.remove());
  for (const to of ['nowhere', 'amqp://guest:guest@127.0.0.1:1/x']) {
    const moving = runBroker(['--data', folder.path, 'move', '--to', to]);
    assert.equal((await moving.exited).code, 1);
    assert.match(moving.output().stderr, /^torcello-broker: (move needs --to|the target says)/);
  }
});
