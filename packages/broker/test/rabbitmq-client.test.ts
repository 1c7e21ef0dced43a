import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection } from 'rabbitmq-client';
import { testBroker } from './support/test-broker.js';

test('rabbitmq-client publishes with confirms and its consumer acknowledges', async (t) => {
  const { url, broker } = await testBroker(t);
  const connection = new Connection({ url });
  const taken: unknown[] = [];
  let enough: () => void = () => undefined;
  const all = new Promise<void>((resolve) => (enough = resolve));
  const consumer = connection.createConsumer(
    { queue: 'q', queueOptions: { durable: true }, qos: { prefetchCount: 2 } },
    (message) => {
      taken.push(message.body);
      if (taken.length === 10) enough();
    },
  );
  await new Promise((resolve) => consumer.once('ready', resolve));
  const publisher = connection.createPublisher({ confirm: true, maxAttempts: 1 });
  for (let number = 0; number < 10; number++) await publisher.send({ routingKey: 'q', durable: true }, { number });
  await all;
  await consumer.close();
  await publisher.close();
  await connection.close();
  assert.deepEqual(
    taken,
    Array.from({ length: 10 }, (_, number) => ({ number })),
  );
  const queue = broker.vhosts.get('/')?.queues.get('q');
  assert.deepEqual([queue?.readyCount, queue?.unsettledCount], [0, 0]);
});

test('rabbitmq-client calls over direct reply-to', async (t) => {
  const { url } = await testBroker(t);
  const connection = new Connection({ url });
  const server = connection.createConsumer(
    { queue: 'rpc', queueOptions: { durable: true } },
    async (message, reply) => {
      await reply({ echo: message.body as unknown });
    },
  );
  await new Promise((resolve) => server.once('ready', resolve));
  const client = connection.createRPCClient({ confirm: true });
  const answer = await client.send('rpc', 'ping');
  assert.deepEqual(answer.body, { echo: 'ping' });
  await client.close();
  await server.close();
  await connection.close();
});
