import { amqp091Driver } from '../../packages/driver-amqp091/dist/src/index.js';
import { amqp10Driver } from '../../packages/driver-amqp10/dist/src/index.js';
import { parseTransportUrl } from '../../packages/messaging/dist/src/index.js';
import { silentLogger, systemClock, systemNetwork, systemRandom } from '../../packages/platform/dist/src/index.js';
import { createJobs } from './jobs.mjs';

const world = { clock: systemClock, random: systemRandom, network: systemNetwork, logger: silentLogger };

/** Our driver for AMQP 1.0, and the one for AMQP 0-9-1, by the same members. */
export const amqp10 = (url) => open('driver-amqp10', amqp10Driver(), url);
export const amqp091 = (url) => open('driver-amqp091', amqp091Driver(), url);

async function open(name, driver, url) {
  const options = { ...world, heartbeatMs: 60_000, connectTimeoutMs: 10_000 };
  const connection = await driver.connect(parseTransportUrl(url), options);
  return {
    name,
    close: () => connection.close(),

    async publisher(queue, body) {
      const message = { body, properties: {}, headers: {}, persistent: true, ifNobody: 'drop' };
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
  };
}
