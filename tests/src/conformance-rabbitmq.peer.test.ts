import test, { after } from 'node:test';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { runConformance } from '@torcello/messaging/testing';
import { rabbitMqMissing, startRabbitMq } from '@torcello/test-support';
import { CuttableNetwork } from './support/cuttable-network.js';

const missing = rabbitMqMissing();
if (missing === undefined) await conform();
else test('RabbitMQ conformance', { skip: missing }, () => undefined);

async function conform(): Promise<void> {
  const rabbit = await startRabbitMq();
  after(() => rabbit.stop());
  const url = rabbit.url(await rabbit.freshVhost());
  for (const queueType of ['quorum', 'classic']) {
    const network = new CuttableNetwork();
    runConformance(
      {
        name: `RabbitMQ, ${queueType} mailboxes`,
        driver: amqp091Driver(),
        url: `${url}?queue_type=${queueType}`,
        network,
        cut: () => network.cut(),
      },
      test,
    );
  }
}
