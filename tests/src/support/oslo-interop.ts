import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { execFileSync } from 'node:child_process';
import { amqp091Driver } from '@torcello/driver-amqp091';
import { amqp10Driver } from '@torcello/driver-amqp10';
import {
  connect,
  isMessagingError,
  notificationListener,
  notifier,
  priorities,
  RemoteFailure,
  rpcClient,
  rpcServer,
  type Endpoint,
  type Notification,
  type RpcClient,
  type Transport,
} from '@torcello/messaging';
import { Collected } from '@torcello/messaging/testing';
import { run, type Running } from '@torcello/test-support';

/** One broker, and how both sides reach it so that they declare the same topology. */
export interface Meeting {
  readonly name: string;
  /** For oslo.messaging, where `rabbit:` means AMQP 0-9-1 and `amqp:` AMQP 1.0. */
  readonly pythonUrl: string;
  /** For us. */
  readonly url: string;
}

type TestFunction = (name: string, body: () => Promise<void>) => unknown;

const python = '/usr/bin/python3';
const script = fileURLToPath(new URL('../../python/oslo_peer.py', import.meta.url));

/** Why oslo.messaging cannot be started here, or undefined. */
export function osloMissing(): string | undefined {
  const missing = 'oslo.messaging is not installed (apt-get install python3-oslo.messaging)';
  if (!existsSync(python)) return missing;
  try {
    execFileSync(python, ['-c', 'import oslo_messaging'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return missing;
  }
}

/** Registers the tests in which real oslo.messaging programs talk with the library over a broker, in all directions. */
export function meetOslo(meeting: Meeting, test: TestFunction): void {
  void test(`${meeting.name}: we call a Python server`, () => callPython(meeting));
  void test(`${meeting.name}: a Python client calls us`, () => bePythonsServer(meeting));
  void test(`${meeting.name}: Python notifies us`, () => hearPython(meeting));
  void test(`${meeting.name}: we notify Python`, () => tellPython(meeting));
}

async function callPython(meeting: Meeting): Promise<void> {
  const topic = `python-${meeting.name.replaceAll(/\W+/g, '-')}`;
  const peer = startPeer('server', meeting, topic);
  await using transport = await join(meeting);
  await peer.line((line) => line.includes('ready'));
  try {
    const client = rpcClient(transport, { topic }, { timeoutMs: 20_000, context: { user: 'alice' } });
    await callPlain(client);
    await callFailing(client);
    await castToPython(client);
  } finally {
    await peer.stop();
  }
}

async function callPlain(client: RpcClient): Promise<void> {
  assert.equal(await client.call('add', { a: 1, b: 2 }), 3);
  assert.equal(await client.prepare({ server: 'python' }).call('add', { a: 'x', b: '☃' }), 'x☃');
  const args = { text: 'ž☃😀', list: [1, null, { deep: true }], big: 2n ** 70n, half: 0.5, empty: {} };
  const seen = await client.call('echo', args, { context: { roles: ['a'], nothing: null } });
  assert.deepEqual(seen, { args, context: { user: 'alice', roles: ['a'], nothing: null } });
  assert.equal(await client.call('nothing'), null);
  assert.deepEqual(await client.call('strange_numbers'), [2n ** 70n, -(2n ** 63n), Number.NaN, Infinity]);
  assert.equal(await client.prepare({ namespace: 'inventory', version: '2.1' }).call('which'), 'inventory 2.3');
  const watched = client.prepare({ callMonitorTimeoutMs: 3_000 });
  assert.equal(await watched.call('slow', { seconds: 3.8 }), 'slept', 'Python beats while it works');
}

async function callFailing(client: RpcClient): Promise<void> {
  const remote = (name: string, module: string, message: string) => (error: unknown) =>
    isMessagingError(error, 'REMOTE_ERROR') &&
    [name, module, message].join() ===
      [error.details['class'], error.details['module'], error.details['message']].join();
  await assert.rejects(client.call('value_error'), remote('ValueError', 'builtins', 'not this one'));
  await assert.rejects(client.call('custom_error'), remote('CustomError', '__main__', 'mine'));
  await assert.rejects(client.call('add', { a: 1 }), (error) => isMessagingError(error, 'REMOTE_ERROR'));
  await assert.rejects(client.call('absent'), (error) => isMessagingError(error, 'NO_SUCH_METHOD'));
  const newer = client.prepare({ namespace: 'inventory', version: '2.4' });
  await assert.rejects(newer.call('which'), (error) => isMessagingError(error, 'UNSUPPORTED_VERSION'));
  const impatient = client.call('slow', { seconds: 1 }, { timeoutMs: 300 });
  await assert.rejects(impatient, (error) => isMessagingError(error, 'TIMEOUT'));
  assert.equal(await client.call('add', { a: 2, b: 2 }), 4, 'the late answer disturbs nobody');
}

async function castToPython(client: RpcClient): Promise<void> {
  await client.cast('note', { what: 'cast' });
  await client.prepare({ server: 'python' }).cast('note', { what: 'to one server' });
  await client.prepare({ fanout: true }).cast('note', { what: 'fanout' });
  const wanted = ['cast', 'fanout', 'to one server'];
  // A cast has no answer to wait for, and Python handles several at a time.
  for (let seen: unknown = []; JSON.stringify(seen) !== JSON.stringify(wanted);) seen = await client.call('noted');
}

async function bePythonsServer(meeting: Meeting): Promise<void> {
  const topic = `torcello-${meeting.name.replaceAll(/\W+/g, '-')}`;
  const noted = new Collected<string>();
  const hanging: (() => void)[] = [];
  await using transport = await join(meeting);
  const server = rpcServer(transport, { topic, server: 'torcello' }, endpoints(transport, noted, hanging));
  await server.start();
  const peer = startPeer('client', meeting, topic);
  await peer.line((line) => line.includes('"done"'));
  await peer.stop();
  for (const finish of hanging) finish();
  await server.stop();
  const { stdout, stderr } = peer.output();
  const said = stdout.split('\n').filter((line) => line !== '');
  assert.equal(said.at(-1), '{"done": true}', stderr);
  const answers = new Map(said.map((line) => JSON.parse(line) as Answer).map((answer) => [answer.name, answer]));
  checkAnswers(answers);
  assert.deepEqual(noted.items.toSorted(), ['cast', 'fanout']);
}

interface Answer {
  readonly name: string;
  readonly result?: unknown;
  readonly error?: string;
  readonly exc_type?: string | null;
  readonly text?: string;
}

function endpoints(transport: Transport, noted: Collected<string>, hanging: (() => void)[]): readonly Endpoint[] {
  return [
    {
      methods: {
        add: ({ a, b }) => Number(a) + Number(b),
        echo: (args, { context }) => ({ args, context }),
        nothing: () => undefined,
        note: ({ what }) => noted.add(String(what)),
        hang: () => new Promise<void>((resolve) => hanging.push(resolve)),
        slow: ({ ms }) => new Promise((resolve) => transport.clock.after(Number(ms), () => resolve('slept'))),
        value_error: () => {
          throw new RemoteFailure({ class: 'ValueError', module: 'builtins', message: 'not this one' });
        },
        type_error: () => {
          throw new TypeError('wrong type');
        },
        own_error: () => {
          throw new RemoteFailure({ class: 'Overdrawn', message: 'no money', data: { by: 3 } });
        },
      },
    },
    { target: { namespace: 'inventory', version: '2.3' }, methods: { which: () => 'inventory 2.3' } },
  ];
}

function checkAnswers(answers: ReadonlyMap<string, Answer>): void {
  const result = (name: string): unknown => answers.get(name)?.result;
  const error = (name: string): unknown[] => [
    answers.get(name)?.error,
    answers.get(name)?.exc_type,
    answers.get(name)?.text,
  ];
  assert.equal(result('add'), 3, JSON.stringify([...answers.values()]));
  assert.deepEqual(result('echo'), {
    args: { text: 'ž☃', list: [1, null, { deep: true }], big: 2 ** 70, half: 0.5 },
    context: { user: 'alice', roles: ['a', 'b'], nothing: null },
  });
  assert.equal(result('nothing'), null);
  assert.equal(result('named server'), 4);
  assert.deepEqual(error('value error'), ['ValueError', null, 'not this one']);
  assert.deepEqual(error('type error'), ['TypeError', null, 'wrong type']);
  assert.deepEqual(error('own error').slice(0, 2), ['RemoteError', 'Overdrawn']);
  assert.deepEqual(error('unknown method').slice(0, 2), ['RemoteError', 'NoSuchMethod']);
  assert.deepEqual(error('private method').slice(0, 2), ['RemoteError', 'NoSuchMethod']);
  assert.equal(result('namespace'), 'inventory 2.3');
  assert.deepEqual(error('newer version').slice(0, 2), ['RemoteError', 'UnsupportedVersion']);
  assert.equal(answers.get('timeout')?.error, 'MessagingTimeout');
  assert.equal(result('after the timeout'), 6);
  assert.equal(result('monitored'), 'slept', 'our signs of life reach Python');
  assert.equal(answers.get('cast')?.error ?? answers.get('fanout')?.error, undefined);
}

async function hearPython(meeting: Meeting): Promise<void> {
  const topic = `heard-${meeting.name.replaceAll(/\W+/g, '-')}`;
  await using transport = await join(meeting);
  const seen = new Collected<Notification>();
  const endpoint = Object.fromEntries(priorities.map((priority) => [priority, seen.add]));
  const listener = notificationListener(transport, [{ topic }], [endpoint]);
  await listener.start();
  const peer = startPeer('notifier', meeting, topic);
  await peer.line((line) => line.includes('"done"'));
  await peer.stop();
  await seen.atLeast(14, 'notifications');
  await listener.stop();
  for (const priority of priorities) {
    const these = seen.items.filter((notification) => notification.priority === priority);
    assert.deepEqual(these.map(({ eventType }) => eventType).toSorted(), [
      `messaging.${priority}`,
      `messagingv2.${priority}`,
    ]);
    for (const { payload, publisherId, messageId, timestamp } of these) {
      assert.deepEqual([payload, publisherId], [{ of: priority, text: '☃' }, 'python.one']);
      assert.match(messageId, /^[\da-f-]{36}$/);
      assert.match(timestamp, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
    }
  }
}

async function tellPython(meeting: Meeting): Promise<void> {
  const topic = `told-${meeting.name.replaceAll(/\W+/g, '-')}`;
  await using transport = await join(meeting);
  // Sent before Python listens: they wait.
  for (const format of ['v1', 'v2'] as const) {
    const notify = notifier(transport, { publisherId: 'torcello.one', topics: [topic], format });
    for (const priority of priorities) await notify[priority](`${format}.${priority}`, { text: '☃' }, { user: 'ann' });
  }
  const peer = startPeer('listener', meeting, topic);
  const events = priorities.flatMap((priority) => [`v1.${priority}`, `v2.${priority}`]);
  try {
    const lines = await Promise.all(
      events.map((event) => peer.line((line) => line.includes(`"event_type": "${event}"`))),
    );
    for (const line of lines) {
      const said = JSON.parse(line) as Readonly<Record<string, unknown>>;
      assert.equal(String(said['event_type']).slice(3), said['priority']);
      assert.deepEqual(
        [said['payload'], said['publisher_id'], said['context']],
        [{ text: '☃' }, 'torcello.one', { user: 'ann' }],
      );
    }
  } finally {
    await peer.stop();
  }
}

function join(meeting: Meeting): Promise<Transport> {
  return connect(meeting.url, { drivers: [amqp091Driver(), amqp10Driver()] });
}

function startPeer(role: string, meeting: Meeting, topic: string): Running {
  return run(python, [script, role, meeting.pythonUrl, topic]);
}
