import { amqp091Driver } from '../../packages/driver-amqp091/dist/src/index.js';
import { parseTransportUrl } from '../../packages/messaging/dist/src/index.js';
import { silentLogger, systemClock, systemNetwork, systemRandom } from '../../packages/platform/dist/src/index.js';
import { createJobs } from './jobs.mjs';

const world = { clock: systemClock, random: systemRandom, network: systemNetwork, logger: silentLogger };
const patience = { heartbeatMs: 60_000, connectTimeoutMs: 10_000 };
const transient = { properties: {}, headers: {}, persistent: false, ifNobody: 'drop' };

/** The bare driver: what the messaging library stands on, without envelope, deadlines, reconnecting or duplicate check. */
export async function driver(url) {
  const connection = await amqp091Driver().connect(parseTransportUrl(url), { ...world, ...patience });
  return {
    name: 'driver',
    close: () => connection.close(),

    async publisher(queue, body) {
      const message = { body, properties: {}, headers: {}, persistent: true, ifNobody: 'fail' };
      return () => connection.publish({ exchange: '', routingKey: queue }, message);
    },

    async consumeAll(queue, count, credit) {
      const jobs = createJobs(count);
      const consumer = await connection.consume({ queue }, credit, (delivery) => {
        delivery.accept();
        jobs.done();
      });
      await jobs.all;
      await consumer.stop();
    },

    /** Unlike amqplib's, every request and every answer is confirmed by the broker. */
    async caller() {
      const queue = 'bench-driver';
      await connection.ensure({ kind: 'shared', source: { queue }, reachedBy: [], options: { durable: false } });
      const waiting = new Map();
      const reply = await connection.openReplies('bench-driver-replies', 60_000, ({ body, properties }) => {
        waiting.get(properties.correlationId)?.(JSON.parse(Buffer.from(body).toString()).result);
        waiting.delete(properties.correlationId);
      });
      await connection.consume({ queue }, 500, (delivery) => {
        const { body, properties } = delivery.message;
        const { a, b } = JSON.parse(Buffer.from(body).toString());
        const answer = Buffer.from(JSON.stringify({ result: a + b }));
        const { correlationId } = properties;
        const to = { exchange: '', routingKey: properties.replyTo };
        void connection.publish(to, { ...transient, body: answer, properties: { correlationId } });
        delivery.accept();
      });
      let next = 0;
      return () =>
        new Promise((resolve, reject) => {
          next += 1;
          waiting.set(String(next), resolve);
          const body = Buffer.from(JSON.stringify({ a: 1, b: 2 }));
          const properties = { correlationId: String(next), replyTo: reply.routingKey };
          const message = { ...transient, body, properties };
          connection.publish({ exchange: '', routingKey: queue }, message).catch(reject);
        });
    },
  };
}
