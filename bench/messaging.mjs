/**
 * `npm run bench -- rpc|publish|consume|notify [--rounds N] [--json]`: the messaging library beside amqplib and, for RPC
 * and notifications, Python's oslo.messaging, over one RabbitMQ with the topology that oslo.messaging declares by default.
 * Needs a build, RabbitMQ and python3-oslo.messaging.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { connect as amqplibConnect } from 'amqplib';
import { amqp091Driver } from '../packages/driver-amqp091/dist/src/index.js';
import { connect, notifier, rpcClient, rpcServer } from '../packages/messaging/dist/src/index.js';
import { startRabbitMq } from '../packages/test-support/dist/src/index.js';
import { compare } from './lib/compare.mjs';

const options = { rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [what] = positionals;
const how = { rounds: Number(values.rounds), json: values.json };
const body = Buffer.alloc(256, 'x');

const rabbit = await startRabbitMq({ own: true });
const url = rabbit.url();
const transport = await connect(`${url}?amqp_durable_queues=false`, { drivers: [amqp091Driver()] });
const amqplib = await amqplibConnect(url, { noDelay: true });
try {
  await { rpc: benchRpc, publish: benchPublish, consume: benchConsume, notify: benchNotify }[what]();
} finally {
  await amqplib.close();
  await transport.close();
  await rabbit.stop();
}

async function benchRpc() {
  const server = rpcServer(transport, { topic: 'bench', server: 'one' }, [{ methods: { add: ({ a, b }) => a + b } }]);
  await server.start();
  const client = rpcClient(transport, { topic: 'bench' });
  const plain = await amqplibRpc();
  const python = startPython();
  for (const outstanding of [1, 64]) {
    const count = outstanding === 1 ? 1_000 : 6_400;
    await compare({
      ...how,
      title: `RPC, ${outstanding} outstanding`,
      ours: { name: 'torcello', run: () => many(count, outstanding, () => client.call('add', { a: 1, b: 2 })) },
      peers: [
        { name: 'amqplib', run: () => many(count, outstanding, plain) },
        { name: 'oslo.messaging', run: () => python.ask({ op: 'rpc', topic: 'bench-python', count, outstanding }) },
      ],
    });
  }
  python.stop();
  await server.stop();
}

async function benchPublish() {
  const queue = 'bench-publish';
  await transport.ensure({
    kind: 'shared',
    source: { queue },
    reachedBy: [],
    options: { lengthMax: 1_000, whenFull: 'drop-oldest' },
  });
  const channel = await amqplib.createConfirmChannel();
  const message = { body, properties: {}, headers: {}, persistent: true, ifNobody: 'fail' };
  const theirs = () =>
    new Promise((resolve, reject) => {
      const settle = (error) => (error ? reject(error) : resolve());
      channel.sendToQueue(queue, body, { persistent: true, mandatory: true }, settle);
    });
  for (const [outstanding, count] of [
    [1, 500],
    [500, 20_000],
  ]) {
    await compare({
      ...how,
      title: `publish with confirm, ${outstanding} outstanding, 256 B`,
      ours: {
        name: 'torcello',
        run: () => many(count, outstanding, () => transport.publish({ exchange: '', routingKey: queue }, message)),
      },
      peers: [{ name: 'amqplib', run: () => many(count, outstanding, theirs) }],
    });
  }
}

async function benchConsume() {
  const [queue, count] = ['bench-consume', 20_000];
  await transport.ensure({ kind: 'shared', source: { queue }, reachedBy: [], options: {} });
  const filler = await amqplib.createConfirmChannel();
  const fill = async () => {
    for (let at = 0; at < count; at += 1) filler.sendToQueue(queue, body);
    await filler.waitForConfirms();
  };
  const ours = async () => {
    let left = count;
    let subscription;
    await new Promise((resolve) => {
      const onDelivery = (delivery) => {
        delivery.accept();
        left -= 1;
        if (left === 0) resolve();
      };
      void transport.consume({ queue }, { credit: 500, onDelivery }).then((made) => (subscription = made));
    });
    await subscription.stop();
  };
  const theirs = async () => {
    const channel = await amqplib.createChannel();
    await channel.prefetch(500);
    let left = count;
    await new Promise((resolve) => {
      void channel.consume(queue, (message) => {
        channel.ack(message);
        left -= 1;
        if (left === 0) resolve();
      });
    });
    await channel.close();
  };
  const filled = (work) => async () => {
    await fill();
    const [cpu, start] = [process.cpuUsage(), performance.now()];
    await work();
    const used = process.cpuUsage(cpu);
    return { messages: count, cpuUs: used.user + used.system, seconds: (performance.now() - start) / 1000 };
  };
  await compare({
    ...how,
    title: 'consume and ack, credit 500, 256 B',
    ours: { name: 'torcello', run: filled(ours) },
    peers: [{ name: 'amqplib', run: filled(theirs) }],
  });
}

async function benchNotify() {
  const { info } = notifier(transport, { publisherId: 'bench', topics: ['bench-ours'] });
  const python = startPython();
  const channel = await amqplib.createConfirmChannel();
  await info('bench.event', { number: 0 });
  const plain = () =>
    new Promise((resolve, reject) => {
      const settle = (error) => (error ? reject(error) : resolve());
      const text = Buffer.from(JSON.stringify({ event_type: 'bench.event', payload: { number: 1 } }));
      channel.publish('openstack', 'bench-ours.info', text, { persistent: true, mandatory: true }, settle);
    });
  const count = 500;
  await compare({
    ...how,
    title: 'notify, 1 outstanding',
    ours: { name: 'torcello', run: () => many(count, 1, () => info('bench.event', { number: 1 })) },
    peers: [
      { name: 'amqplib', run: () => many(count, 1, plain) },
      {
        name: 'oslo.messaging',
        run: () => python.ask({ op: 'notify', topic: 'bench-theirs', count, outstanding: 1 }),
      },
    ],
  });
  python.stop();
}

/** Runs `one` so many times, so many of them at once. */
async function many(count, outstanding, one) {
  const worker = async () => {
    for (let at = 0; at < count / outstanding; at += 1) await one();
  };
  await Promise.all(Array.from({ length: outstanding }, worker));
  return { messages: count };
}

/** RPC by hand over amqplib, as its documentation does it. */
async function amqplibRpc() {
  const [served, calling] = [await amqplib.createChannel(), await amqplib.createChannel()];
  await served.assertQueue('bench-amqplib', { durable: false });
  await served.consume('bench-amqplib', (message) => {
    const { a, b } = JSON.parse(message.content.toString());
    const answer = Buffer.from(JSON.stringify({ result: a + b }));
    served.sendToQueue(message.properties.replyTo, answer, { correlationId: message.properties.correlationId });
    served.ack(message);
  });
  const { queue } = await calling.assertQueue('', { exclusive: true });
  const waiting = new Map();
  await calling.consume(queue, (message) => {
    const { correlationId } = message.properties;
    waiting.get(correlationId)?.(JSON.parse(message.content.toString()).result);
    waiting.delete(correlationId);
    calling.ack(message);
  });
  let next = 0;
  return () =>
    new Promise((resolve) => {
      next += 1;
      waiting.set(String(next), resolve);
      const content = Buffer.from(JSON.stringify({ a: 1, b: 2 }));
      calling.sendToQueue('bench-amqplib', content, { replyTo: queue, correlationId: String(next) });
    });
}

function startPython() {
  const script = new URL('python/oslo_bench.py', import.meta.url).pathname;
  const child = spawn('/usr/bin/python3', [script, url.replace('amqp:', 'rabbit:')], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ready = lines.next();
  const ask = async (command) => {
    await ready;
    child.stdin.write(`${JSON.stringify(command)}\n`);
    const { value } = await lines.next();
    return JSON.parse(value);
  };
  return { ask, stop: () => child.kill('SIGKILL') };
}
