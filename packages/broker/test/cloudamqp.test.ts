import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { AMQPClient, AMQPError } from '@cloudamqp/amqp-client';
import type { AMQPBaseClient, AMQPMessage } from '@cloudamqp/amqp-client';
import { testBroker } from './support/test-broker.js';

async function open(t: TestContext, url: string): Promise<AMQPBaseClient> {
  const connection = await new AMQPClient(url).connect();
  connection.onerror = () => undefined;
  t.after(() => (connection.closed ? undefined : connection.close()));
  return connection;
}

test('@cloudamqp/amqp-client declares, publishes with confirms, consumes, acknowledges and cancels', async (t) => {
  const { url, broker } = await testBroker(t);
  const channel = await (await open(t, url)).channel();
  await channel.exchangeDeclare('orders', 'topic');
  await channel.queueDeclare('q', { durable: true }, { 'x-max-priority': 3 });
  await channel.queueBind('q', 'orders', 'new.#');
  await channel.confirmSelect();
  for (let number = 1; number <= 10; number++) {
    const properties = { deliveryMode: 2, headers: { number } };
    assert.equal(await channel.basicPublish('orders', 'new.x', `${number}`, properties), number);
  }
  const taken: string[] = [];
  let enough: () => void = () => undefined;
  const all = new Promise<void>((resolve) => (enough = resolve));
  await channel.prefetch(3);
  const consumer = await channel.basicConsume('q', { noAck: false }, async (message: AMQPMessage) => {
    taken.push(message.bodyString() ?? '');
    await message.ack();
    if (taken.length === 10) enough();
  });
  await all;
  await consumer.cancel();
  assert.deepEqual(taken, ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
  const [ok] = [await channel.queueDeclare('q', { passive: true })];
  assert.equal(ok.messageCount, 0);
  assert.equal(broker.vhosts.get('/')?.queues.get('q')?.unsettledCount, 0);
});

test('@cloudamqp/amqp-client sees returns, gets, rejects, transactions and errors, and comes back after them', async (t) => {
  const { url } = await testBroker(t);
  const connection = await open(t, url);
  const channel = await connection.channel();
  const returned = new Promise<AMQPMessage>((resolve) => (channel.onReturn = resolve));
  await channel.basicPublish('', 'nowhere', 'lost', {}, true);
  assert.equal((await returned).replyCode, 312);
  await channel.queueDeclare('q', { durable: true });
  await channel.txSelect();
  await channel.basicPublish('', 'q', 'one');
  await channel.txCommit();
  const first = await channel.basicGet('q', { noAck: false });
  await first?.reject(true);
  await channel.txCommit();
  const second = await channel.basicGet('q', { noAck: true });
  assert.deepEqual([second?.bodyString(), second?.redelivered], ['one', true]);
  await assert.rejects(channel.queueDeclare('q', { durable: false }), AMQPError);
  const again = await connection.channel();
  assert.equal((await again.queueDeclare('q', { passive: true })).name, 'q');
  await connection.close();
  const back = await open(t, url);
  assert.equal((await (await back.channel()).queueDeclare('q', { passive: true })).messageCount, 0);
});
