import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import { silentLogger } from '@torcello/platform';
import { defaultLimits, emptyDisk, MemoryStore, startBroker } from '../src/index.js';
import { startManagement } from '../src/management/management.js';
import { testBroker } from './support/test-broker.js';
import type { TestBroker } from './support/test-broker.js';

interface Api extends TestBroker {
  readonly call: (
    method: string,
    path: string,
    body?: unknown,
    as?: string | { readonly reason: string },
  ) => Promise<{ readonly status: number; readonly json: unknown }>;
  /** What lies at a path, for an administrator. */
  readonly text: (path: string) => Promise<string>;
}

async function api(t: TestContext, options: Parameters<typeof testBroker>[1] = {}): Promise<Api> {
  const broker = await testBroker(t, options);
  const at = { host: '127.0.0.1', port: 0 };
  const management = await startManagement({ broker: broker.broker, limits: defaultLimits, logger: silentLogger, at });
  t.after(() => management.stop());
  const call: Api['call'] = async (method, path, body, as = 'guest:guest') => {
    const login = typeof as === 'string' ? as : 'guest:guest';
    const answer = await fetch(`http://127.0.0.1:${management.address.port}/api/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: {
        authorization: `Basic ${Buffer.from(login).toString('base64')}`,
        ...(typeof as === 'string' ? {} : { 'x-reason': as.reason }),
      },
    });
    const text = await answer.text();
    return { status: answer.status, json: text === '' ? undefined : (JSON.parse(text) as unknown) };
  };
  const text = async (path: string): Promise<string> => {
    const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` };
    return (await fetch(`http://127.0.0.1:${management.address.port}${path}`, { headers })).text();
  };
  return { ...broker, call, text };
}

async function makeAgent({ call }: Api): Promise<void> {
  await call('PUT', 'users/agent', { password: 'secret', tags: '' });
  const rights = { configure: '^$', write: '^agents$', read: '^mailbox\\.1$' };
  await call('PUT', 'permissions/%2f/agent', rights);
  await call('PUT', 'topic-permissions/%2f/agent', { exchange: 'agents', write: '^web-1\\..*$', read: '^$' });
}

test('health is told to everybody, the rest to administrators only', async (t) => {
  const { call } = await api(t);
  assert.deepEqual(await call('GET', 'health/checks/alarms', undefined, 'nobody:x'), {
    status: 200,
    json: { status: 'ok' },
  });
  assert.equal((await call('GET', 'overview', undefined, 'guest:wrong')).status, 401);
  await call('PUT', 'users/plain', { password: 'p', tags: [] });
  assert.equal((await call('GET', 'overview', undefined, 'plain:p')).status, 401);
  assert.equal((await call('GET', 'overview')).status, 200);
});

test('a user is made, changed, shown and deleted', async (t) => {
  const { call } = await api(t);
  assert.equal((await call('PUT', 'users/u', { password: 'p', tags: 'administrator' })).status, 201);
  assert.equal((await call('PUT', 'users/u', { password: 'q', tags: 'administrator' })).status, 204);
  assert.equal((await call('GET', 'overview', undefined, 'u:p')).status, 401);
  assert.equal((await call('GET', 'overview', undefined, 'u:q')).status, 200);
  assert.deepEqual((await call('GET', 'users/u')).json, { name: 'u', tags: ['administrator'], limits: {} });
  assert.equal((await call('DELETE', 'users/u')).status, 204);
  assert.equal((await call('GET', 'users/u')).status, 404);
});

test('rights are shown in the words that they were given in', async (t) => {
  const broker = await api(t);
  await makeAgent(broker);
  const { json } = await broker.call('GET', 'permissions/%2f/agent');
  const rights = { configure: '^$', write: '^agents$', read: '^mailbox\\.1$' };
  assert.deepEqual(json, { user: 'agent', vhost: '/', ...rights });
});

test('an expression that would have to be run is refused', async (t) => {
  const { call } = await api(t);
  await call('PUT', 'users/u', { password: 'p', tags: [] });
  const answer = await call('PUT', 'permissions/%2f/u', { configure: '(a+)+$', write: '.*', read: '.*' });
  assert.equal(answer.status, 400);
  assert.match(JSON.stringify(answer.json), /no regular expressions/);
  assert.equal((await call('GET', 'permissions/%2f/u')).status, 404);
});

test('a queue is shown with its messages and consumers', async (t) => {
  const broker = await api(t);
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('a/b');
  channel.sendToQueue('a/b', Buffer.from('x'));
  await channel.waitForConfirms();
  const { json } = await broker.call('GET', 'queues/%2f/a%2fb');
  const { name, messages, consumers, durable } = json as Record<string, unknown>;
  assert.deepEqual([name, messages, consumers, durable], ['a/b', 1, 0, true]);
  assert.equal((await broker.call('GET', 'queues/%2f/other')).status, 404);
  assert.equal(((await broker.call('GET', 'queues/%2f')).json as unknown[]).length, 1);
  await connection.close();
});

test('a user whose connections are closed is out, and so is one that is deleted', async (t) => {
  const broker = await api(t);
  await makeAgent(broker);
  const url = broker.url.replace('guest:guest', 'agent:secret');
  for (const close of ['connections/username/agent', 'users/agent']) {
    const connection = await connect(url);
    const closed = new Promise<unknown>((resolve) => connection.once('close', resolve));
    await broker.call('DELETE', close);
    assert.match(String(await closed), /320/);
  }
  await assert.rejects(connect(url), /403/);
});

test('a client whose connection is closed is told the reason that the administrator gave', async (t) => {
  const broker = await api(t);
  for (const path of ['connections/username/guest', undefined]) {
    const connection = await connect(broker.url);
    const closed = once(connection, 'close');
    const name = broker.broker.connections().at(-1)?.name ?? '';
    await broker.call('DELETE', path ?? `connections/${encodeURIComponent(name)}`, undefined, {
      reason: 'see you at nine',
    });
    assert.match(String((await closed)[0]), /CONNECTION_FORCED - see you at nine/);
  }
});

test('users and rights are there after a restart', async (t) => {
  const disk = emptyDisk();
  const first = await api(t, { store: new MemoryStore(disk) });
  await makeAgent(first);
  const second = await startBroker({ store: new MemoryStore(disk) });
  const agent = second.users.get('agent');
  assert.deepEqual(agent?.permissions['/'], { configure: [], write: ['agents'], read: ['mailbox.1'] });
  assert.notEqual(await second.users.login('agent', 'secret'), undefined);
  assert.equal(await second.users.login('agent', 'other'), undefined);
  await second.stop();
});

test('a body that is too large or no JSON is refused', async (t) => {
  const { call } = await api(t);
  assert.equal((await call('PUT', 'users/u', { password: 'x'.repeat(70_000) })).status, 413);
  assert.equal((await call('PUT', 'users/u', [1])).status, 400);
  assert.equal((await call('PUT', 'nothing/here', {})).status, 404);
  assert.equal((await call('DELETE', 'overview')).status, 405);
});

test('limits of a user are set, refused when they make no sense, and taken away', async (t) => {
  const broker = await api(t);
  await makeAgent(broker);
  assert.equal((await broker.call('PUT', 'user-limits/agent/max-connections', { value: 0 })).status, 204);
  const url = broker.url.replace('guest:guest', 'agent:secret');
  await assert.rejects(connect(url));
  assert.equal((await broker.call('PUT', 'user-limits/agent/max-dreams', { value: 1 })).status, 400);
  assert.equal((await broker.call('PUT', 'user-limits/agent/max-channels', { value: 'many' })).status, 400);
  assert.equal((await broker.call('DELETE', 'user-limits/agent/max-connections')).status, 204);
  await (await connect(url)).close();
});

test("metrics have the names and types of RabbitMQ's exporter, and the one that its dashboard joins by", async (t) => {
  const broker = await api(t);
  const text = await broker.text('/metrics');
  const theirs = readFileSync(new URL('./golden/rabbitmq-3.10.8-metrics.txt', import.meta.url), 'utf8').split('\n');
  const types = [...text.matchAll(/^# TYPE (rabbitmq_\S+) (\S+)$/gm)].map(([, name, type]) => [name, type] as const);
  assert.ok(types.length > 30, `${types.length} metrics`);
  for (const [name, type] of types) {
    const isTheirs = theirs.includes(`${name} ${type}`) || theirs.includes(`${name} untyped`);
    assert.ok(isTheirs, `RabbitMQ has no ${type} ${name}`);
  }
  assert.match(text, /^rabbitmq_identity_info\{rabbitmq_node="[^"]+",rabbitmq_cluster="[^"]+"\} 1$/m);
});

test('what happens is counted', async (t) => {
  const broker = await api(t);
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('q');
  channel.on('return', () => undefined);
  for (const key of ['q', 'q', 'nobody']) channel.sendToQueue(key, Buffer.from('x'));
  channel.sendToQueue('nobody', Buffer.from('x'), { mandatory: true });
  await channel.waitForConfirms();
  const first = await channel.get('q');
  assert.ok(first !== false, 'the first message');
  channel.nack(first, false, true);
  const consumed = new Promise<void>((resolve) => {
    let count = 0;
    void channel.consume('q', (message) => {
      if (message !== null) channel.ack(message);
      if (++count === 2) resolve();
    });
  });
  await consumed;
  assert.equal(await channel.get('q'), false);
  const { message_stats: stats } = (await broker.call('GET', 'overview')).json as { message_stats: unknown };
  assert.deepEqual(stats, {
    publish: 4,
    confirm: 4,
    return_unroutable: 1,
    drop_unroutable: 1,
    deliver: 2,
    deliver_no_ack: 0,
    redeliver: 1,
    get: 1,
    get_empty: 1,
    ack: 2,
  });
  const metrics = await broker.text('/metrics');
  assert.match(metrics, /^rabbitmq_channel_messages_published_total 4$/m);
  assert.match(metrics, /^rabbitmq_channels 1$/m);
  await connection.close();
  assert.match(await broker.text('/metrics'), /^rabbitmq_channels 0$/m);
});

const healthy: readonly [path: string, status: number][] = [
  ['health/checks/alarms', 200],
  ['health/checks/local-alarms', 200],
  ['health/checks/virtual-hosts', 200],
  ['health/checks/node-is-quorum-critical', 200],
  ['health/checks/protocol-listener/amqp', 200],
  ['health/checks/protocol-listener/mqtt', 503],
  ['health/checks/port-listener/1', 503],
  ['healthchecks/node', 200],
  ['aliveness-test/%2f', 200],
  ['aliveness-test/missing', 404],
  ['whoami', 200],
  ['cluster-name', 200],
];

test('health checks say what is well, and alarms what is not', async (t) => {
  let freeBytes = 10_000_000_000;
  const broker = await api(t, { diskFreeBytes: () => freeBytes });
  for (const [path, status] of healthy) assert.equal((await broker.call('GET', path)).status, status, path);
  const port = `health/checks/port-listener/${broker.port}`;
  assert.equal((await broker.call('GET', port)).status, 200);
  freeBytes = 1;
  await broker.broker.checkResources();
  for (const path of ['health/checks/alarms', 'aliveness-test/%2f']) {
    assert.equal((await broker.call('GET', path)).status, 503, path);
  }
  const [node] = (await broker.call('GET', 'nodes')).json as { disk_free_alarm: boolean; disk_free: number }[];
  assert.deepEqual([node?.disk_free_alarm, node?.disk_free], [true, 1]);
  assert.match(await broker.text('/metrics'), /^rabbitmq_alarms_free_disk_space_watermark 1$/m);
});

test('rows are narrowed to columns, and sorted', async (t) => {
  const { call } = await api(t);
  const { json } = await call('GET', 'exchanges/%2f?columns=name,nothing&sort=name&sort_reverse=true');
  assert.deepEqual((json as unknown[]).slice(0, 2), [{ name: 'amq.topic' }, { name: 'amq.match' }]);
  const overview = await call('GET', 'overview?columns=object_totals.queues,__proto__.x');
  assert.deepEqual(overview.json, { object_totals: { queues: 0 } });
});

test('rows come in pages, counted as RabbitMQ counts them', async (t) => {
  const { call } = await api(t);
  const page = async (query: string): Promise<Record<string, unknown>> =>
    (await call('GET', `exchanges/%2f?${query}`)).json as Record<string, unknown>;
  const second = await page('page=2&page_size=2&name=amq.&sort=name&columns=name');
  assert.deepEqual(second, {
    total_count: 5,
    filtered_count: 5,
    item_count: 2,
    page: 2,
    page_size: 2,
    page_count: 3,
    items: [{ name: 'amq.headers' }, { name: 'amq.match' }],
  });
  assert.equal((await page('page=1&name=nothing'))['page_count'], 0);
  for (const wrong of ['page=0', 'page=x', 'page=9', 'page=1&page_size=501', 'page=1&name=.&use_regex=true'])
    assert.equal((await call('GET', `exchanges/%2f?${wrong}`)).status, 400, wrong);
});

test('names that no client could use are refused, and nothing of the broker ends', async (t) => {
  const { call } = await api(t);
  const long = 'x'.repeat(256);
  for (const path of [`users/${long}`, `vhosts/${long}`, `policies/%2f/${long}`]) {
    const body = { password: 'p', tags: '', pattern: 'a', definition: { 'max-length': 1 } };
    assert.equal((await call('PUT', path, body)).status, 400, path);
    assert.equal((await call('PUT', path.slice(0, -1), body)).status, 201, path);
  }
});

test('who makes a virtual host may do everything there; with it goes all that it holds, also over a restart', async (t) => {
  const store = new MemoryStore();
  const { broker, call } = await api(t, { store });
  const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
  assert.equal((await call('PUT', 'vhosts/shop')).status, 201);
  const client = await connect(`amqp://guest:guest@127.0.0.1:${port}/shop`);
  const over = once(client, 'close');
  const channel = await client.createChannel();
  await channel.assertExchange('x', 'topic');
  await channel.assertExchange('y', 'fanout');
  await channel.bindExchange('y', 'amq.topic', '#');
  await channel.assertQueue('q');
  await channel.bindQueue('q', 'x', '#');
  channel.sendToQueue('q', Buffer.from('letter'), { persistent: true });
  await call('PUT', 'topic-permissions/shop/guest', { exchange: 'x', write: '.*', read: '.*' });
  await call('PUT', 'policies/shop/p', { pattern: '.*', definition: { 'max-length': 5 } });

  assert.equal((await call('DELETE', 'vhosts/shop')).status, 204);
  assert.match(String((await over)[0]), /CONNECTION_FORCED/);
  assert.equal((await call('DELETE', 'vhosts/shop')).status, 404);
  assert.equal((await call('DELETE', 'vhosts/%2f')).status, 400);
  assert.deepEqual((await call('GET', 'users/guest/permissions')).json, [
    { user: 'guest', vhost: '/', configure: '.*', write: '.*', read: '.*' },
  ]);
  assert.equal((await call('PUT', 'vhosts/shop')).status, 201);
  assert.deepEqual((await call('GET', 'queues/shop')).json, []);
  assert.deepEqual((await call('GET', 'policies/shop')).json, []);
  assert.equal((await call('DELETE', 'vhosts/shop')).status, 204);
  const stored = Array.from(store.entities(), ({ key, value }) => key + value);
  assert.deepEqual(
    stored.filter((entity) => entity.includes('shop')),
    [],
    'nothing of it is stored',
  );
});
