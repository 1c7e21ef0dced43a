import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import { silentLogger } from '@torcello/platform';
import { rabbitMqMissing, startRabbitMq, temporaryFolder } from '@torcello/test-support';
import { defaultLimits } from '../src/index.js';
import { exportDefinitions } from '../src/management/definitions.js';
import { startManagement } from '../src/management/management.js';
import { testBroker } from './support/test-broker.js';
import type { TestBroker } from './support/test-broker.js';

const skip = rabbitMqMissing() ?? false;
const login = `Basic ${Buffer.from('guest:guest').toString('base64')}`;

interface Managed extends TestBroker {
  readonly call: (method: string, path: string, body?: unknown) => Promise<{ status: number; text: string }>;
}

async function managed(test: TestContext): Promise<Managed> {
  const one = await testBroker(test);
  const at = { host: '127.0.0.1', port: 0 };
  const management = await startManagement({ broker: one.broker, limits: defaultLimits, logger: silentLogger, at });
  test.after(() => management.stop());
  const base = `http://127.0.0.1:${management.address.port}`;
  const call: Managed['call'] = async (method, path, body) => {
    const headers = { authorization: login };
    const more = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(base + path, { method, headers, ...more });
    return { status: response.status, text: await response.text() };
  };
  return { ...one, call };
}

async function declareThings(url: string): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  await channel.assertExchange('orders', 'topic', { durable: true, alternateExchange: 'amq.fanout' });
  await channel.assertQueue('work', { durable: true, arguments: { 'x-max-priority': 5, 'x-message-ttl': 60_000 } });
  await channel.assertQueue('mine', { exclusive: true });
  await channel.bindQueue('work', 'orders', 'new.#', { note: 'x' });
  await channel.bindQueue('mine', 'orders', 'mine');
  await channel.assertExchange('passing', 'fanout', { durable: false });
  await channel.bindQueue('work', 'passing', 'x');
  await connection.close();
}

interface Definitions {
  readonly queues: { readonly name: string; readonly vhost: string }[];
  readonly bindings: { readonly destination: string; readonly routing_key: string }[];
  readonly [part: string]: unknown;
}

test('definitions go from one broker to the next, users with their passwords', async (t) => {
  const first = await managed(t);
  const second = await managed(t);
  await declareThings(first.url);
  await first.call('PUT', '/api/policies/%2f/short', { pattern: '^w', definition: { 'max-length': 10 }, priority: 3 });
  await first.call('PUT', '/api/operator-policies/%2f/most', { pattern: '', definition: { 'max-length': 5 } });
  await first.broker.users.put('mover', { password: 'secret', tags: ['monitoring'] });
  const definitions = JSON.parse((await first.call('GET', '/api/definitions')).text) as Definitions;
  assert.deepEqual(
    definitions.queues.map(({ name }) => name),
    ['work'],
  );
  assert.deepEqual(
    definitions.bindings.map((one) => [one.destination, one.routing_key]),
    [['work', 'new.#']],
  );
  assert.equal((await second.call('POST', '/api/definitions', definitions)).status, 204);
  assert.deepEqual(JSON.parse((await second.call('GET', '/api/definitions')).text), definitions);
  assert.equal((await second.broker.users.login('mover', 'secret'))?.name, 'mover');
  assert.equal(second.broker.vhosts.get('/')?.queues.get('work')?.options.lengthMax, 5, 'policies came along');
  const changed = {
    ...definitions,
    queues: [{ ...definitions.queues[0], durable: true, arguments: { 'x-max-priority': 6 } }],
  };
  assert.equal((await second.call('POST', '/api/definitions', changed)).status, 400);
  const parameter = { ...definitions, parameters: [{ component: 'shovel', vhost: '/', name: 's', value: {} }] };
  assert.match((await second.call('POST', '/api/definitions', parameter)).text, /no parameters of shovel/);
});

test('what is running is shown, and measured for Prometheus', async (t) => {
  const { call, url } = await managed(t);
  await declareThings(url);
  const connection = await connect(url, { clientProperties: { connection_name: 'seen' } });
  const channel = await connection.createChannel();
  channel.sendToQueue('work', Buffer.from('1'));
  await channel.checkQueue('work');
  const names = async (path: string, column = 'name'): Promise<unknown[]> =>
    (JSON.parse((await call('GET', path)).text) as Record<string, unknown>[]).map((row) => row[column]);
  assert.deepEqual(await names('/api/queues'), ['work']);
  assert.deepEqual(await names('/api/connections', 'user_provided_name'), ['seen']);
  assert.deepEqual(await names('/api/vhosts'), ['/']);
  assert.ok((await names('/api/exchanges')).includes('orders'));
  const metrics = (await call('GET', '/metrics')).text;
  assert.match(metrics, /^rabbitmq_queue_messages_ready 1$/m);
  assert.match(metrics, /^rabbitmq_connections 1$/m);
  await connection.close();
});

test('definitions go to RabbitMQ and come back', { skip }, async (t) => {
  const rabbit = await startRabbitMq({ own: true });
  t.after(() => rabbit.stop());
  const folder = temporaryFolder('definitions');
  t.after(() => folder.remove());
  const first = await managed(t);
  await declareThings(first.url);
  const policy = {
    pattern: '^work$',
    'apply-to': 'queues',
    definition: { 'max-length': 9, overflow: 'reject-publish' },
  };
  assert.equal((await first.call('PUT', '/api/policies/%2f/short', policy)).status, 201);
  const most = { pattern: '', 'apply-to': 'queues', definition: { 'max-length': 7 } };
  assert.equal((await first.call('PUT', '/api/operator-policies/%2f/most', most)).status, 201);
  const definitions = JSON.parse((await first.call('GET', '/api/definitions')).text) as Definitions;
  const [there, back] = [join(folder.path, 'there.json'), join(folder.path, 'back.json')];
  writeFileSync(there, JSON.stringify(definitions));
  await rabbit.control('import_definitions', there);
  assert.match(await rabbit.control('list_queues', '--quiet', 'name', 'durable'), /work\ttrue/);
  assert.match(await rabbit.control('list_bindings', '--quiet'), /orders\s+exchange\s+work\s+queue\s+new\.#/);
  assert.match(await rabbit.control('list_queues', '--quiet', 'name', 'policy'), /work\tshort/);
  await rabbit.control('change_password', 'guest', 'other');
  await rabbit.control('add_user', 'reader', 'secret');
  await rabbit.control('export_definitions', back);
  const second = await managed(t);
  const answer = await second.call('POST', '/api/definitions', JSON.parse(readFileSync(back, 'utf8')));
  assert.equal(answer.status, 204, answer.text);
  assert.equal(second.broker.vhosts.get('/')?.queues.get('work')?.definition.options.priorityMax, 5);
  const { lengthMax, overflow } = second.broker.vhosts.get('/')?.queues.get('work')?.options ?? {};
  assert.deepEqual([lengthMax, overflow], [7, 'reject-publish'], 'policies came back');
  assert.equal((await second.broker.users.login('guest', 'other'))?.name, 'guest', 'with the password of RabbitMQ');
  writeFileSync(there, JSON.stringify(exportDefinitions(second.broker)));
  await rabbit.control('delete_user', 'reader');
  await rabbit.control('import_definitions', there);
  assert.match(await rabbit.control('authenticate_user', 'reader', 'secret'), /Success/, 'and goes back with it');
});
