import test, { after } from 'node:test';
import { runConformance } from '@torcello/messaging/testing';
import { startRabbitMq } from '@torcello/test-support';
import { amqp091Driver } from '../src/index.js';
import { FaultProxy } from './support/fault-proxy.js';
import { WatchedNetwork } from './support/watched-network.js';

const rabbit = await startRabbitMq();
const proxy = await FaultProxy.start(rabbit);
after(async () => {
  await proxy.stop();
  await rabbit.stop();
});

const vhost = await rabbit.freshVhost();
for (const queueType of ['quorum', 'classic']) {
  const url = `${proxy.url(rabbit.url(vhost))}?queue_type=${queueType}`;
  const network = new WatchedNetwork();
  const cut = (): Promise<void> => {
    const seen = network.allClosed();
    proxy.cut();
    return seen;
  };
  runConformance({ name: `RabbitMQ, ${queueType}`, driver: amqp091Driver(), url, network, cut }, test);
}
