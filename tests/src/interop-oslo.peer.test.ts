import test, { after } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { rabbitMqMissing, startRabbitMq } from '@torcello/test-support';
import { meetOslo, osloMissing, type Meeting } from './support/oslo-interop.js';

const missing = osloMissing() ?? rabbitMqMissing();
if (missing === undefined) {
  for (const meeting of [await overOurs(), ...(await overRabbitMq())]) meetOslo(meeting, test);
} else test('interoperability with oslo.messaging', { skip: missing }, () => undefined);

/** Once as oslo.messaging declares by default, once with durable quorum queues, which is our default. */
async function overRabbitMq(): Promise<readonly Meeting[]> {
  const rabbit = await startRabbitMq();
  after(() => rabbit.stop());
  const [transient, quorum] = [rabbit.url(await rabbit.freshVhost()), rabbit.url(await rabbit.freshVhost())];
  return [
    {
      name: 'RabbitMQ, as oslo declares',
      url: `${transient}?amqp_durable_queues=false`,
      pythonUrl: asRabbit(transient),
    },
    { name: 'RabbitMQ, as we declare', url: quorum, pythonUrl: asRabbit(`${quorum}?rabbit_quorum_queue=true`) },
  ];
}

async function overOurs(): Promise<Meeting> {
  const users = [{ name: 'guest', password: 'guest' }];
  const broker = await startBroker({ store: new MemoryStore(), users, permits: ['transient_nonexcl_queues'] });
  after(() => broker.stop());
  const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
  const url = `amqp://guest:guest@127.0.0.1:${port}/`;
  return { name: 'our broker', url: `${url}?amqp_durable_queues=false`, pythonUrl: asRabbit(url) };
}

function asRabbit(url: string): string {
  return url.replace('amqp:', 'rabbit:');
}
