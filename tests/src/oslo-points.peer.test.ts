import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { amqp091Driver } from '@torcello/driver-amqp091';
import {
  connect,
  isMessagingError,
  notificationListener,
  notifier,
  RemoteFailure,
  rpcClient,
  rpcServer,
  type Endpoint,
  type Notification,
  type Target,
  type Transport,
} from '@torcello/messaging';
import { Collected } from '@torcello/messaging/testing';
import { rabbitMqMissing, startRabbitMq } from '@torcello/test-support';
import { osloMissing, type Meeting } from './support/oslo-interop.js';
import { Oslo } from './support/oslo-points.js';

/*
 * The points of the conformance list of oslo.messaging that need a real Python peer, by their numbers, each way round
 * where that makes sense. docs/oslo.md lists all 38 with the tests that hold them.
 */

const missing = osloMissing() ?? rabbitMqMissing();
if (missing === undefined) for (const meeting of [await overOurs(), await overRabbitMq()]) points(meeting);
else test('the points of oslo.messaging', { skip: missing }, () => undefined);

async function overRabbitMq(): Promise<Meeting> {
  const rabbit = await startRabbitMq();
  after(() => rabbit.stop());
  const url = rabbit.url(await rabbit.freshVhost());
  return { name: 'RabbitMQ', url: `${url}?amqp_durable_queues=false`, pythonUrl: url.replace('amqp:', 'rabbit:') };
}

async function overOurs(): Promise<Meeting> {
  const users = [{ name: 'guest', password: 'guest' }];
  const broker = await startBroker({ store: new MemoryStore(), users, permits: ['transient_nonexcl_queues'] });
  after(() => broker.stop());
  const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
  const at = `guest:guest@127.0.0.1:${port}/`;
  return { name: 'our broker', url: `amqp://${at}?amqp_durable_queues=false`, pythonUrl: `rabbit://${at}` };
}

const value = {
  text: 'ž☃😀',
  empty: '',
  nothing: null,
  yes: true,
  list: [1, -2.5, [], {}],
  deep: { a: { b: [null] } },
};

function points(meeting: Meeting): void {
  const oslo = new Oslo(meeting.pythonUrl);
  after(() => oslo[Symbol.asyncDispose]());
  let topics = 0;
  const point = (name: string, body: (scene: Scene) => Promise<void>): void => {
    test(`oslo ${name} (${meeting.name})`, async () => {
      await using transport = await connect(meeting.url, { drivers: [amqp091Driver()] });
      topics += 1;
      await body({ oslo, transport, topic: `point-${topics}`, meeting });
    });
  };
  calls(point);
  casts(point);
  failures(point);
  lateness(point);
  notifications(point);
}

interface Scene {
  readonly oslo: Oslo;
  readonly transport: Transport;
  readonly topic: string;
  readonly meeting: Meeting;
}
type Point = (name: string, body: (scene: Scene) => Promise<void>) => void;

function calls(point: Point): void {
  point('4: every JSON value round-trips, we call Python', async ({ oslo, transport, topic }) => {
    await oslo.tell('serve', { topic });
    assert.deepEqual(await rpcClient(transport, { topic }).call('echo', { value }), { value });
    await oslo.tell('stop', { topic });
  });
  point('4: every JSON value round-trips, Python calls us', async (scene) => {
    await using _ = await serving(scene, { methods: { echo: (args) => args } });
    assert.deepEqual(await call(scene, 'echo', { args: { value } }), { value });
  });
  point('5: no result is null, both ways', async (scene) => {
    await scene.oslo.tell('serve', { topic: `${scene.topic}-p` });
    assert.equal(await rpcClient(scene.transport, { topic: `${scene.topic}-p` }).call('none'), null);
    await using _ = await serving(scene, { methods: { none: () => undefined } });
    assert.equal(await call(scene, 'none'), null);
    await scene.oslo.tell('stop', { topic: `${scene.topic}-p` });
  });
  point('6: a call to one server, both ways', async (scene) => {
    await using _ = await serving(scene, { methods: { who: () => 'ours' } });
    await scene.oslo.tell('serve', { topic: scene.topic });
    const client = rpcClient(scene.transport, { topic: scene.topic });
    assert.equal(await client.prepare({ server: 'python' }).call('who'), 'python');
    assert.equal(await call(scene, 'who', { server: 'ours' }), 'ours');
    await scene.oslo.tell('stop', { topic: scene.topic });
  });
  point('7: a group of Python’s and our servers shares its calls, each is answered once', async (scene) => {
    await using _ = await serving(scene, { methods: { who: () => 'ours' } });
    await scene.oslo.tell('serve', { topic: scene.topic });
    const client = rpcClient(scene.transport, { topic: scene.topic });
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.call('who')));
    assert.deepEqual(new Set(answers), new Set(['ours', 'python']));
    await scene.oslo.tell('stop', { topic: scene.topic });
  });
  point('10: the context is flattened, and client_timeout does not leak, both ways', async (scene) => {
    const context = { user: 'ann', roles: ['a'], nothing: null };
    await using _ = await serving(scene, { methods: { context: (_args, { context: seen }) => seen } });
    assert.deepEqual(await call(scene, 'context', { ctxt: context }), context);
    const topic = `${scene.topic}-p`;
    await scene.oslo.tell('serve', { topic });
    assert.deepEqual(await rpcClient(scene.transport, { topic }, { context }).call('context'), context);
    await scene.oslo.tell('stop', { topic });
  });
  point('11: namespaces, legacy ones and versions match alike, both ways', async (scene) => {
    const { oslo, transport, topic } = scene;
    const inventory = { namespace: 'inventory', version: '2.3', legacyNamespaces: ['old'] };
    await using _ = await serving(scene, { target: inventory, methods: { which: () => '2.3' } });
    await oslo.tell('serve', { topic: `${topic}-p` });
    const cases: readonly (readonly [Target, boolean])[] = [
      [{ namespace: 'inventory', version: '2.3' }, true],
      [{ namespace: 'inventory', version: '2.0' }, true],
      [{ namespace: 'old', version: '2.3' }, true],
      [{ namespace: 'inventory', version: '2.4' }, false],
      [{ namespace: 'inventory', version: '1.0' }, false],
      [{ namespace: 'other', version: '2.3' }, false],
      [{ version: '2.3' }, false],
    ];
    for (const [target, isServed] of cases) {
      const ours = rpcClient(transport, { topic: `${topic}-p`, ...target }).call('which');
      if (isServed) assert.equal(await ours, '2.3', JSON.stringify(target));
      else
        await assert.rejects(ours, (error) => isMessagingError(error, 'UNSUPPORTED_VERSION'), JSON.stringify(target));
      const answer = await oslo.ask('call', { topic, method: 'which', ...target });
      assert.deepEqual(
        [answer.result, answer.exc_type],
        isServed ? ['2.3', undefined] : [undefined, 'UnsupportedVersion'],
      );
    }
    await oslo.tell('stop', { topic: `${topic}-p` });
  });
  point('12: a version cap is refused before sending, both ways', async ({ oslo, transport, topic }) => {
    const client = rpcClient(transport, { topic, version: '1.5' }, { versionCap: '1.4' });
    await assert.rejects(client.call('x'), (error) => isMessagingError(error, 'VERSION_CAPPED'));
    assert.deepEqual([client.canSendVersion('1.4'), client.canSendVersion('2.0')], [true, false]);
    const answer = await oslo.ask('call', { topic, method: 'x', version: '1.5', version_cap: '1.4' });
    assert.equal(answer.error, 'RPCVersionCapError');
  });
}

function casts(point: Point): void {
  point('8: casts to a topic and to one server, both ways', async (scene) => {
    const { oslo, transport, topic } = scene;
    const noted = new Collected<string>();
    await using _ = await serving(scene, { methods: { note: ({ what }) => noted.add(String(what)) } });
    await oslo.tell('cast', { topic, method: 'note', args: { what: 'topic' } });
    await oslo.tell('cast', { topic, method: 'note', args: { what: 'server' }, server: 'ours' });
    await noted.atLeast(2, 'casts');
    assert.deepEqual(noted.items.toSorted(), ['server', 'topic']);
    await oslo.tell('serve', { topic: `${topic}-p` });
    const client = rpcClient(transport, { topic: `${topic}-p` });
    await client.cast('note', { what: 'topic' });
    await client.prepare({ server: 'python' }).cast('note', { what: 'server' });
    await untilNoted(client, 2);
    await oslo.tell('stop', { topic: `${topic}-p` });
  });
  point('9: a fanout reaches Python’s and our servers, whoever sends it', async (scene) => {
    const { oslo, transport, topic } = scene;
    const noted = new Collected<string>();
    await using _ = await serving(scene, { methods: { note: ({ what }) => noted.add(String(what)) } });
    await oslo.tell('serve', { topic });
    await oslo.tell('cast', { topic, method: 'note', args: { what: 'from Python' }, fanout: true });
    const client = rpcClient(transport, { topic });
    await client.prepare({ fanout: true }).cast('note', { what: 'from us' });
    await noted.atLeast(2, 'casts');
    assert.deepEqual(noted.items.toSorted(), ['from Python', 'from us']);
    await untilNoted(client.prepare({ server: 'python' }), 2);
    await oslo.tell('stop', { topic });
  });
}

function failures(point: Point): void {
  point('13: builtin exceptions are raised again in Python, and told to us', async (scene) => {
    const builtin = new RemoteFailure({ class: 'LookupError', module: 'builtins', message: 'not found' });
    await using _ = await serving(scene, { methods: { look: () => Promise.reject(builtin) } });
    const answer = await scene.oslo.ask('call', { topic: scene.topic, method: 'look' });
    assert.ok(answer.bases?.includes('LookupError'), JSON.stringify(answer));
    await rejectsFromPython(scene, 'key_error', ['KeyError', 'builtins']);
  });
  point('14: other exceptions are RemoteError in Python with the class as exc_type, and told to us', async (scene) => {
    const own = new RemoteFailure({ class: 'Overdrawn', message: 'no money' });
    await using _ = await serving(scene, { methods: { draw: () => Promise.reject(own) } });
    const answer = await scene.oslo.ask('call', { topic: scene.topic, method: 'draw' });
    assert.deepEqual([answer.error, answer.exc_type], ['RemoteError', 'Overdrawn']);
    await rejectsFromPython(scene, 'custom', ['CustomError', '__main__']);
  });
  point('15: unknown and private methods and wrong arguments fail alike, both ways', async (scene) => {
    const strict = { methods: { strict: () => Promise.reject(new TypeError('missing argument')) } };
    await using _ = await serving(scene, strict);
    const ask = (method: string) => scene.oslo.ask('call', { topic: scene.topic, method });
    assert.equal((await ask('absent')).exc_type, 'NoSuchMethod');
    assert.equal((await ask('_private')).exc_type, 'NoSuchMethod');
    assert.ok((await ask('strict')).bases?.includes('TypeError'));
    const topic = `${scene.topic}-p`;
    await scene.oslo.tell('serve', { topic });
    const client = rpcClient(scene.transport, { topic });
    await assert.rejects(client.call('absent'), (error) => isMessagingError(error, 'NO_SUCH_METHOD'));
    await assert.rejects(client.call('_private'), (error) => isMessagingError(error, 'NO_SUCH_METHOD'));
    const wrong = client.call('slow', { minutes: 1 });
    await assert.rejects(wrong, (error) => isMessagingError(error) && error.details['class'] === 'TypeError');
    await scene.oslo.tell('stop', { topic });
  });
  point('16: an expected exception of Python is a remote error like any other', (scene) =>
    rejectsFromPython(scene, 'expected', ['ValueError', 'builtins']),
  );
}

function lateness(point: Point): void {
  point('18: nobody ever served: Python times out, we say UNROUTABLE at once', async ({ oslo, transport, topic }) => {
    const answer = await oslo.ask('call', { topic, method: 'x', timeout: 1 });
    assert.equal(answer.error, 'MessagingTimeout');
    await assert.rejects(rpcClient(transport, { topic }).call('x'), (error) => isMessagingError(error, 'UNROUTABLE'));
  });
  point('19: a late answer is dropped and the next call is not disturbed, both ways', async (scene) => {
    const finish: (() => void)[] = [];
    const slow = () => new Promise<string>((resolve) => finish.push(() => resolve('late')));
    await using _ = await serving(scene, { methods: { slow, now: () => 'now' } });
    assert.equal(
      (await scene.oslo.ask('call', { topic: scene.topic, method: 'slow', timeout: 1 })).error,
      'MessagingTimeout',
    );
    for (const end of finish) end();
    assert.equal(await call(scene, 'now'), 'now');
    const topic = `${scene.topic}-p`;
    await scene.oslo.tell('serve', { topic });
    const client = rpcClient(scene.transport, { topic });
    await assert.rejects(client.call('slow', { seconds: 1 }, { timeoutMs: 200 }), (error) =>
      isMessagingError(error, 'TIMEOUT'),
    );
    assert.equal(await client.call('slow', { seconds: 1.2 }), 'slept');
    await scene.oslo.tell('stop', { topic });
  });
  point('21: what must reach somebody and does not is told at once, both ways', async ({ oslo, transport, topic }) => {
    for (const op of ['call', 'cast']) {
      const answer = await oslo.ask(op, { topic, method: 'x', at_least_once: true });
      assert.equal(answer.error, 'MessageUndeliverable', op);
    }
    const client = rpcClient(transport, { topic }, { atLeastOnce: true });
    await assert.rejects(client.cast('x'), (error) => isMessagingError(error, 'UNROUTABLE'));
  });
  point('22: a request waits for a server that starts later, both ways', async (scene) => {
    const { oslo, transport, topic } = scene;
    // oslo.messaging answers before its consumers are gone, and what they still take is lost.
    const stopped = async (): Promise<void> => {
      await oslo.tell('stop', { topic });
      while ((await transport.inspect({ queue: topic })).consumers > 0);
    };
    await oslo.tell('serve', { topic });
    await stopped();
    const fromUs = rpcClient(transport, { topic }).call('who');
    await oslo.tell('serve', { topic });
    assert.equal(await fromUs, 'python');
    await stopped();
    const fromPython = call(scene, 'who');
    await using _ = await serving(scene, { methods: { who: () => 'ours' } });
    assert.equal(await fromPython, 'ours');
  });
  point('23: signs of life keep a slow call alive, both ways', async (scene) => {
    const { clock } = scene.transport;
    const slow = () => new Promise((resolve) => clock.after(3_000, () => resolve('slept')));
    await using _ = await serving(scene, { methods: { slow } });
    const topic = `${scene.topic}-p`;
    await scene.oslo.tell('serve', { topic });
    const client = rpcClient(scene.transport, { topic }, { callMonitorTimeoutMs: 2_000 });
    const [theirs, ours] = await Promise.all([
      call(scene, 'slow', { monitor: 2 }),
      client.call('slow', { seconds: 3 }),
    ]);
    assert.deepEqual([theirs, ours], ['slept', 'slept']);
    await scene.oslo.tell('stop', { topic });
  });
  point('beside it: progress, streams and cancel are invisible to Python', async (scene) => {
    const tell: Endpoint = {
      methods: {
        report: async (_args, { report }) => {
          await report(1);
          return 'done';
        },
        async *stream() {
          yield* [1, 2];
        },
      },
    };
    await using _ = await serving(scene, tell);
    assert.equal(await call(scene, 'report'), 'done');
    assert.deepEqual(await call(scene, 'stream'), [1, 2]);
    const topic = `${scene.topic}-p`;
    await scene.oslo.tell('serve', { topic });
    const handle = rpcClient(scene.transport, { topic }).open('who');
    for await (const piece of handle) assert.fail(String(piece));
    assert.equal(await handle, 'python');
    await scene.oslo.tell('stop', { topic });
  });
}

function notifications(point: Point): void {
  const handlers = (seen: Collected<Notification>) => [{ info: seen.add, error: seen.add }];
  point('35: notifications wait for whoever listens later, both ways', async ({ oslo, transport, topic }) => {
    await notifier(transport, { publisherId: 'ours', topics: [topic] }).info('parked', value, { user: 'ann' });
    await oslo.tell('listen', { topic, key: topic });
    assert.deepEqual(await oslo.tell('heard', { key: topic, count: 1 }), [
      ['info', 'parked', value, { user: 'ann' }, 'ours'],
    ]);
    const later = `${topic}-p`;
    await oslo.tell('notify', {
      topic: later,
      priority: 'error',
      event: 'parked',
      payload: value,
      driver: 'messaging',
    });
    const seen = new Collected<Notification>();
    const listener = notificationListener(transport, [{ topic: later }], handlers(seen));
    await listener.start();
    await seen.atLeast(1, 'notifications');
    const [first] = seen.items;
    assert.deepEqual([first?.priority, first?.eventType, first?.payload], ['error', 'parked', value]);
    await listener.stop();
    await oslo.tell('stop', { topic, server: topic });
  });
  point('35: each pool of Python gets its copy of what we tell', async ({ oslo, transport, topic }) => {
    await oslo.tell('listen', { topic, key: `${topic}-a`, pool: `${topic}-a` });
    await oslo.tell('listen', { topic, key: `${topic}-b`, pool: `${topic}-b` });
    await notifier(transport, { publisherId: 'ours', topics: [topic] }).info('e', 1);
    for (const key of [`${topic}-a`, `${topic}-b`]) {
      assert.equal(((await oslo.tell('heard', { key, count: 1 })) as unknown[]).length, 1, key);
      await oslo.tell('stop', { topic, server: key });
    }
  });
  point('36: what is given back comes again, both ways', async ({ oslo, transport, topic }) => {
    await oslo.tell('listen', { topic, key: topic, requeue: true, verdicts: ['requeue', 'raise'] });
    await notifier(transport, { publisherId: 'ours', topics: [topic] }).info('e', 1);
    assert.equal(((await oslo.tell('heard', { key: topic, count: 3 })) as unknown[]).length, 3);
    await oslo.tell('stop', { topic, server: topic });
    const [mine, seen] = [`${topic}-p`, new Collected<string>()];
    const info = ({ eventType }: Notification): 'requeue' | 'handled' => {
      seen.add(eventType);
      return seen.items.length < 3 ? 'requeue' : 'handled';
    };
    const listener = notificationListener(transport, [{ topic: mine }], [{ info }], { allowRequeue: true });
    await listener.start();
    await oslo.tell('notify', { topic: mine, priority: 'info', event: 'e', payload: 1 });
    await seen.atLeast(3, 'handings over');
    await listener.stop();
  });
  for (const compression of ['gzip', 'bzip2']) {
    point(`38: bodies that Python packs as ${compression} are read`, async (scene) => {
      await using _ = await serving(scene, { methods: { echo: (args) => args } });
      const url = `${scene.meeting.pythonUrl}?kombu_compression=${compression}`;
      assert.deepEqual(await call(scene, 'echo', { url, args: { text: 'ž'.repeat(500) } }), { text: 'ž'.repeat(500) });
    });
  }
  point('38: bodies that we pack are read by Python', async ({ oslo, meeting, topic }) => {
    await oslo.tell('serve', { topic });
    const drivers = [amqp091Driver()];
    await using packing = await connect(meeting.url, { drivers, compression: 'gzip' });
    assert.deepEqual(await rpcClient(packing, { topic }).call('echo', value), value);
    await oslo.tell('stop', { topic });
  });
}

async function serving({ transport, topic }: Scene, endpoint: Endpoint): Promise<AsyncDisposable> {
  const server = rpcServer(transport, { topic, server: 'ours' }, [endpoint]);
  await server.start();
  return { [Symbol.asyncDispose]: () => server.stop() };
}

/** Python calls our method. */
function call({ oslo, topic }: Scene, method: string, more: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
  return oslo.tell('call', { topic, method, ...more });
}

async function untilNoted(client: ReturnType<typeof rpcClient>, count: number): Promise<void> {
  // A cast has no answer to wait for, and Python handles several at a time.
  for (let noted: readonly unknown[] = []; noted.length < count;) noted = await client.call('noted');
}

async function rejectsFromPython(scene: Scene, method: string, is: readonly [string, string]): Promise<void> {
  const topic = `${scene.topic}-p`;
  await scene.oslo.tell('serve', { topic });
  await assert.rejects(rpcClient(scene.transport, { topic }).call(method), (error) => {
    assert.ok(isMessagingError(error, 'REMOTE_ERROR'));
    assert.deepEqual([error.details['class'], error.details['module']], is);
    return true;
  });
  await scene.oslo.tell('stop', { topic });
}
