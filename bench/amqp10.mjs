/**
 * `npm run bench -- amqp10 [--rounds N] [--json]`: our driver for AMQP 1.0 beside rhea-promise and the naked engine rhea,
 * over Proton's example broker and over RabbitMQ's plugin, and there beside our driver for AMQP 0-9-1 too. Needs a build,
 * RabbitMQ and Proton's examples.
 */
import { parseArgs } from 'node:util';
import { amqplib } from './contenders/amqplib.mjs';
import { amqp091, amqp10 } from './contenders/driver-amqp10.mjs';
import { plainRhea } from './contenders/rhea.mjs';
import { rheaPromise } from './contenders/rhea-promise.mjs';
import { compare } from './lib/compare.mjs';
import { many } from './lib/many.mjs';
import { startProtonBroker, startRabbitMq } from '../packages/test-support/dist/src/index.js';

const options = {
  rounds: { type: 'string', default: '5' },
  json: { type: 'boolean', default: false },
  only: { type: 'string' },
};
const { values } = parseArgs({ options, allowPositionals: true });
const how = { rounds: Number(values.rounds), json: values.json };
const body = Buffer.alloc(256, 'x');
const [publishCount, consumeCount, outstanding, credit] = [10_000, 10_000, 500, 500];

if (values.only !== 'rabbitmq') await overProton();
if (values.only !== 'proton') await overRabbitMq();

async function overProton() {
  const broker = await startProtonBroker('c');
  const opened = [];
  try {
    const [ours, ...peers] = await openAll(opened, [
      () => amqp10(broker.url),
      () => rheaPromise(broker),
      () => plainRhea(broker),
    ]);
    await bench({ at: 'Proton', ours, peers, address: (queue) => queue });
  } finally {
    for (const contender of opened) await contender.close();
    await broker.stop();
  }
}

async function overRabbitMq() {
  const rabbit = await startRabbitMq({ plugins: ['rabbitmq_amqp1_0'] });
  const opened = [];
  const login = ['guest', 'guest'];
  try {
    const [plain, ours, older, ...peers] = await openAll(opened, [
      () => amqplib(rabbit.url()),
      () => amqp10(`amqp1://guest:guest@127.0.0.1:${rabbit.port}`),
      () => amqp091(rabbit.url()),
      () => rheaPromise({ port: rabbit.port, login }),
      () => plainRhea({ port: rabbit.port, login }),
    ]);
    // It drops the oldest, so that nobody pays for what others left behind.
    await plain.declare('bench-publish', { 'x-max-length': 1_000 });
    await plain.declare('bench-consume', {});
    const address = (queue, contender) => (contender === ours || contender === older ? queue : `/amq/queue/${queue}`);
    await bench({ at: "RabbitMQ's plugin", ours, peers: [...peers, older], address, isBounded: true });
  } finally {
    for (const contender of opened) await contender.close();
    await rabbit.stop();
  }
}

async function openAll(opened, makers) {
  for (const make of makers) opened.push(await make());
  return opened;
}

async function bench({ at, ours, peers, address, isBounded = false }) {
  const all = [ours, ...peers];
  const publishers = new Map();
  for (const contender of all)
    publishers.set(contender, await contender.publisher(address('bench-publish', contender), body));
  const publishing = (contender) => ({
    name: contender.name,
    run: async () => {
      const measured = await timed(() => many(publishCount, outstanding, publishers.get(contender)));
      if (!isBounded) await ours.consumeAll('bench-publish', publishCount, credit);
      return { messages: publishCount, ...measured };
    },
  });
  await compare({
    ...how,
    title: `publish until accepted, ${outstanding} outstanding, 256 B, ${at}`,
    ours: [publishing(ours)],
    peers: peers.map(publishing),
  });
  const fill = await ours.publisher('bench-consume', body);
  const consuming = (contender) => ({
    name: contender.name,
    run: async () => {
      await many(consumeCount, outstanding, fill);
      const take = () => contender.consumeAll(address('bench-consume', contender), consumeCount, credit);
      return { messages: consumeCount, ...(await timed(take)) };
    },
  });
  await compare({
    ...how,
    title: `consume and accept, credit ${credit}, 256 B, ${at}`,
    ours: [consuming(ours)],
    peers: peers.map(consuming),
  });
}

async function timed(work) {
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  await work();
  const used = process.cpuUsage(cpu);
  return { cpuUs: used.user + used.system, seconds: (performance.now() - start) / 1000 };
}
