import test, { after } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { rabbitMqMissing, startRabbitMq } from '@torcello/test-support';
import { meetOslo, osloMissing } from './support/oslo-interop.js';

const missing = osloMissing();
if (missing === undefined) {
  await meetOverRabbitMq();
  await meetOverOurs();
} else test('interoperability with oslo.messaging', { skip: missing }, () => undefined);

/** Once as oslo.messaging declares by default, once with durable quorum queues, which is our default. */
async function meetOverRabbitMq(): Promise<void> {
  const withoutBroker = rabbitMqMissing();
  if (withoutBroker !== undefined) {
    test('interoperability with oslo.messaging over RabbitMQ', { skip: withoutBroker }, () => undefined);
    return;
  }
  const rabbit = await startRabbitMq();
  after(() => rabbit.stop());
  const address = rabbit.url(await rabbit.freshVhost());
  const quorum = rabbit.url(await rabbit.freshVhost());
  const rabbitUrl = (url: string): string => url.replace('amqp:', 'rabbit:');
  meetOslo(
    {
      name: 'RabbitMQ, oslo defaults',
      url: () => `${rabbitUrl(address)}?amqp_durable_queues=false`,
      pythonUrl: () => rabbitUrl(address),
    },
    test,
  );
  meetOslo(
    {
      name: 'RabbitMQ, our defaults',
      url: () => rabbitUrl(quorum),
      pythonUrl: () => `${rabbitUrl(quorum)}?rabbit_quorum_queue=true`,
    },
    test,
  );
}

async function meetOverOurs(): Promise<void> {
  const users = [{ name: 'guest', password: 'guest' }];
  const broker = await startBroker({ store: new MemoryStore(), users, permits: ['transient_nonexcl_queues'] });
  after(() => broker.stop());
  const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
  const url = `rabbit://guest:guest@127.0.0.1:${port}/`;
  meetOslo(
    { name: 'our broker, oslo defaults', url: () => `${url}?amqp_durable_queues=false`, pythonUrl: () => url },
    test,
  );
}
