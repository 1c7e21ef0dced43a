import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { connect } from 'amqplib';
import type { ConfirmChannel } from 'amqplib';
import { seededRandom } from '@torcello/platform/testing';
import { temporaryFolder } from '@torcello/test-support';
import { startBrokerProcess } from './support/broker-process.js';

/** `TORCELLO_CRASH_CYCLES=50 TORCELLO_CRASH_SEED=7 node … --test crash.test.ts` makes a longer run of it. */
const cycles = Number(process.env['TORCELLO_CRASH_CYCLES'] ?? 3);
const seed = Number(process.env['TORCELLO_CRASH_SEED'] ?? 1);
const outstandingMax = 200;

/** Publishes numbered messages until the connection breaks; tells each number that was confirmed. */
async function publishUntilCut(
  channel: ConfirmChannel,
  first: number,
  confirmed: (number: number) => void,
): Promise<void> {
  await new Promise<void>((resolve) => {
    let next = first;
    let outstanding = 0;
    channel.once('close', resolve);
    channel.once('error', () => resolve());
    const fill = (): void => {
      try {
        while (outstanding < outstandingMax) {
          const number = next++;
          outstanding++;
          channel.publish('x', `key.${number}`, Buffer.from(`${number}`), { persistent: true }, (error: unknown) => {
            if (error !== null && error !== undefined) return;
            outstanding--;
            confirmed(number);
            fill();
          });
        }
      } catch {
        resolve();
      }
    };
    fill();
  });
}

async function readAll(url: string): Promise<number[]> {
  const connection = await connect(url, { noDelay: true });
  const channel = await connection.createChannel();
  const { messageCount } = await channel.checkQueue('q');
  const numbers: number[] = [];
  await new Promise<void>((resolve, reject) => {
    if (messageCount === 0) return resolve();
    channel
      .consume('q', (message) => {
        if (message === null) return;
        numbers.push(Number(message.content.toString()));
        channel.ack(message);
        if (numbers.length === messageCount) resolve();
      })
      .catch(reject);
  });
  await channel.checkQueue('q');
  await connection.close();
  return numbers;
}

test(`every confirmed message is there after kill -9, in order (seed ${seed}, ${cycles} cycles)`, async (t) => {
  const folder = temporaryFolder('crash');
  t.after(() => folder.remove());
  const random = seededRandom(seed);
  let published = 0;
  let kept = 0;
  for (let cycle = 0; cycle < cycles; cycle++) {
    const broker = await startBrokerProcess(t, folder.path);
    const killAfter = 1 + Math.floor(random.fraction() * 3000);
    const confirmed = new Set<number>();
    const connection = await connect(broker.amqp, { noDelay: true });
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    await channel.assertExchange('x', 'topic', { durable: true });
    await channel.assertQueue('q', { durable: true, arguments: { 'x-queue-type': 'classic' } });
    await channel.bindQueue('q', 'x', 'key.*');
    await publishUntilCut(channel, published, (number) => {
      confirmed.add(number);
      published = number + 1;
      if (confirmed.size === killAfter) broker.child.kill('SIGKILL');
    });
    await broker.exited;
    const again = await startBrokerProcess(t, folder.path);
    const numbers = await readAll(again.amqp);
    const found = new Set(numbers);
    const lost = [...confirmed].filter((number) => !found.has(number));
    assert.deepEqual(lost, [], `confirmed and lost in cycle ${cycle}`);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
      'the order was kept',
    );
    assert.equal(found.size, numbers.length, 'nothing is there twice');
    kept += confirmed.size;
    await again.stop();
  }
  t.diagnostic(`${kept} confirmed messages survived ${cycles} kills`);
});
