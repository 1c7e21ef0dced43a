/**
 * `npm run bench -- broker [--rounds N] [--json] [--only TEXT]`: RabbitMQ and the embedded broker beside each other, with the
 * same client (amqplib, once bare frames) and durable queues; every confirm of the embedded broker comes after a sync. Processor
 * time is that of the broker. `--only` takes the cases whose title holds the text. Needs a build, and RabbitMQ installed.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect } from 'amqplib';
import { startRabbitMq } from '../packages/test-support/dist/src/index.js';
import { caller } from './contenders/codec.mjs';
import { compare } from './lib/compare.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    profile: { type: 'string' },
  },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
const persistent = { persistent: true };

const rabbit = await startRabbitMq({ own: true });
const rabbitPid = Number((await rabbit.control('eval', 'list_to_integer(os:getpid()).')).trim());
const ours = await startOurs();
try {
  const contenders = [
    { name: 'RabbitMQ', url: rabbit.url(), pid: rabbitPid },
    { name: 'embedded', url: ours.url, pid: ours.pid },
  ];
  const beside = async (title, cell) => {
    if (!title.includes(values.only)) return;
    const ready = [];
    for (const { name, url, pid } of contenders) ready.push({ name, ...counting(await cell(url), pid) });
    const [peer, own] = ready;
    await compare({ title, ours: [own], peers: [peer], rounds, json: values.json });
    if (!values.json)
      console.log(`  the client itself: ${own.clientUs()} µs a message with ours, ${peer.clientUs()} µs`);
    for (const { end } of ready) await end();
  };
  // Long rounds: a broker that has just started runs code that V8 has not compiled yet, which costs twice as much.
  await beside('confirm, 1 outstanding, 256 B', (url) => publishing(url, { outstanding: 1, bytes: 256, count: 2_000 }));
  await beside('confirm, 500 outstanding, 256 B', (url) =>
    publishing(url, { outstanding: 500, bytes: 256, count: 20_000 }),
  );
  await beside('confirm, 500 outstanding, 4 KiB', (url) =>
    publishing(url, { outstanding: 500, bytes: 4096, count: 8_000 }),
  );
  await beside('consume with ack, prefetch 500', (url) => consuming(url, { count: 20_000 }));
  await beside('RPC, 1 outstanding', (url) => calling(url, { outstanding: 1, count: 1_000 }));
  await beside('RPC, 100 outstanding', (url) => calling(url, { outstanding: 100, count: 10_000 }));
  // amqplib takes most of a call: a client of bare frames shows more of the brokers.
  await beside('RPC, 100 outstanding, bare frames', (url) => callingBare(url, { outstanding: 100, count: 10_000 }));
  await beside('fan-out to 20 queues, deliveries', (url) => fanningOut(url, { queues: 20, count: 1_000 }));
} finally {
  await ours.stop();
  await rabbit.stop();
}

async function startOurs() {
  const folder = mkdtempSync(join(tmpdir(), 'bench-broker-'));
  const program = new URL('../packages/broker/bin/torcello-broker.js', import.meta.url).pathname;
  const env = { ...process.env, TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };
  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  const child = spawn(process.execPath, [...profile, program, '--data', folder, '--port', '0'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { amqp } = JSON.parse(line);
    const stop = async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true });
    };
    return { url: `amqp://guest:guest@${amqp}`, pid: child.pid, stop };
  }
  throw new Error('the broker ended before it listened');
}

/** Counts the processor time of the broker while it works, and of this process, which no broker can be faster than. */
function counting({ run, end }, pid) {
  let leastUs = Infinity;
  const counted = async () => {
    const [before, client] = [processorUs(pid), process.cpuUsage()];
    const messages = await run();
    const { user, system } = process.cpuUsage(client);
    leastUs = Math.min(leastUs, (user + system) / messages);
    return { messages, cpuUs: processorUs(pid) - before };
  };
  return { run: counted, end, clientUs: () => leastUs.toFixed(1) };
}

/** Processor time of another process so far, in microseconds: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms. */
function processorUs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Calls `step` until `count` of its promises have settled, `outstanding` at a time. */
async function keepOutstanding({ outstanding, count }, step) {
  let started = 0;
  const work = async () => {
    while (started < count) {
      started += 1;
      await step();
    }
  };
  await Promise.all(Array.from({ length: Math.min(outstanding, count) }, work));
}

async function open(url) {
  const connection = await connect(url, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  return { channel, end: () => connection.close() };
}

function confirmed(channel, exchange, key, body) {
  return new Promise((resolve, reject) => {
    channel.publish(exchange, key, body, persistent, (error) => (error ? reject(error) : resolve()));
  });
}

async function publishing(url, { outstanding, bytes, count }) {
  const { channel, end } = await open(url);
  const body = Buffer.alloc(bytes, 'x');
  await channel.assertQueue('publish', { durable: true });
  const run = async () => {
    await channel.purgeQueue('publish');
    await keepOutstanding({ outstanding, count }, () => confirmed(channel, '', 'publish', body));
    return count;
  };
  return { run, end };
}

/** Filling is part of a round on both sides, and small beside the consuming. */
async function consuming(url, { count }) {
  const { channel, end } = await open(url);
  const body = Buffer.alloc(256, 'x');
  await channel.assertQueue('consume', { durable: true });
  await channel.prefetch(500);
  const run = async () => {
    await channel.purgeQueue('consume');
    for (let sent = 0; sent < count; sent += 1) channel.publish('', 'consume', body, persistent);
    await channel.waitForConfirms();
    let taken = 0;
    let stop = () => undefined;
    const done = new Promise((resolve) => (stop = resolve));
    const { consumerTag } = await channel.consume('consume', (message) => {
      channel.ack(message);
      taken += 1;
      if (taken === count) stop();
    });
    await done;
    await channel.cancel(consumerTag);
    return count;
  };
  return { run, end };
}

async function calling(url, { outstanding, count }) {
  const [client, server] = [await open(url), await open(url)];
  const { queue } = await server.channel.assertQueue('', { exclusive: true });
  const { queue: replies } = await client.channel.assertQueue('', { exclusive: true });
  const answer = ({ content, properties }) => {
    const { replyTo, correlationId } = properties;
    server.channel.publish('', replyTo, content, { correlationId });
  };
  await server.channel.consume(queue, answer, { noAck: true });
  const waiting = new Map();
  const settle = ({ properties }) => {
    waiting.get(properties.correlationId)?.();
    waiting.delete(properties.correlationId);
  };
  await client.channel.consume(replies, settle, { noAck: true });
  let last = 0;
  const body = Buffer.alloc(256, 'x');
  const call = () =>
    new Promise((resolve) => {
      last += 1;
      const correlationId = String(last);
      waiting.set(correlationId, resolve);
      client.channel.publish('', queue, body, { correlationId, replyTo: replies });
    });
  const run = async () => {
    await keepOutstanding({ outstanding, count }, call);
    return count;
  };
  const end = async () => {
    await client.end();
    await server.end();
  };
  return { run, end };
}

async function callingBare(url, { outstanding, count }) {
  const { call, end } = await caller(url);
  const run = async () => {
    await keepOutstanding({ outstanding, count }, call);
    return count;
  };
  return { run, end };
}

async function fanningOut(url, { queues, count }) {
  const { channel, end } = await open(url);
  await channel.assertExchange('fan', 'fanout', { durable: false });
  let [got, wanted, wake] = [0, Infinity, () => undefined];
  const take = () => {
    got += 1;
    if (got >= wanted) wake();
  };
  for (let made = 0; made < queues; made += 1) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'fan', '');
    await channel.consume(queue, take, { noAck: true });
  }
  const body = Buffer.alloc(256, 'x');
  const run = async () => {
    got = 0;
    wanted = queues * count;
    const done = new Promise((resolve) => (wake = resolve));
    for (let sent = 0; sent < count; sent += 1) channel.publish('fan', '', body);
    await done;
    return wanted;
  };
  return { run, end };
}
