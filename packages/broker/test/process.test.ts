import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import { temporaryFolder } from '@torcello/test-support';
import { runBroker, startBrokerProcess } from './support/broker-process.js';

function folderOf(t: TestContext): string {
  const folder = temporaryFolder('process');
  t.after(() => folder.remove());
  return folder.path;
}

/** What a start that is refused says, and its exit code. */
async function refusal(...args: string[]): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const broker = runBroker(args);
  const { code } = await broker.exited;
  return { code, stderr: broker.output().stderr };
}

test('a data folder belongs to one broker; the second one names folder and process', async (t) => {
  const folder = folderOf(t);
  const broker = await startBrokerProcess(t, folder);
  const { code, stderr } = await refusal('--data', folder, '--port', '0');
  assert.equal(code, 1);
  assert.equal(stderr.trim().split('\n').length, 1);
  assert.ok(stderr.includes(folder) && stderr.includes(String(broker.pid)), stderr);
  await broker.stop();
});

test('the lock of a broker that was killed does not stop the next one, nor does a number that another process got', async (t) => {
  const folder = folderOf(t);
  const broker = await startBrokerProcess(t, folder);
  await broker.stop('SIGKILL');
  const again = await startBrokerProcess(t, folder);
  await again.stop('SIGKILL');
  writeFileSync(join(folder, 'broker.lock'), JSON.stringify({ pid: process.pid, startTicks: '1' }));
  const third = await startBrokerProcess(t, folder);
  await third.stop();
});

test('SIGTERM is an orderly end, and what was there is there again', async (t) => {
  const folder = folderOf(t);
  const broker = await startBrokerProcess(t, folder);
  const connection = await connect(broker.amqp);
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange('x', 'direct', { durable: true });
  await channel.assertQueue('q', { durable: true, deadLetterExchange: 'x', messageTtl: 3_600_000 });
  await channel.bindQueue('q', 'x', 'k');
  channel.publish('x', 'k', Buffer.from('kept'), { persistent: true, headers: { a: 1 } });
  channel.publish('x', 'k', Buffer.from('lost'), { persistent: false });
  await channel.waitForConfirms();
  await broker.stop();
  assert.equal((await broker.exited).code, 0);
  const again = await startBrokerProcess(t, folder);
  const later = await connect(again.amqp);
  const reader = await later.createChannel();
  await reader.assertQueue('q', { durable: true, deadLetterExchange: 'x', messageTtl: 3_600_000 });
  const message = await reader.get('q', { noAck: true });
  assert.ok(message !== false);
  assert.equal(message.content.toString(), 'kept');
  assert.deepEqual(message.properties.headers, { a: 1 });
  assert.equal(message.fields.redelivered, false, 'nobody had it before the orderly end');
  assert.equal(await reader.get('q'), false);
  await later.close();
  await again.stop();
});

test('a folder of a newer format is refused with one line', async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'format.json'), '{"format":99}');
  const { code, stderr } = await refusal('--data', folder, '--port', '0');
  assert.equal(code, 1);
  assert.match(stderr, /format version 99.*use a newer broker\n$/);
});

test('without TLS only loopback is served', async (t) => {
  const { code, stderr } = await refusal('--data', folderOf(t), '--host', '0.0.0.0');
  assert.equal(code, 1);
  assert.match(stderr, /0\.0\.0\.0 is refused.*loopback/);
});

test('with the limits of RabbitMQ a client may have as many channels as there, but for what is named on its own', async (t) => {
  const broker = await startBrokerProcess(t, folderOf(t), [
    '--limits',
    'rabbitmq',
    '--limit',
    'consumersPerChannelMax=1',
  ]);
  const connection = await connect(broker.amqp);
  for (let count = 0; count < 100; count++) await connection.createChannel();
  const channel = await connection.createChannel();
  const refused = once(channel, 'error');
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.consume(queue, () => undefined);
  await assert.rejects(
    channel.consume(queue, () => undefined),
    { code: 506 },
  );
  await refused;
  await connection.close();
  await broker.stop();
  const { code, stderr } = await refusal('--data', folderOf(t), '--limits', 'none');
  assert.equal(code, 1);
  assert.match(stderr, /own, rabbitmq/);
});

test('a taken port is named', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const { code, stderr } = await refusal('--data', folderOf(t), '--port', String(port));
  assert.equal(code, 1);
  assert.ok(stderr.includes(`port ${port} is taken`), stderr);
});

test('the first start makes an administrator whose password only the owner of the folder can read', async (t) => {
  const folder = folderOf(t);
  const broker = runBroker(['--data', folder, '--port', '0']);
  const line = await broker.line((text) => text.includes('"ready":true'));
  const { management } = JSON.parse(line) as { management: string };
  const file = join(folder, 'admin-password');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const login = Buffer.from(`torcello:${readFileSync(file, 'utf8').trim()}`).toString('base64');
  const answer = await fetch(`${management}/api/overview`, { headers: { authorization: `Basic ${login}` } });
  assert.equal(answer.status, 200);
  await broker.stop();
});
