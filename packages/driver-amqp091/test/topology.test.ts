import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseTransportUrl, type Topology } from '@torcello/messaging';
import { brokerProfile } from '../src/broker-profile.js';
import { readSettings, urlOptions, type TopologySettings } from '../src/settings.js';
import { declarations, replyQueue, type Declarations } from '../src/topology.js';
import { mailbox } from './support/world.js';
import { mismatchOf } from '../src/mismatch.js';

interface Golden {
  readonly cases: readonly {
    readonly options: string;
    readonly declares: readonly { readonly method: string; readonly args: Readonly<Record<string, unknown>> }[];
  }[];
}
const golden = JSON.parse(readFileSync(new URL('golden/oslo-declarations.json', import.meta.url), 'utf8')) as Golden;

function settingsOf(query: string): TopologySettings {
  return readSettings(parseTransportUrl(`rabbit://h/?${query}`), { frameSizeBytesMax: 131_072 }).topology;
}

function map(
  topology: Topology,
  query = '',
  server: Record<string, string> = { product: 'RabbitMQ', version: '4.1.0' },
): Declarations {
  const settings = settingsOf(query);
  return declarations(topology, brokerProfile(server, settings), settings);
}

function shared(queue: string, exchange = 'openstack'): Topology {
  return { kind: 'shared', source: { queue }, reachedBy: [{ exchange, routingKey: queue }], options: {} };
}
const fanout: Topology = {
  kind: 'fanout',
  source: { queue: 'golden_fanout_ID' },
  reachedBy: [{ exchange: 'golden_fanout', routingKey: 'golden' }],
  options: {},
};

/** Only what is set, as on the wire. */
function defined(table: object | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table ?? {}).filter(([, value]) => value !== undefined));
}

for (const { options, declares } of golden.cases) {
  test(`oslo.messaging declares the same under ${options}`, () => {
    const find = (kind: string, name: string): Readonly<Record<string, unknown>> | undefined =>
      declares.find(({ method, args }) => method === kind && (args['queue'] ?? args['exchange']) === name)?.args;
    const checkQueue = (queue: Declarations['queue']): void => {
      const { queue: name, durable, autoDelete } = queue;
      const found = {
        queue: name,
        durable: durable ?? false,
        auto_delete: autoDelete ?? false,
        arguments: defined(queue.arguments),
      };
      assert.deepEqual(found, find('Queue.Declare', name));
    };
    const topics = ['golden', 'golden.server1', 'notifications.info'].map((name) => map(shared(name), options));
    for (const { queue, exchanges } of [...topics, map(fanout, options)]) {
      checkQueue(queue);
      const [exchange] = exchanges;
      const found = {
        exchange: exchange?.exchange,
        type: exchange?.type,
        durable: exchange?.durable,
        auto_delete: exchange?.autoDelete,
      };
      assert.deepEqual({ ...found, arguments: {} }, find('Exchange.Declare', exchange?.exchange ?? ''));
    }
    const reply = replyQueue('reply_ID', 1_800_000, settingsOf(options));
    assert.equal(reply.name, 'queue.declare');
    if (reply.name === 'queue.declare') checkQueue(reply);
  });
}

test('without flags everything is valid on the newest RabbitMQ: no queue is transient and shared', () => {
  for (const topology of [shared('a'), fanout, mailbox('m')])
    assert.equal(map(topology).queue.durable, true, topology.kind);
  const reply = replyQueue('r', 1000, settingsOf(''));
  assert.equal(reply.name === 'queue.declare' && reply.durable, true);
});

test('a mailbox is a quorum queue that never drops a letter for having been handed out too often', () => {
  const { queue, exchanges, bindings } = map(mailbox('m', { lengthMax: 7 }));
  const { 'x-delivery-limit': limit, ...others } = defined(queue.arguments);
  assert.deepEqual(others, { 'x-queue-type': 'quorum', 'x-max-length': 7, 'x-overflow': 'reject-publish' });
  assert.ok(Number(limit) > 1_000_000, `a limit of ${String(limit)}`);
  assert.deepEqual([exchanges, bindings], [[], []]);
  assert.deepEqual(defined(map(mailbox('m'), 'queue_type=classic').queue.arguments), {});
  assert.deepEqual(defined(map(mailbox('m'), '', { product: 'Torcello', version: '0.1.0' }).queue.arguments), {});
});

test('every option of a topology has its argument', () => {
  const options = {
    lengthMax: 5,
    whenFull: 'drop-oldest',
    messageTtlMs: 1000,
    expiresMs: 2000,
    priorityMax: 9,
    deadLetter: { exchange: 'dlx', routingKey: 'dead' },
    singleReader: true,
  } as const;
  const { queue } = map({ ...shared('s'), options }, 'queue_type=classic');
  assert.deepEqual(defined(queue.arguments), {
    'x-max-length': 5,
    'x-overflow': 'drop-head',
    'x-message-ttl': 1000,
    'x-expires': 2000,
    'x-max-priority': 9,
    'x-dead-letter-exchange': 'dlx',
    'x-dead-letter-routing-key': 'dead',
    'x-single-active-consumer': true,
  });
  assert.throws(() => map(mailbox('m', { priorityMax: 3 })), { code: 'CAPABILITY_MISSING' });
});

test('an exchange is declared once, however many keys lead through it', () => {
  const reachedBy = ['a', 'b'].map((routingKey) => ({ exchange: 'x', routingKey }));
  const { exchanges, bindings } = map({ ...shared('s'), reachedBy: [...reachedBy, { exchange: '', routingKey: 's' }] });
  assert.equal(exchanges.length, 1);
  assert.deepEqual(
    bindings.map(({ routingKey }) => routingKey),
    ['a', 'b'],
  );
});

test('URLs mean what oslo.messaging reads in them, and what cannot be honoured is refused', () => {
  const read = (url: string) => readSettings(parseTransportUrl(url), { frameSizeBytesMax: 131_072 });
  assert.deepEqual(read('amqp://h').hosts, [{ host: 'h', port: 5672, username: 'guest', password: 'guest' }]);
  assert.deepEqual(read('amqps://u:p@h').hosts, [{ host: 'h', port: 5671, username: 'u', password: 'p' }]);
  assert.equal(read('rabbit://h/?ssl=true').isTls, true);
  assert.deepEqual(
    ['amqp://h', 'amqp://h/', 'amqp://h/a', 'amqp://h/%2Fb'].map((url) => read(url).vhost),
    ['/', '/', 'a', '/b'],
  );
  for (const query of ['x=1', 'queue_type=stream', 'frame_max=1', 'frame_max=x', 'ssl=maybe', 'login_method=CRAM']) {
    assert.throws(() => read(`amqp://h/?${query}`), { code: 'INVALID_URL' }, query);
  }
});

test('the README lists the options of the URL', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, table = ''] = /## URL([\s\S]*?)An option that is not listed/.exec(readme) ?? [];
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const listed = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  );
  assert.deepEqual(listed.toSorted(), [...urlOptions].toSorted());
});

test('a mailbox that a foreign program declares as well has its arguments and no others', () => {
  const foreignArguments = { 'x-ha-policy': 'all', 'x-expires': 86_400_000 };
  const { queue } = map(mailbox('m', { foreignArguments }));
  assert.deepEqual([queue.durable, queue.autoDelete, queue.arguments], [true, false, foreignArguments]);
});

test('a mismatch is told with both sides and the option that decides', () => {
  const durable =
    "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'";
  assert.deepEqual(mismatchOf(durable), {
    argument: 'durable',
    entity: 'queue',
    wanted: 'false',
    found: 'true',
    option: 'amqp_durable_queues',
  });
  const expires =
    "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost '/': received none but current is the value '1800000' of type 'signedint'";
  const { wanted, found, option } = mismatchOf(expires) ?? {};
  assert.deepEqual([wanted, found, option], ['none', '1800000', 'rabbit_transient_queues_ttl']);
  assert.equal(mismatchOf('PRECONDITION_FAILED - unknown delivery tag 7'), undefined);
});
