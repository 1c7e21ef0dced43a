import { Connection } from 'rabbitmq-client';
import { createJobs } from './jobs.mjs';

/** rabbitmq-client by its own means: raw channels where it has nothing leaner, its RPC client, its consumer. */
export async function rabbitmqClient(url) {
  const connection = new Connection({ url, noDelay: true });
  await connection.onConnect();
  const closing = [];
  return {
    name: 'rabbitmq-client',
    async close() {
      for (const one of closing.toReversed()) await one.close();
      await connection.close();
    },

    async publisher(queue, body) {
      const channel = await connection.acquire();
      closing.push(channel);
      await channel.confirmSelect();
      return () => channel.basicPublish({ routingKey: queue, durable: true, mandatory: true }, body);
    },

    async consumeAll(queue, count, credit) {
      const channel = await connection.acquire();
      await channel.basicQos({ prefetchCount: credit });
      const jobs = createJobs(count);
      await channel.basicConsume({ queue }, ({ deliveryTag }) => {
        channel.basicAck({ deliveryTag });
        jobs.done();
      });
      await jobs.all;
      await channel.close();
    },

    async caller() {
      const queue = 'bench-rabbitmq-client';
      const serve = ({ body: { a, b } }, reply) => reply({ result: a + b });
      const server = connection.createConsumer({ queue, queueOptions: { durable: false } }, serve);
      await new Promise((resolve) => server.once('ready', resolve));
      const client = connection.createRPCClient({ confirm: false });
      closing.push(server, client);
      return async () => (await client.send(queue, { a: 1, b: 2 })).body.result;
    },
  };
}
