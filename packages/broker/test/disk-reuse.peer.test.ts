import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import process from 'node:process';
import { test } from 'node:test';
import { temporaryFolder } from '@torcello/test-support';
import { connect } from 'amqplib';
import type { ConfirmChannel } from 'amqplib';
import { runBroker } from './support/broker-process.js';

const limits = ['diskFreeBytesMin=12000000', 'diskReserveBytes=65536', 'resourceCheckMs=100'];
const args = ['--port', '0', ...limits.flatMap((limit) => ['--limit', limit])];
const login = { TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };
const waitMsMax = 60_000;
const pauseMs = 50;

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
  const connection = await connect(`amqp://guest:guest@${amqp}`, { noDelay: true });
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('q', { durable: true });
  let taken = 0;
  const deadline = Date.now() + waitMsMax;
  while (await publish(channel)) {
    taken++;
    assert.ok(taken < 600 && Date.now() < deadline, `${taken} messages did not fill the disk`);
  }
  assert.ok(taken > 50, `only ${taken} were taken`);
  await channel.purgeQueue('q');
  while (!(await publish(channel))) {
    assert.ok(Date.now() < deadline, 'an empty database takes nothing');
    await setTimeout(pauseMs);
  }
  await connection.close();
  await running.stop('SIGTERM');
});
