import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'amqplib';
import { silentLogger } from '@torcello/platform';
import { run, temporaryFolder } from '@torcello/test-support';
import { defaultLimits } from '../src/index.js';
import { startManagement } from '../src/management/management.js';
import { testBroker } from './support/test-broker.js';
import type { TestBroker } from './support/test-broker.js';

const program =
  '/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/plugins/rabbitmq_management-3.10.8/priv/www/cli/rabbitmqadmin';
const script = [program, '/usr/bin/rabbitmqadmin'].find((path) => existsSync(path));
const skip = script === undefined ? 'SKIPPED LOUDLY: rabbitmqadmin (package rabbitmq-server) is not installed' : false;

interface Administered extends TestBroker {
  /** Runs `rabbitmqadmin` and gives what it prints. */
  readonly admin: (...args: readonly string[]) => Promise<string>;
}

async function administered(t: TestContext): Promise<Administered> {
  const one = await testBroker(t);
  const at = { host: '127.0.0.1', port: 0 };
  const management = await startManagement({ broker: one.broker, limits: defaultLimits, logger: silentLogger, at });
  t.after(() => management.stop());
  const admin = async (...args: readonly string[]): Promise<string> => {
    const options = ['-H', '127.0.0.1', '-P', String(management.address.port), '-u', 'guest', '-p', 'guest'];
    const child = run('/usr/bin/python3', [script ?? '', ...options, ...args]);
    const { code } = await child.exited;
    const { stdout, stderr } = child.output();
    assert.equal(code, 0, `rabbitmqadmin ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  return { ...one, admin };
}

async function live(t: TestContext, url: string): Promise<void> {
  const connection = await connect(url, { clientProperties: { connection_name: 'seen' } });
  t.after(() => connection.close().catch(() => undefined));
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange('orders', 'topic');
  await channel.assertQueue('work', { arguments: { 'x-max-priority': 5 } });
  await channel.bindQueue('work', 'orders', 'new.#', { note: 'x' });
  await channel.prefetch(7);
  await channel.consume('work', () => undefined, { consumerTag: 'reader' });
  channel.sendToQueue('work', Buffer.from('1'), { persistent: true });
  await channel.waitForConfirms();
}

/** What each listing must show of a broker that somebody uses. */
const listings: readonly [what: string, shown: RegExp][] = [
  ['queues', /\| work +\| 1 /],
  ['exchanges', /\| orders +\| topic +\|/],
  ['bindings', /\| orders +\| work +\| new\.# +\|/],
  ['connections', /127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+ +\| guest +\| 1 +\|/],
  ['channels', /\(1\) +\| guest +\|/],
  ['consumers', /reader/],
  ['users', /\| guest +\| administrator/],
  ['vhosts', /\| \/ +\| 1 +\|/],
  ['permissions', /\| \/ +\| \.\* +\| \.\* +\| guest +\| \.\* +\|/],
  ['policies', /\| short +\| queues +\| \{"max-length": 10\} +\| \^w +\| 3 /],
  ['operator_policies', /\| most +\| all +\| \{"max-length": 5\}/],
  ['parameters', /operator_policy/],
  ['nodes', /\| torcello@localhost +\| disc +\| \d+ +\|/],
  ['vhost_limits', /No items/],
];

test('rabbitmqadmin lists what there is, and shows an overview', { skip }, async (t) => {
  const { url, admin } = await administered(t);
  await live(t, url);
  const definition = '{"max-length":10}';
  await admin(
    'declare',
    'policy',
    'name=short',
    'pattern=^w',
    `definition=${definition}`,
    'priority=3',
    'apply-to=queues',
  );
  await admin('declare', 'operator_policy', 'name=most', 'pattern=^w', 'definition={"max-length":5}');
  for (const [what, shown] of listings) assert.match(await admin('list', what), shown, what);
  assert.match(await admin('show', 'overview'), /3\.10\.8 +\| torcello@localhost +\| 1 +\| 1 +\|/);
  assert.match(await admin('-V', '/', 'list', 'queues', 'name', 'messages', 'policy'), /\| work +\| 1 +\| short +\|/);
  assert.match(await admin('-S', 'name', 'list', 'exchanges', 'name'), /amq\.direct[^]*amq\.fanout[^]*orders/);
  assert.match(await admin('-f', 'raw_json', 'list', 'queues'), /"effective_policy_definition": ?\{"max-length": ?5\}/);
  await admin('delete', 'policy', 'name=short');
  assert.match(await admin('list', 'policies'), /No items/);
});

test(
  'rabbitmqadmin exports definitions and imports them elsewhere, whole and one virtual host',
  { skip },
  async (t) => {
    const [first, second] = [await administered(t), await administered(t)];
    await live(t, first.url);
    await first.admin('declare', 'policy', 'name=short', 'pattern=^w', 'definition={"max-length":10}');
    const folder = temporaryFolder('rabbitmqadmin');
    t.after(() => folder.remove());
    const [whole, part] = [join(folder.path, 'whole.json'), join(folder.path, 'part.json')];
    await first.admin('export', whole);
    await second.admin('import', whole);
    assert.match(await second.admin('list', 'queues', 'name', 'policy'), /\| work +\| short +\|/);
    await first.admin('-V', '/', 'export', part);
    assert.doesNotMatch(readFileSync(part, 'utf8'), /"vhost"|"users"/);
    await second.admin('declare', 'vhost', 'name=other');
    await second.admin('-V', 'other', 'import', part);
    assert.equal(second.broker.vhosts.get('other')?.queues.get('work')?.options.lengthMax, 10);
    assert.equal(second.broker.vhosts.get('other')?.exchanges.get('orders')?.bindings.size, 1);
  },
);

test('rabbitmqadmin closes a connection', { skip }, async (t) => {
  const { broker, url, admin } = await administered(t);
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const closed = new Promise((resolve) => connection.once('close', resolve));
  const [{ name } = { name: '' }] = broker.connections();
  await admin('close', 'connection', `name=${name}`);
  await closed;
  assert.equal(broker.connections().length, 0);
});
