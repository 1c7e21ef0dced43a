/**
 * `npm run bench -- rpc|publish|consume|notify [--rounds N] [--json]`: the bare AMQP 0-9-1 driver and the messaging library
 * above it, beside amqplib, rabbitmq-client, Python's oslo.messaging and the naked codec as floor, over one RabbitMQ with the
 * topology that oslo.messaging declares by default. Needs a build, RabbitMQ and python3-oslo.messaging.
 */
import { parseArgs } from 'node:util';
import { amqplib } from './contenders/amqplib.mjs';
import { codec } from './contenders/codec.mjs';
import { driver } from './contenders/driver.mjs';
import { messaging } from './contenders/messaging.mjs';
import { python } from './contenders/python.mjs';
import { rabbitmqClient } from './contenders/rabbitmq-client.mjs';
import { compare } from './lib/compare.mjs';
import { many } from './lib/many.mjs';
import { startRabbitMq } from '../packages/test-support/dist/src/index.js';

const options = { rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [what] = positionals;
const how = { rounds: Number(values.rounds), json: values.json };
const body = Buffer.alloc(256, 'x');

const rabbit = await startRabbitMq({ own: true });
const opened = [];
try {
  await { rpc: benchRpc, publish: benchPublish, consume: benchConsume, notify: benchNotify }[what]();
} finally {
  for (const contender of opened.toReversed()) await contender.close();
  await rabbit.stop();
}

async function open(...contenders) {
  for (const contender of contenders) opened.push(await contender(rabbit.url()));
  return opened.slice(-contenders.length);
}

async function benchRpc() {
  const [bare, whole, oslo, ...others] = await open(driver, messaging, python, amqplib, rabbitmqClient);
  const callers = new Map();
  for (const contender of [bare, whole, ...others]) callers.set(contender, await contender.caller());
  for (const [outstanding, count] of [
    [1, 3_000],
    [64, 12_800],
  ]) {
    const runOf = (contender) => ({
      name: contender.name,
      run: () => many(count, outstanding, callers.get(contender)),
    });
    const asked = { op: 'rpc', topic: 'bench-python', count: count / 4, outstanding };
    await compare({
      ...how,
      title: `RPC, ${outstanding} outstanding`,
      ours: [bare, whole].map(runOf),
      peers: [...others.map(runOf), { name: oslo.name, run: () => oslo.ask(asked) }],
    });
  }
}

async function benchPublish() {
  const queue = 'bench-publish';
  const [bare, whole, ...others] = await open(driver, messaging, amqplib, rabbitmqClient, codec);
  await declare(queue, { 'x-max-length': 1_000 });
  const publishers = new Map();
  for (const contender of opened) publishers.set(contender, await contender.publisher(queue, body));
  for (const [outstanding, count] of [
    [1, 1_000],
    [500, 20_000],
  ]) {
    const runOf = (contender) => ({
      name: contender.name,
      run: () => many(count, outstanding, publishers.get(contender)),
    });
    await compare({
      ...how,
      title: `publish with confirm, ${outstanding} outstanding, 256 B`,
      ours: [bare, whole].map(runOf),
      peers: others.map(runOf),
    });
  }
}

async function benchConsume() {
  const [queue, count, credit] = ['bench-consume', 20_000, 500];
  const [bare, whole, ...others] = await open(driver, messaging, amqplib, rabbitmqClient, codec);
  await declare(queue, {});
  const fill = await bare.publisher(queue, body);
  const runOf = (contender) => ({
    name: contender.name,
    run: async () => {
      await many(count, 500, fill);
      const [cpu, start] = [process.cpuUsage(), performance.now()];
      await contender.consumeAll(queue, count, credit);
      const used = process.cpuUsage(cpu);
      return { messages: count, cpuUs: used.user + used.system, seconds: (performance.now() - start) / 1000 };
    },
  });
  await compare({
    ...how,
    title: `consume and ack, credit ${credit}, 256 B`,
    ours: [bare, whole].map(runOf),
    peers: others.map(runOf),
  });
}

async function benchNotify() {
  const [whole, oslo, plain] = await open(messaging, python, amqplib);
  const count = 1_000;
  const [ours, theirs] = [await whole.notifier(), await plain.notifier()];
  const asked = { op: 'notify', topic: 'bench-theirs', count: count / 4, outstanding: 1 };
  await compare({
    ...how,
    title: 'notify, 1 outstanding',
    ours: [{ name: whole.name, run: () => many(count, 1, ours) }],
    peers: [
      { name: plain.name, run: () => many(count, 1, theirs) },
      { name: oslo.name, run: () => oslo.ask(asked) },
    ],
  });
}

/** A durable queue. */
async function declare(queue, queueArguments) {
  const plain = opened.find(({ name }) => name === 'amqplib');
  await plain.declare(queue, queueArguments);
}
