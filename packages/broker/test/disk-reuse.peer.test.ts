import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { test } from 'node:test';
import { temporaryFolder } from '@torcello/test-support';
import { connect } from 'amqplib';
import type { ConfirmChannel } from 'amqplib';
import { runBroker } from './support/broker-process.js';

const limits = ['diskFreeBytesMin=12000000', 'diskReserveBytes=65536', 'resourceCheckMs=100'];
const args = ['--port', '0', ...limits.flatMap((limit) => ['--limit', limit])];
const login = { TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };

async function open(amqp: string) {
  const connection = await connect(`amqp://guest:guest@${amqp}`, { noDelay: true });
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  return { connection, channel };
}

function publish(channel: ConfirmChannel): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (error: unknown): void => resolve((error ?? null) === null);
    channel.sendToQueue('q', Buffer.alloc(64 * 1024), { persistent: true }, done);
  });
}

const mount = (...options: string[]): boolean => spawnSync('mount', options).status === 0;

test('a database that filled the disk and was emptied takes messages again', async (t) => {
  const folder = temporaryFolder('reuse');
  const isMounted = process.getuid?.() === 0 && mount('-t', 'tmpfs', '-o', 'size=36m', 'tmpfs', folder.path);
  t.after(() => {
    if (isMounted) spawnSync('umount', ['-l', folder.path]);
    folder.remove();
  });
  if (!isMounted) return t.skip('SKIPPED LOUDLY: no right to mount a small disk (root can)');
  const running = runBroker(['--data', folder.path, ...args], login);
  t.after(() => running.stop('SIGKILL'));
  const line = await running.line((text) => text.includes('"ready":true'));
  const { amqp } = JSON.parse(line) as { amqp: string };
  const [writer, reader] = [await open(amqp), await open(amqp)];
  await writer.channel.assertQueue('q', { durable: true });
  const full = once(writer.connection, 'blocked').then(() => 'full' as const);
  let taken = 0;
  let outcome = publish(writer.channel);
  while ((await Promise.race([outcome, full])) !== 'full') {
    taken++;
    assert.ok(taken < 600, `${taken} messages did not fill the disk`);
    outcome = publish(writer.channel);
  }
  assert.ok(taken > 50, `only ${taken} were taken`);
  await reader.channel.purgeQueue('q');
  await outcome;
  assert.equal(await publish(writer.channel), true, 'an empty database takes messages');
  for (const { connection } of [writer, reader]) await connection.close();
  await running.stop('SIGTERM');
});
