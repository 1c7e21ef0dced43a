import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import type { ConfirmChannel } from 'amqplib';
import { RawClient } from './support/raw-client.js';
import { testBroker } from './support/test-broker.js';

/** A broker as the API leaves it, and an agent that may read one mailbox and write one routing-key prefix. */
async function withAgent(t: TestContext): Promise<{ owner: ConfirmChannel; agent: () => Promise<ConfirmChannel> }> {
  const { broker, url } = await testBroker(t);
  const owner = await (await connect(url)).createConfirmChannel();
  await owner.assertExchange('agents', 'topic');
  for (const queue of ['mailbox.1', 'mailbox.2', 'tasks', 'results']) await owner.assertQueue(queue);
  await owner.bindQueue('results', 'agents', '#');
  await broker.users.put('agent', { password: 'secret', tags: [] });
  const user = broker.users.get('agent');
  assert.ok(user !== undefined);
  broker.users.setPermissions(user, '/', { configure: [], write: ['agents'], read: ['mailbox.1'] });
  const same = broker.users.get('agent');
  assert.ok(same !== undefined);
  broker.users.setTopicPermissions(same, { vhost: '/', exchange: 'agents' }, { write: ['web-1.*'], read: [] });
  const agent = async (): Promise<ConfirmChannel> => {
    const connection = await connect(url.replace('guest:guest', 'agent:secret'));
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    return channel;
  };
  return { owner, agent };
}

async function publish(channel: ConfirmChannel, exchange: string, key: string, userId?: string): Promise<void> {
  const options = userId === undefined ? {} : { userId };
  await new Promise<void>((resolve, reject) => {
    channel.once('error', reject);
    channel.publish(exchange, key, Buffer.from('x'), options, (error: unknown) => {
      if (error === null || error === undefined) resolve();
    });
  });
}

test('an agent reads its mailbox and writes under its own prefix', async (t) => {
  const { owner, agent } = await withAgent(t);
  const channel = await agent();
  owner.sendToQueue('mailbox.1', Buffer.from('plan'));
  await owner.waitForConfirms();
  const letter = await channel.get('mailbox.1');
  assert.ok(letter !== false);
  channel.ack(letter);
  await publish(channel, 'agents', 'web-1.result');
  await publish(channel, 'agents', 'web-1.result', 'agent');
  assert.equal((await owner.checkQueue('results')).messageCount, 2);
  await channel.checkQueue('mailbox.1');
});

test('a user with the tag impersonator may publish in the name of others', async (t) => {
  const { broker, url } = await testBroker(t);
  const owner = await (await connect(url)).createConfirmChannel();
  await owner.assertQueue('results');
  await broker.users.put('bridge', { password: 'secret', tags: ['impersonator'] });
  const user = broker.users.get('bridge');
  assert.ok(user !== undefined, 'the user is there');
  broker.users.setPermissions(user, '/', { configure: [], write: ['amq.direct'], read: [] });
  await owner.bindQueue('results', 'amq.direct', 'r');
  const channel = await (await connect(url.replace('guest:guest', 'bridge:secret'))).createConfirmChannel();
  await publish(channel, 'amq.direct', 'r', 'somebody');
  const letter = await owner.get('results');
  assert.equal(letter === false ? undefined : letter.properties.userId, 'somebody');
});

const attacks: readonly [what: string, code: number, attack: (channel: ConfirmChannel) => Promise<unknown>][] = [
  ["read another's mailbox", 403, (channel) => channel.consume('mailbox.2', () => undefined)],
  ["get from another's mailbox", 403, (channel) => channel.get('mailbox.2')],
  ["purge another's mailbox", 403, (channel) => channel.purgeQueue('mailbox.2')],
  ["delete another's mailbox", 403, (channel) => channel.deleteQueue('mailbox.2')],
  ['delete its own mailbox', 403, (channel) => channel.deleteQueue('mailbox.1')],
  ['declare its own mailbox', 403, (channel) => channel.assertQueue('mailbox.1')],
  ['take tasks', 403, (channel) => channel.get('tasks')],
  ['inject tasks by the default exchange', 403, (channel) => publish(channel, '', 'tasks')],
  ['write by an exchange of the broker', 403, (channel) => publish(channel, 'amq.topic', 'web-1.x')],
  ["read others' results", 403, (channel) => channel.get('results')],
  ["forge another's results", 403, (channel) => publish(channel, 'agents', 'web-2.result')],
  ['write under a longer name', 403, (channel) => publish(channel, 'agents', 'web-10.result')],
  ['write as another user', 406, (channel) => publish(channel, 'agents', 'web-1.result', 'guest')],
  ['delete the exchange', 403, (channel) => channel.deleteExchange('agents')],
  ['tap the results', 403, (channel) => channel.bindQueue('mailbox.1', 'agents', '#')],
  ['make a queue of its own', 403, (channel) => channel.assertQueue('', { exclusive: true })],
  ['make a queue of a chosen name', 403, (channel) => channel.assertQueue('mine')],
  ['make an exchange', 403, (channel) => channel.assertExchange('mine', 'fanout')],
  ['learn whether a queue exists that does', 403, (channel) => channel.checkQueue('mailbox.2')],
  ['learn whether a queue exists that does not', 403, (channel) => channel.checkQueue('mailbox.3')],
  ['learn whether an exchange exists', 403, (channel) => channel.checkExchange('amq.topic')],
];

for (const [what, code, attack] of attacks) {
  test(`an agent cannot ${what}`, async (t) => {
    const { owner, agent } = await withAgent(t);
    await assert.rejects(attack(await agent()), { code });
    assert.equal((await owner.checkQueue('results')).messageCount, 0);
    assert.equal((await owner.checkQueue('tasks')).messageCount, 0);
  });
}

test('a right that is taken away holds from the next operation on', async (t) => {
  const { broker, url } = await testBroker(t);
  const channel = await (await connect(url)).createConfirmChannel();
  channel.on('error', () => undefined);
  await channel.assertQueue('q');
  await publish(channel, '', 'q');
  const guest = broker.users.get('guest');
  assert.ok(guest !== undefined);
  broker.users.setPermissions(guest, '/', { configure: ['*'], write: [], read: ['*'] });
  await assert.rejects(publish(channel, '', 'q'), { code: 403 });
});

test('a user without rights in a vhost does not get in', async (t) => {
  const { broker } = await testBroker(t);
  await broker.createVhost('other');
  for (const vhost of ['other', 'missing']) await assert.rejects(new RawClient(broker).open({ vhost }), /NOT_ALLOWED/);
});
