import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rabbitMqMissing, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { connect } from 'amqplib';
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import { runBroker, startBrokerProcess } from './support/broker-process.js';

const skip = rabbitMqMissing() ?? false;
const perQueue = 1_500;
const queues = Array.from({ length: 6 }, (_, number) => `q${number}`);

async function fill(url: string): Promise<void> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange('all', 'topic');
  for (const queue of queues) {
    const args = queue === 'q3' || queue === 'q5' ? { 'x-queue-type': 'quorum' } : {};
    await channel.assertQueue(queue, { arguments: args });
    await channel.bindQueue(queue, 'all', `${queue}.#`);
    await channel.bindQueue(queue, 'all', 'every');
  }
  for (let number = 0; number < perQueue; number++) {
    for (const queue of queues) {
      channel.publish('all', `${queue}.${number % 7}`, Buffer.from(`${number}`), { persistent: true });
    }
    if (number % 500 === 0) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
}

/** Resolves when a program has said something for people. */
function toldBy(running: Running, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (running.output().stderr.includes(text)) resolve();
    };
    running.child.stderr?.on('data', look);
    look();
    void running.exited.then(() => reject(new Error(running.output().stderr)));
  });
}

/** Every message of a queue as it is delivered to one reader, in order. */
async function deliveries(channel: ConfirmChannel, queue: string): Promise<ConsumeMessage[]> {
  const { messageCount } = await channel.checkQueue(queue);
  const found: ConsumeMessage[] = [];
  await new Promise<void>((resolve, reject) => {
    const take = (message: ConsumeMessage | null): void => {
      if (message !== null && found.push(message) === messageCount) resolve();
    };
    channel.consume(queue, take, { noAck: true, consumerTag: queue }).catch(reject);
  });
  await channel.cancel(queue);
  return found;
}

/** Nothing is lost; what came twice is marked, both times; the first of each kind are in order. */
async function checkTarget(url: string, told: () => string): Promise<number> {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  let doubled = 0;
  for (const queue of queues) {
    const found = await deliveries(channel, queue);
    const seen = new Map<number, ConsumeMessage>();
    const firsts: number[] = [];
    for (const message of found) {
      const number = Number(message.content.toString());
      const first = seen.get(number);
      if (first === undefined) firsts.push(number);
      else {
        doubled++;
        const areMarked = message.fields.redelivered && first.fields.redelivered;
        const both = JSON.stringify([first.fields, message.fields]);
        assert.ok(
          areMarked,
          `${queue}: ${number} of ${found.length} came twice, unmarked: ${both}; the move said:\n${told()}`,
        );
      }
      seen.set(number, message);
    }
    assert.deepEqual(
      firsts,
      Array.from({ length: perQueue }, (_, number) => number),
      `${queue}: all, in order`,
    );
  }
  channel.publish('all', 'every', Buffer.from('x'), { persistent: true });
  await channel.waitForConfirms();
  for (const queue of queues) assert.equal((await channel.checkQueue(queue)).messageCount, 1, `${queue} is bound`);
  await channel.assertExchange('torcello.move', 'direct', { durable: false, autoDelete: true });
  await connection.close();
  return doubled;
}

/** What a RabbitMQ that is killed may do: it comes back with a binding that the move had taken away a moment before. */
async function bindAgain(url: string, queue: string): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  await channel.bindQueue(queue, 'all', '#');
  await connection.close();
}

async function succeeds(moving: Running): Promise<void> {
  const { code } = await moving.exited;
  assert.equal(code, 0, moving.output().stderr);
}

test(
  'a move that is killed, again and again, is finished by the same command',
  { skip, timeout: 300_000 },
  async (t) => {
    const folder = temporaryFolder('move-killed');
    t.after(() => folder.remove());
    const ours = await startBrokerProcess(t, folder.path);
    await fill(ours.amqp);
    const rabbit = await startRabbitMq();
    t.after(() => rabbit.stop());
    const vhost = await rabbit.freshVhost();
    const command = ['--data', folder.path, 'move', '--to', rabbit.url(vhost)];
    for (const last of ['q1', 'q4', 'q3']) {
      const moving = runBroker(command);
      await moving.line((text) => text.includes(`"${last}"`));
      await moving.stop('SIGKILL');
      await bindAgain(rabbit.url(vhost), last);
    }
    const moving = runBroker(command);
    await succeeds(moving);
    assert.match(moving.output().stdout, /"resumed":true/);
    await checkTarget(rabbit.url(vhost), () => moving.output().stderr);
  },
);

test(
  'RabbitMQ has no room at first and is killed in the middle of a move, and the source before it: nothing is lost',
  { skip, timeout: 300_000 },
  async (t) => {
    const folder = temporaryFolder('move-rabbit-killed');
    t.after(() => folder.remove());
    const ours = await startBrokerProcess(t, folder.path);
    await fill(ours.amqp);
    await ours.stop('SIGKILL');
    const rabbit = await startRabbitMq({ own: true });
    t.after(() => rabbit.stop());
    const vhost = await rabbit.freshVhost();
    const command = ['--data', folder.path, 'move', '--to', rabbit.url(vhost)];
    await rabbit.control('set_disk_free_limit', '1000000GB');
    const first = runBroker(command);
    t.after(() => first.stop('SIGKILL'));
    await toldBy(first, 'the target takes no publishes: low on disk; waiting');
    await rabbit.control('set_disk_free_limit', '1MB');
    await first.line((text) => text.includes('"q2"'));
    await rabbit.kill();
    await rabbit.restart();
    const { code } = await first.exited;
    const told = first.output().stderr;
    assert.match(told, /the target says: .*; trying again in 3 s/);
    // It waits half a minute; a RabbitMQ that takes longer to come back is for the same command again.
    if (code !== 0) await succeeds(runBroker(command));
    await checkTarget(rabbit.url(vhost), () => `${told}\n${first.output().stdout}`);
  },
);
