import { amqp091Driver } from '../../packages/driver-amqp091/dist/src/index.js';
import { connect, notifier, rpcClient, rpcServer } from '../../packages/messaging/dist/src/index.js';
import { createJobs } from './jobs.mjs';

/** The messaging library: oslo's envelope, deadlines, duplicate check, reconnecting. */
export async function messaging(url) {
  const transport = await connect(`${url}?amqp_durable_queues=false`, { drivers: [amqp091Driver()] });
  return {
    name: 'messaging',
    close: () => transport.close(),

    async publisher(queue, body) {
      const message = { body, properties: {}, headers: {}, persistent: true, ifNobody: 'fail' };
      return () => transport.publish({ exchange: '', routingKey: queue }, message);
    },

    async consumeAll(queue, count, credit) {
      const jobs = createJobs(count);
      const onDelivery = (delivery) => {
        delivery.accept();
        jobs.done();
      };
      const subscription = await transport.consume({ queue }, { credit, onDelivery });
      await jobs.all;
      await subscription.stop();
    },

    async caller() {
      const methods = { add: ({ a, b }) => a + b };
      await rpcServer(transport, { topic: 'bench', server: 'one' }, [{ methods }]).start();
      const client = rpcClient(transport, { topic: 'bench' });
      return () => client.call('add', { a: 1, b: 2 });
    },

    async notifier() {
      const { info } = notifier(transport, { publisherId: 'bench', topics: ['bench-ours'] });
      await info('bench.event', { number: 0 });
      return () => info('bench.event', { number: 1 });
    },
  };
}
