import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import type { ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib';
import { testBroker } from './support/test-broker.js';
import type { TestBroker } from './support/test-broker.js';

async function open(t: TestContext, { url }: TestBroker): Promise<ChannelModel> {
  const connection = await connect(url, { noDelay: true });
  connection.on('error', () => undefined);
  t.after(() => connection.close().catch(() => undefined));
  return connection;
}

async function confirmChannel(t: TestContext, broker: TestBroker): Promise<ConfirmChannel> {
  const channel = await (await open(t, broker)).createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

/** The first `count` deliveries of a queue, unsettled. */
async function receive(channel: ConfirmChannel, queue: string, count: number): Promise<ConsumeMessage[]> {
  const messages: ConsumeMessage[] = [];
  await new Promise<void>((resolve, reject) => {
    const take = (message: ConsumeMessage | null): void => {
      if (message !== null) messages.push(message);
      if (messages.length === count) resolve();
    };
    channel.consume(queue, take).catch(reject);
  });
  return messages;
}

test('a confirmed message is delivered with its properties and headers', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertQueue('q', { durable: true });
  const headers = { text: 'ä', number: 5, nested: { list: [1, 'two', true] } };
  channel.sendToQueue('q', Buffer.from('hello'), {
    persistent: true,
    headers,
    messageId: 'm1',
    contentType: 'text/plain',
  });
  await channel.waitForConfirms();
  const [message] = await receive(channel, 'q', 1);
  assert.equal(message?.content.toString(), 'hello');
  assert.equal(message.properties.messageId, 'm1');
  assert.equal(message.properties.deliveryMode, 2);
  assert.deepEqual(message.properties.headers, headers);
  assert.equal(message.fields.redelivered, false);
});

test('a body of many frames arrives as it was', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertQueue('q');
  const body = Buffer.alloc(1_000_000, 'abcdefghij');
  channel.sendToQueue('q', body);
  await channel.waitForConfirms();
  const [message] = await receive(channel, 'q', 1);
  assert.equal(message?.content.equals(body), true);
});

test('a mandatory message that nobody takes comes back before its confirm', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  const events: string[] = [];
  channel.on('return', () => events.push('return'));
  await new Promise<void>((resolve) => {
    channel.publish('', 'nowhere', Buffer.from('x'), { mandatory: true }, () => {
      events.push('confirm');
      resolve();
    });
  });
  assert.deepEqual(events, ['return', 'confirm']);
});

test('a topic exchange leads to the queues whose pattern matches', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertExchange('x', 'topic');
  await channel.assertQueue('one');
  await channel.assertQueue('two');
  await channel.bindQueue('one', 'x', 'a.*');
  await channel.bindQueue('two', 'x', '#');
  channel.publish('x', 'a.b', Buffer.from('1'));
  channel.publish('x', 'c', Buffer.from('2'));
  await channel.waitForConfirms();
  assert.equal((await channel.checkQueue('one')).messageCount, 1);
  assert.equal((await channel.checkQueue('two')).messageCount, 2);
});

test('messages given back return to their old places, marked as redelivered', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertQueue('q');
  for (const body of ['1', '2', '3']) channel.sendToQueue('q', Buffer.from(body));
  await channel.waitForConfirms();
  const first = await channel.get('q');
  const second = await channel.get('q');
  assert.ok(first !== false && second !== false);
  channel.nack(second, false, true);
  channel.nack(first, false, true);
  const again = await receive(channel, 'q', 3);
  assert.deepEqual(
    again.map(({ content, fields }) => [content.toString(), fields.redelivered]),
    [
      ['1', true],
      ['2', true],
      ['3', false],
    ],
  );
});

test('prefetch bounds what is unsettled', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertQueue('q');
  for (let number = 0; number < 5; number++) channel.sendToQueue('q', Buffer.from(`${number}`));
  await channel.waitForConfirms();
  await channel.prefetch(2);
  const messages = await receive(channel, 'q', 2);
  assert.equal((await channel.checkQueue('q')).messageCount, 3);
  const last = messages.at(-1);
  assert.ok(last !== undefined);
  channel.ack(last, true);
  assert.equal((await channel.checkQueue('q')).messageCount, 1);
});

test('a rejected message goes to the dead-letter exchange with its history', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertQueue('dead');
  await channel.assertQueue('q', { deadLetterExchange: '', deadLetterRoutingKey: 'dead' });
  channel.sendToQueue('q', Buffer.from('x'));
  const [message] = await receive(channel, 'q', 1);
  assert.ok(message !== undefined);
  channel.reject(message, false);
  const [dead] = await receive(channel, 'dead', 1);
  const [death] = dead?.properties.headers?.['x-death'] ?? [];
  assert.equal(death?.reason, 'rejected');
  assert.equal(death?.queue, 'q');
  assert.equal(death?.count, 1);
});

test('an unknown queue is a 404 of the channel, and the connection goes on', async (t) => {
  const connection = await open(t, await testBroker(t));
  const channel = await connection.createChannel();
  const failed = once(channel, 'error');
  await assert.rejects(channel.checkQueue('nowhere'), /404/);
  await failed;
  await (await connection.createChannel()).assertQueue('q');
});

test('a queue that differs from its declaration is a 406', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertQueue('q', { durable: true, messageTtl: 1000 });
  await channel.assertQueue('q', { durable: true, messageTtl: 1000 });
  await assert.rejects(channel.assertQueue('q', { durable: true, messageTtl: 2000 }), /406.*x-message-ttl/);
});

test('a wrong password is refused with 403', async (t) => {
  const { port } = await testBroker(t);
  await assert.rejects(connect(`amqp://guest:wrong@127.0.0.1:${port}`), /403|ACCESS.REFUSED/i);
});

test('a direct reply reaches the channel that asked', async (t) => {
  const broker = await testBroker(t);
  const client = await confirmChannel(t, broker);
  const server = await confirmChannel(t, broker);
  await server.assertQueue('rpc');
  await server.consume('rpc', (message) => {
    if (message === null) return;
    server.sendToQueue(message.properties.replyTo as string, Buffer.from('pong'));
    server.ack(message);
  });
  const reply = await new Promise<ConsumeMessage>((resolve, reject) => {
    const take = (message: ConsumeMessage | null): void => (message === null ? undefined : resolve(message));
    client
      .consume('amq.rabbitmq.reply-to', take, { noAck: true })
      .then(() => client.sendToQueue('rpc', Buffer.from('ping'), { replyTo: 'amq.rabbitmq.reply-to' }))
      .catch(reject);
  });
  assert.equal(reply.content.toString(), 'pong');
});

test('a consumer is told when its queue is deleted', async (t) => {
  const channel = await confirmChannel(t, await testBroker(t));
  await channel.assertQueue('q');
  const cancelled = new Promise<void>((resolve, reject) => {
    channel.consume('q', (message) => (message === null ? resolve() : undefined)).catch(reject);
  });
  await channel.deleteQueue('q');
  await cancelled;
});

test('an exclusive queue is locked for others and dies with its connection', async (t) => {
  const broker = await testBroker(t);
  const owner = await open(t, broker);
  await (await owner.createChannel()).assertQueue('mine', { exclusive: true });
  const other = await confirmChannel(t, broker);
  await assert.rejects(other.checkQueue('mine'), /405/);
  await owner.close();
  assert.equal(broker.broker.vhosts.get('/')?.queues.has('mine'), false);
});

test('transient queues that are not exclusive are refused unless they are permitted', async (t) => {
  const strict = await open(t, await testBroker(t));
  const closed = once(strict, 'error');
  const channel = await strict.createChannel();
  channel.on('error', () => undefined);
  await assert.rejects(channel.assertQueue('q', { durable: false }));
  assert.match(String((await closed)[0]), /541.*transient_nonexcl_queues/);
  const lax = await confirmChannel(t, await testBroker(t, { permits: ['transient_nonexcl_queues'] }));
  await lax.assertQueue('q', { durable: false });
});

test('names and words that the broker makes have the form of those that RabbitMQ makes', async (t) => {
  const { url } = await testBroker(t);
  const connection = await connect(url);
  const channel = await connection.createChannel();
  channel.on('error', () => undefined);
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const { consumerTag } = await channel.consume(queue, () => undefined);
  assert.match(consumerTag, /^amq\.ctag-[\w-]{22}$/);
  const asked = new Promise<unknown>((resolve) => {
    void channel.consume(queue, (message) => resolve(message?.properties.replyTo), { noAck: true });
  });
  await channel.cancel(consumerTag);
  await channel.consume('amq.rabbitmq.reply-to', () => undefined, { noAck: true });
  channel.sendToQueue(queue, Buffer.from('ping'), { replyTo: 'amq.rabbitmq.reply-to' });
  assert.match(String(await asked), /^amq\.rabbitmq\.reply-to\.[\w+/]{22}==\.[\w+/]{22}==$/);
  await channel.assertExchange('x', 'topic');
  await assert.rejects(
    channel.assertExchange('x', 'fanout'),
    /inequivalent arg 'type' for exchange 'x' in vhost '\/': received 'fanout' but current is 'topic'/,
  );
  await connection.close();
});
