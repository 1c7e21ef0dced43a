import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { test } from 'node:test';
import { temporaryFolder } from '@torcello/test-support';
import { connect } from 'amqplib';
import type { ConfirmChannel } from 'amqplib';
import { runBroker } from './support/broker-process.js';

const bodyBytes = 64 * 1024;
const args = ['--port', '0', '--limit', 'diskFreeBytesMin=1', '--limit', 'diskReserveBytes=2097152'];
const login = { TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };

async function start(folder: string) {
  const running = runBroker(['--data', folder, ...args], login);
  const line = await running.line((text) => text.includes('"ready":true'));
  const { amqp } = JSON.parse(line) as { amqp: string };
  const { connection, channel } = await openChannel(amqp);
  await channel.assertQueue('q', { durable: true });
  return { running, amqp, connection, channel };
}

async function openChannel(amqp: string) {
  const connection = await connect(`amqp://guest:guest@${amqp}`, { noDelay: true });
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return { connection, channel };
}

function publish(channel: ConfirmChannel, number: number): Promise<boolean> {
  const body = Buffer.alloc(bodyBytes, `${number} `);
  return new Promise((resolve) => {
    channel.sendToQueue('q', body, { persistent: true }, (error: unknown) => resolve((error ?? null) === null));
  });
}

async function numberOfNext(channel: ConfirmChannel): Promise<number | undefined> {
  const message = await channel.get('q');
  if (message === false) return undefined;
  channel.ack(message);
  return Number.parseInt(message.content.toString('utf8', 0, 12), 10);
}

const mount = (...options: string[]): boolean => spawnSync('mount', options).status === 0;

test('on a disk that is really full the broker nacks, lets publishes wait, takes acknowledgements, lives, and keeps what it confirmed', async (t) => {
  const folder = temporaryFolder('full');
  const isMounted = process.getuid?.() === 0 && mount('-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', folder.path);
  t.after(() => {
    if (isMounted) spawnSync('umount', ['-l', folder.path]);
    folder.remove();
  });
  if (!isMounted) return t.skip('SKIPPED LOUDLY: no right to mount a small disk (root can)');
  const first = await start(folder.path);
  t.after(() => first.running.stop('SIGKILL'));
  const reasons: unknown[] = [];
  first.connection.on('blocked', (reason: unknown) => reasons.push(reason));
  const full = new Promise((resolve) => first.connection.once('blocked', resolve));
  const publishing = Array.from({ length: 400 }, (_, number) => publish(first.channel, number));
  await full;
  const { channel: reader } = await openChannel(first.amqp);
  assert.deepEqual([await numberOfNext(reader), await numberOfNext(reader)], [0, 1]);
  await reader.assertQueue('after', { durable: true });
  await first.running.stop('SIGTERM');
  assert.deepEqual(await first.running.exited, { code: 0, signal: null });
  const confirmed: number[] = [];
  (await Promise.all(publishing)).forEach((isTaken, number) => isTaken && confirmed.push(number));
  assert.ok(confirmed.length > 20 && confirmed.length < 400, `${confirmed.length} of 400 were taken`);
  assert.ok(reasons.length > 0, 'the client was told');
  const second = await start(folder.path);
  t.after(() => second.running.stop('SIGKILL'));
  for (const number of confirmed.slice(2)) assert.equal(await numberOfNext(second.channel), number);
  assert.equal(await numberOfNext(second.channel), undefined, 'what was nacked is not there');
  await second.connection.close();
  await second.running.stop('SIGTERM');
});
