import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { test } from 'node:test';
import { rabbitMqMissing, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import { connect } from 'amqplib';
import type { ConfirmChannel } from 'amqplib';
import { runBroker, startBrokerProcess } from './support/broker-process.js';

const skip = rabbitMqMissing() ?? false;
const persistent = { persistent: true };

async function open(url: string): Promise<{ channel: ConfirmChannel; close: () => Promise<void> }> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return { channel, close: () => connection.close().catch(() => undefined) };
}

async function move(folder: string, to: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const moving = runBroker(['--data', folder, 'move', '--to', to]);
  const { code } = await moving.exited;
  return { code, ...moving.output() };
}

test(
  'what stands in the way of a move is named with its cure, and the same command then finishes',
  { skip, timeout: 300_000 },
  async (t) => {
    const folder = temporaryFolder('move-refusals');
    t.after(() => folder.remove());
    const ours = await startBrokerProcess(t, folder.path);
    const { channel } = await open(ours.amqp);
    await channel.assertQueue('work', { arguments: { 'x-max-length': 100 } });
    await channel.assertQueue('mine', { exclusive: true });
    for (let number = 0; number < 10; number++)
      channel.sendToQueue('work', Buffer.from(`${number}`), { ...persistent, userId: 'guest' });
    channel.sendToQueue('work', Buffer.from('passing'), { persistent: false });
    channel.sendToQueue('mine', Buffer.from('x'));
    await channel.waitForConfirms();

    const rabbit = await startRabbitMq();
    t.after(() => rabbit.stop());
    const vhost = await rabbit.freshVhost();
    const user = `mover-${vhost}`;
    await rabbit.control('add_user', user, 'secret');
    const to = rabbit.url(vhost).replace('guest:guest', `${user}:secret`);
    const expect = async (text: RegExp, at = to): Promise<void> => {
      const { code, stderr } = await move(folder.path, at);
      assert.equal(code, 1, stderr);
      assert.match(stderr, text);
      assert.match(stderr, /10 messages are still here|Nothing was moved/);
    };
    const other = temporaryFolder('move-copy');
    t.after(() => other.remove());
    cpSync(folder.path, other.path, { recursive: true });
    const copy = await move(other.path, rabbit.url(vhost));
    assert.equal(copy.code, 1, copy.stderr);
    assert.match(copy.stderr, /is a copy of .*, whose broker runs/);
    assert.equal(ours.child.exitCode, null, 'the broker of the original runs on');

    await expect(/ACCESS_REFUSED.*check user and password/, to.replace('secret', 'wrong'));
    await expect(/NOT_ALLOWED.*add_vhost/, `${to}-nowhere`);
    await expect(/access to vhost.*set_permissions/);
    await expect(/ECONNREFUSED.*; nobody listens there/, 'amqp://guest:guest@127.0.0.1:1/x');
    await expect(/EPROTO|wrong version/, rabbit.url(vhost).replace('amqp:', 'amqps:'));
    assert.equal(ours.child.exitCode, null, 'for none of these the broker was stopped');
    await rabbit.control('set_permissions', '-p', vhost, user, '^$', '.*', '.*');
    const lost = /not moved: 1 message of \/ "work"[^]*not moved: \/ "mine", which is not durable/;
    await expect(new RegExp(`${lost.source}[^]*queue 'work': ACCESS_REFUSED.*\\(403\\); .*set_permissions`));
    await rabbit.control('set_permissions', '-p', vhost, user, '.*', '.*', '.*');
    const there = await open(rabbit.url(vhost));
    await there.channel.assertQueue('work');
    await expect(/queue 'work': PRECONDITION_FAILED.*x-max-length.*\(406\); .*differs/);
    await there.channel.deleteQueue('work');
    await there.channel.assertQueue('work', { arguments: { 'x-max-length': 100 } });
    there.channel.sendToQueue('work', Buffer.from('old'), persistent);
    await there.channel.waitForConfirms();
    await expect(/queue 'work' in vhost '.*' of the target holds 1 messages already; empty it/);
    await there.channel.purgeQueue('work');
    const { consumerTag } = await there.channel.consume('work', () => undefined);
    await expect(/queue 'work' in vhost '.*' of the target has 1 readers already; stop them/);
    await there.channel.cancel(consumerTag);
    await expect(/user 'guest' as their sender: give 'mover-.*' the tag impersonator/);
    await rabbit.control('set_user_tags', user, 'impersonator');
    const done = await move(folder.path, to);
    assert.equal(done.code, 0, done.stderr);
    assert.equal((await there.channel.checkQueue('work')).messageCount, 10);
    const first = await there.channel.get('work', { noAck: true });
    assert.equal(first !== false && first.properties.userId, 'guest');

    const again = await startBrokerProcess(t, folder.path);
    assert.match(again.output().stderr, /this broker was moved/);
    const late = await open(again.amqp);
    late.channel.sendToQueue('work', Buffer.from('late'), { ...persistent, userId: 'guest' });
    await late.channel.waitForConfirms();
    await there.channel.consume('work', () => undefined);
    const rest = await move(folder.path, to);
    assert.equal(rest.code, 0, `what came to the old broker afterwards follows: ${rest.stderr}`);
    assert.match(rest.stdout, /"messages":1/);
    await there.close();
  },
);
