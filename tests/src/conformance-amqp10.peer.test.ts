import test, { after } from 'node:test';
import { amqp10Driver } from '@torcello/driver-amqp10';
import { runConformance } from '@torcello/messaging/testing';
import { protonMissing, rabbitMqMissing, startProtonBroker, startRabbitMq } from '@torcello/test-support';
import { CuttableNetwork } from './support/cuttable-network.js';

const noProton = protonMissing('c');
if (noProton === undefined) await overProton();
else test('AMQP 1.0 conformance over Proton', { skip: noProton }, () => undefined);

const noRabbit = rabbitMqMissing();
if (noRabbit === undefined) await overRabbitMq();
else test('AMQP 1.0 conformance over RabbitMQ', { skip: noRabbit }, () => undefined);

async function overProton(): Promise<void> {
  const broker = await startProtonBroker('c');
  after(() => broker.stop());
  const network = new CuttableNetwork();
  const subject = { name: 'Proton', driver: amqp10Driver(), url: broker.url, network, cut: () => network.cut() };
  runConformance(subject, test);
}

async function overRabbitMq(): Promise<void> {
  const rabbit = await startRabbitMq({ plugins: ['rabbitmq_amqp1_0'] });
  after(() => rabbit.stop());
  const network = new CuttableNetwork();
  const url = `amqp1://guest:guest@127.0.0.1:${rabbit.port}`;
  runConformance({ name: 'RabbitMQ 3', driver: amqp10Driver(), url, network, cut: () => network.cut() }, test);
}
