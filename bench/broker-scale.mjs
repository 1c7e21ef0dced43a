/**
 * `npm run bench -- broker-scale [--json] [--only CASE]`: what the embedded broker needs as it grows, each case with a broker of
 * its own: time to listen, memory of an idle queue and of a connection, memory under a backlog ten times its budget, time to
 * recover a million messages. Needs a build.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect } from 'amqplib';

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, only: { type: 'string' }, rounds: { type: 'string', default: '5' } },
  allowPositionals: true,
});
const program = new URL('../packages/broker/bin/torcello-broker.js', import.meta.url).pathname;
const env = { ...process.env, TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };
const aims = {
  listen: ['listening after, in ms', 150],
  queues: ['memory of an idle durable queue of 100,000, in bytes', 1_500],
  connections: ['memory of a connection of 10,000, in bytes', 35_000],
  backlog: ['growth from a backlog of twice the budget to one of ten times, as a part of the budget', 1],
  recovery: ['recovery of a million messages, in ms', 2_000],
};
const cases = { listen, queues, connections, backlog, recovery };

for (const [name, measure] of Object.entries(cases)) {
  if (values.only !== undefined && values.only !== name) continue;
  const value = Math.round((await measure()) * 100) / 100;
  const [title, most] = aims[name];
  if (values.json) console.log(JSON.stringify({ case: `broker ${name}`, value, most, isMet: value <= most }));
  else console.log(`${title}: ${value} (at most ${most})${value <= most ? '' : '  MISSED'}`);
}

async function withFolder(use) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-scale-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function start(folder, ...options) {
  const from = performance.now();
  const child = spawn(process.execPath, ['--expose-gc', program, '--data', folder, '--port', '0', ...options], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const { amqp } = JSON.parse(line);
    const stop = async () => {
      child.kill('SIGTERM');
      await ended;
    };
    return { amqp, url: `amqp://guest:guest@${amqp}`, pid: child.pid, readyMs: performance.now() - from, stop };
  }
  throw new Error('the broker ended before it listened');
}

/** Resident memory without mapped files, in bytes. */
function memoryOf(pid) {
  const [, anonymous] = /^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(anonymous) * 1024;
}

/** Until the memory has not fallen for a while: the collector takes its time. */
async function settledMemoryOf(pid) {
  let least = memoryOf(pid);
  for (let quiet = 0; quiet < 6; quiet += 1) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = memoryOf(pid);
    if (now < least * 0.99) quiet = 0;
    least = Math.min(least, now);
  }
  return least;
}

/** The median of the rounds; the folder is the same, as a second start finds its files. */
async function listen() {
  return withFolder(async (folder) => {
    const times = [];
    for (let round = 0; round < Number(values.rounds); round += 1) {
      const broker = await start(folder);
      times.push(broker.readyMs);
      await broker.stop();
    }
    return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];
  });
}

async function queues() {
  return withFolder(async (folder) => {
    const broker = await start(folder, '--limit', 'queuesPerVhostMax=200000');
    const connection = await connect(broker.url, { noDelay: true });
    const channel = await connection.createChannel();
    for (let number = 0; number < 1_000; number += 1) await channel.assertQueue(`warm-${number}`, { durable: true });
    const before = await settledMemoryOf(broker.pid);
    for (let number = 0; number < 100_000; number += 500) {
      const some = Array.from({ length: 500 }, (_, at) =>
        channel.assertQueue(`agent-${number + at}`, { durable: true }),
      );
      await Promise.all(some);
    }
    const after = await settledMemoryOf(broker.pid);
    await connection.close();
    await broker.stop();
    return (after - before) / 100_000;
  });
}

/** Each connection with a channel and a consumer on a queue of its own that was there before. */
async function connections() {
  const count = 10_000;
  return withFolder(async (folder) => {
    const limits = ['connectionsMax', 'connectionsPerUserMax', 'connectionsBeforeLoginMax'];
    const options = limits.flatMap((name) => ['--limit', `${name}=20000`]);
    const broker = await start(folder, ...options, '--limit', 'queuesPerVhostMax=200000');
    const owner = await connect(broker.url, { noDelay: true });
    const channel = await owner.createChannel();
    for (let number = 0; number < count; number += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, at) => channel.assertQueue(`c-${number + at}`)));
    }
    const before = await settledMemoryOf(broker.pid);
    const open = [];
    for (let number = 0; number < count; number += 50) {
      const some = Array.from({ length: 50 }, async (_, at) => {
        const one = await connect(broker.url, { noDelay: true, heartbeat: 0 });
        const own = await one.createChannel();
        await own.consume(`c-${number + at}`, () => undefined);
        return one;
      });
      open.push(...(await Promise.all(some)));
    }
    const after = await settledMemoryOf(broker.pid);
    const kept = open.length;
    await broker.stop();
    return (after - before) / kept;
  });
}

async function fill(url, { queuesCount, count, bytes }) {
  const connection = await connect(url, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  for (let number = 0; number < queuesCount; number += 1) await channel.assertQueue(`q-${number}`, { durable: true });
  const body = Buffer.alloc(bytes, 'x');
  for (let number = 0; number < count; number += 1) {
    channel.sendToQueue(`q-${number % queuesCount}`, body, { persistent: true });
    if (number % 2_000 === 1_999) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
  await connection.close();
}

async function backlog() {
  const budget = 32 * 1024 * 1024;
  return withFolder(async (folder) => {
    const broker = await start(folder, '--limit', `residentMessageBytesMax=${budget}`);
    await fill(broker.url, { queuesCount: 1, count: (2 * budget) / 1_024, bytes: 1_024 });
    const before = await settledMemoryOf(broker.pid);
    await fill(broker.url, { queuesCount: 1, count: (8 * budget) / 1_024, bytes: 1_024 });
    const after = await settledMemoryOf(broker.pid);
    await broker.stop();
    return (after - before) / budget;
  });
}

async function recovery() {
  return withFolder(async (folder) => {
    const first = await start(folder);
    await fill(first.url, { queuesCount: 1_000, count: 1_000_000, bytes: 256 });
    await first.stop();
    const second = await start(folder);
    await second.stop();
    return second.readyMs;
  });
}
