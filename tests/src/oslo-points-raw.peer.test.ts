import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { amqp091Driver } from '@torcello/driver-amqp091';
import {
  connect,
  isMessagingError,
  notificationListener,
  notifier,
  priorities,
  rpcClient,
  rpcServer,
  type Endpoint,
  type Notification,
  type Transport,
} from '@torcello/messaging';
import { Collected, Recorder } from '@torcello/messaging/testing';
import { systemClock } from '@torcello/platform';
import { FaultProxy, rabbitMqMissing, startRabbitMq } from '@torcello/test-support';
import amqp from 'amqplib';
import { osloMissing } from './support/oslo-interop.js';
import { Oslo } from './support/oslo-points.js';

/*
 * Points of the conformance list of oslo.messaging that need more than two peers who talk: messages made by hand, a peer
 * that dies, queues that vanish, hosts that go away. Python's server and ours stand beside each other and have to do the
 * same.
 */

const missing = osloMissing() ?? rabbitMqMissing();
if (missing === undefined) for (const place of [await overOurs(), await overRabbitMq()]) points(place);
else test('the points of oslo.messaging, by hand', { skip: missing }, () => undefined);

interface Place {
  readonly name: string;
  readonly url: string;
  readonly pythonUrl: string;
  readonly rawUrl: string;
}

async function overRabbitMq(): Promise<Place> {
  const rabbit = await startRabbitMq();
  after(() => rabbit.stop());
  const url = rabbit.url(await rabbit.freshVhost());
  return { name: 'RabbitMQ', ...urlsOf(url) };
}

async function overOurs(): Promise<Place> {
  const users = [{ name: 'guest', password: 'guest' }];
  const broker = await startBroker({ store: new MemoryStore(), users, permits: ['transient_nonexcl_queues'] });
  after(() => broker.stop());
  const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
  return { name: 'our broker', ...urlsOf(`amqp://guest:guest@127.0.0.1:${port}/`) };
}

function urlsOf(rawUrl: string): Omit<Place, 'name'> {
  return { rawUrl, url: `${rawUrl}?amqp_durable_queues=false`, pythonUrl: rawUrl.replace('amqp:', 'rabbit:') };
}

interface Scene {
  readonly place: Place;
  readonly oslo: Oslo;
  readonly transport: Transport;
  /** Of our server; Python's has `-p` behind it. */
  readonly topic: string;
  readonly raw: Raw;
}

function points(place: Place): void {
  const oslo = new Oslo(place.pythonUrl);
  after(() => oslo[Symbol.asyncDispose]());
  let topics = 0;
  const point = (name: string, body: (scene: Scene) => Promise<void>): void => {
    test(`oslo ${name} (${place.name})`, async () => {
      await using transport = await connect(place.url, { drivers: [amqp091Driver()] });
      await using raw = await Raw.open(place.rawUrl);
      topics += 1;
      await body({ place, oslo, transport, topic: `raw-${topics}`, raw });
    });
  };
  requests(point);
  replies(point);
  hosts(point);
  events(point);
}

type Point = (name: string, body: (scene: Scene) => Promise<void>) => void;

/** What a hand-made request says. */
interface Variant {
  readonly says: string;
  readonly body: (payload: object) => Buffer;
  readonly properties?: amqp.Options.Publish;
  readonly payload?: Readonly<Record<string, unknown>>;
  /** As Python's server was seen to do. */
  readonly isAnswered: boolean;
}

const enveloped = (payload: object, version: unknown = '2.0'): Buffer =>
  Buffer.from(JSON.stringify({ 'oslo.version': version, 'oslo.message': JSON.stringify(payload) }));
const bare = (payload: object): Buffer => Buffer.from(JSON.stringify(payload));

const variants: readonly Variant[] = [
  { says: 'an envelope without _unique_id and _timeout', body: enveloped, isAnswered: true },
  { says: 'no content_encoding', body: enveloped, properties: { contentType: 'application/json' }, isAnswered: true },
  { says: 'no envelope (format 1.0)', body: bare, isAnswered: true },
  { says: 'an envelope of version 2.1', body: (payload) => enveloped(payload, '2.1'), isAnswered: false },
  { says: 'an envelope of version 1.0', body: (payload) => enveloped(payload, '1.0'), isAnswered: false },
  { says: 'no args', body: enveloped, payload: { method: 'none', args: undefined }, isAnswered: true },
  { says: 'keys that nobody knows', body: enveloped, payload: { extra: 1, _extra: 2 }, isAnswered: true },
  {
    says: 'namespace null and version 1.0',
    body: enveloped,
    payload: { namespace: null, version: '1.0' },
    isAnswered: true,
  },
  { says: 'a timeout in a string', body: enveloped, payload: { _timeout: '10' }, isAnswered: true },
  { says: 'a timeout of 0', body: enveloped, payload: { _timeout: 0 }, isAnswered: true },
  {
    says: 'UTF-16, and says so',
    body: (payload) => Buffer.from(`\uFEFF${enveloped(payload).toString()}`, 'utf16le'),
    properties: { contentType: 'application/json', contentEncoding: 'utf-16' },
    isAnswered: true,
  },
  { says: 'no JSON', body: () => Buffer.from('{"half'), isAnswered: false },
  { says: 'an array', body: () => Buffer.from('[]'), isAnswered: false },
];

function requests(point: Point): void {
  point('24: of hand-made requests ours answers those that Python answers', async (scene) => {
    await onBothServers(scene, { echo: ({ at }) => at, none: () => null }, async (topic) => {
      const queue = await scene.raw.replyQueue();
      for (const [at, { body, properties, payload }] of variants.entries()) {
        const asked = { method: 'echo', args: { at }, _msg_id: `v${at}`, _reply_q: queue, ...payload };
        scene.raw.send('openstack', topic, body(asked), properties);
      }
      scene.raw.send('openstack', topic, enveloped({ method: 'none', args: {}, _msg_id: 'last', _reply_q: queue }));
      const wanted = variants.flatMap(({ isAnswered }, at) => (isAnswered ? [`v${at}`] : []));
      const answered = await scene.raw.answersUntil(queue, [...wanted, 'last']);
      const said = (ids: readonly string[]) =>
        ids.map((id) => (id === 'last' ? id : (variants[Number(id.slice(1))]?.says ?? id))).toSorted();
      assert.deepEqual(said(answered), said([...wanted, 'last']), topic);
    });
  });
  point('25: a repeat is dropped within a window of 16, by Python and by us', async (scene) => {
    const noted: unknown[] = [];
    const methods = {
      note: ({ what }: Readonly<Record<string, unknown>>) => void noted.push(what),
      noted: () => noted,
    };
    await onBothServers(scene, methods, async (topic) => {
      const cast = (id: string): void =>
        scene.raw.send('openstack', topic, enveloped({ method: 'note', args: { what: id }, _unique_id: id }));
      const client = rpcClient(scene.transport, { topic });
      // The window goes by arrival, and all of these arrive before anything else does.
      for (const id of ['same', 'same', ...Array.from({ length: 20 }, (_, at) => `other ${at}`), 'same']) cast(id);
      await scene.raw.look(topic);
      let seen: readonly unknown[] = [];
      while (seen.length < 22) seen = await client.call('noted');
      assert.equal(seen.length, 22, topic);
      assert.equal(seen.filter((id) => id === 'same').length, 2, topic);
      noted.length = 0;
    });
  });
  point('26: a request that a dying server ran is lost, Python’s and ours, as it is accepted before', async (scene) => {
    const { place, transport, topic, raw } = scene;
    const dying = new Oslo(place.pythonUrl);
    await dying.tell('serve', { topic: `${topic}-p` });
    raw.send('openstack', `${topic}-p`, enveloped({ method: 'slow', args: { seconds: 60 } }));
    await raw.untilEmpty(`${topic}-p`);
    await dying[Symbol.asyncDispose]();
    await raw.untilUnread(`${topic}-p`);
    assert.equal((await raw.look(`${topic}-p`)).messageCount, 0, 'Python’s');

    const ours = await connect(place.url, { drivers: [amqp091Driver()] });
    const started = new Collected<string>();
    let finish: (result: string) => void = () => undefined;
    const slow = () =>
      new Promise<string>((resolve) => {
        finish = resolve;
        started.add('slow');
      });
    const server = rpcServer(ours, { topic, server: 'ours' }, [{ methods: { slow } }]);
    await server.start();
    raw.send('openstack', topic, enveloped({ method: 'slow', args: {} }));
    await started.atLeast(1, 'request');
    await ours.close();
    await raw.untilUnread(topic);
    assert.equal((await raw.look(topic)).messageCount, 0, 'ours');
    assert.equal(transport.state, 'connected');
    finish('too late');
    await server.stop();
  });
}

function replies(point: Point): void {
  point('27: an answer whose queue is missing is sent when the queue comes, by Python and by us', async (scene) => {
    await onBothServers(scene, { who: () => 'it' }, async (topic) => {
      const queue = `reply_${topic}_later`;
      scene.raw.send('openstack', topic, enveloped({ method: 'who', args: {}, _msg_id: 'm', _reply_q: queue }));
      await scene.raw.untilEmpty(topic);
      // The first try has failed by now, or fails at once: another request is answered in between.
      const between = await rpcClient(scene.transport, { topic }).call('who');
      assert.ok(['it', 'python'].includes(String(between)));
      await scene.raw.replyQueue(queue);
      assert.deepEqual(await scene.raw.answersUntil(queue, ['m']), ['m'], topic);
    });
  });
  point('28: a reply queue that was deleted is made again under its name, by Python and by us', async (scene) => {
    const { place, oslo, topic, raw } = scene;
    const recorder = new Recorder(systemClock);
    await using transport = await connect(place.url, { drivers: [recorder.driver(amqp091Driver())] });
    await using _ = await serving(transport, topic, { methods: { who: () => 'ours' } });
    const ask = (): Promise<unknown> => oslo.tell('call', { topic, method: 'who' });
    const pythonsQueues = (): readonly string[] => [
      ...new Set(
        recorder.recording().events.flatMap((event) => (event.what === 'published' ? [event.to.routingKey] : [])),
      ),
    ];
    assert.equal(await ask(), 'ours');
    const [queue = ''] = pythonsQueues();
    assert.match(queue, /^reply_/);
    await raw.remove(queue);
    assert.equal(await ask(), 'ours', 'Python calls again');
    assert.deepEqual(pythonsQueues(), [queue], 'Python kept its name');

    await oslo.tell('serve', { topic: `${topic}-p` });
    const client = rpcClient(scene.transport, { topic: `${topic}-p` });
    assert.equal(await client.call('who'), 'python');
    const mine = await scene.transport.replies.address(new AbortController().signal);
    await raw.remove(mine);
    assert.equal(await client.call('who'), 'python', 'we call again');
    assert.equal(await scene.transport.replies.address(new AbortController().signal), mine, 'we kept our name');
    await oslo.tell('stop', { topic: `${topic}-p` });
  });
}

function hosts(point: Point): void {
  point('30: when the host goes away the next one of the URL takes over, for Python and for us', async (scene) => {
    const { place, topic } = scene;
    const port = Number(new URL(place.rawUrl).port);
    const first = await FaultProxy.start({ host: '127.0.0.1', port });
    const second = await FaultProxy.start({ host: '127.0.0.1', port });
    try {
      const both = (url: string): string =>
        url.replace(/([^/@]+@)127\.0\.0\.1:\d+/, `$1127.0.0.1:${first.port},$1127.0.0.1:${second.port}`);
      await using _ = await serving(scene.transport, topic, { methods: { who: () => 'ours' } });
      await using transport = await connect(both(place.url), { drivers: [amqp091Driver()] });
      const python = new Oslo(both(place.pythonUrl));
      const ask = () => python.tell('call', { topic, method: 'who', timeout: 30 });
      const client = rpcClient(transport, { topic });
      assert.deepEqual([await client.call('who'), await ask()], ['ours', 'ours']);
      assert.ok(first.count >= 2, 'both went to the first host');
      await first.stop();
      assert.deepEqual([await client.call('who', {}, { timeoutMs: 30_000 }), await ask()], ['ours', 'ours']);
      assert.ok(second.count >= 2, 'both went on to the second');
      await python[Symbol.asyncDispose]();
    } finally {
      await Promise.all([first.stop(), second.stop()]);
    }
  });
  point('34: a queue that stands otherwise is told with both sides, and nothing else suffers', async (scene) => {
    const { transport, topic, raw, oslo } = scene;
    await raw.declare(topic, { durable: true });
    const server = rpcServer(transport, { topic, server: 'ours' }, [{ methods: { who: () => 'ours' } }]);
    await assert.rejects(server.start(), (error) => {
      assert.ok(isMessagingError(error, 'PRECONDITION_FAILED'));
      assert.match(error.message, /durable/);
      assert.equal(error.details['argument'], 'durable');
      assert.deepEqual([error.details['wanted'], error.details['found']], ['false', 'true']);
      assert.match(String(error.details['option']), /amqp_durable_queues/);
      return true;
    });
    await server.stop();
    assert.equal(transport.state, 'connected');
    await oslo.tell('serve', { topic: `${topic}-p` });
    assert.equal(await rpcClient(transport, { topic: `${topic}-p` }).call('who'), 'python');
    await oslo.tell('stop', { topic: `${topic}-p` });
  });
}

function events(point: Point): void {
  const payload = { text: 'ž☃', list: [1, null] };
  for (const format of ['v1', 'v2'] as const) {
    point(`35: all seven priorities in format ${format}, we tell Python`, async ({ oslo, transport, topic }) => {
      await oslo.tell('listen', { topic, key: topic });
      const tell = notifier(transport, { publisherId: 'ours', topics: [topic], format });
      for (const priority of priorities) await tell[priority](`event.${priority}`, payload, { user: 'ann' });
      const heard = (await oslo.tell('heard', { key: topic, count: 7 })) as readonly (readonly unknown[])[];
      assert.deepEqual(
        heard.toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
        priorities.toSorted().map((priority) => [priority, `event.${priority}`, payload, { user: 'ann' }, 'ours']),
      );
      await oslo.tell('stop', { topic, server: topic });
    });
    point(`35: all seven priorities in format ${format}, Python tells us, with ids and instants`, async (scene) => {
      const { oslo, transport, topic } = scene;
      const seen = new Collected<Notification>();
      const endpoint = Object.fromEntries(priorities.map((priority) => [priority, seen.add]));
      const listener = notificationListener(transport, [{ topic }], [endpoint]);
      await listener.start();
      const driver = format === 'v1' ? 'messaging' : 'messagingv2';
      for (const priority of priorities) await oslo.tell('notify', { topic, priority, event: 'e', payload, driver });
      await seen.atLeast(7, 'notifications');
      await listener.stop();
      assert.deepEqual(seen.items.map(({ priority }) => priority).toSorted(), priorities.toSorted());
      assert.equal(new Set(seen.items.map(({ messageId }) => messageId)).size, 7);
      for (const each of seen.items) {
        assert.deepEqual([each.eventType, each.publisherId, each.payload], ['e', 'python.one', payload]);
        assert.match(String(each.timestamp), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
      }
    });
  }
  point('35: each pool of ours gets its copy of what Python tells, shared by its listeners', async (scene) => {
    const { oslo, transport, topic } = scene;
    const seen = { a: new Collected<string>(), b: new Collected<string>() };
    const pools = [seen.a, seen.a, seen.b].map((collected, at) => {
      const info = ({ eventType }: Notification): void => collected.add(eventType);
      return notificationListener(transport, [{ topic }], [{ info }], { pool: at < 2 ? `${topic}-a` : `${topic}-b` });
    });
    for (const listener of pools) await listener.start();
    for (let count = 0; count < 6; count += 1) {
      await oslo.tell('notify', { topic, priority: 'info', event: `e${count}`, payload: 1 });
    }
    const all = ['e0', 'e1', 'e2', 'e3', 'e4', 'e5'];
    for (const collected of Object.values(seen)) {
      await collected.atLeast(6, 'notifications');
      assert.deepEqual(collected.items.toSorted(), all);
    }
    for (const listener of pools) await listener.stop();
  });
}

/** The same script against a server of ours and one of Python. */
async function onBothServers(
  { oslo, transport, topic }: Scene,
  methods: Endpoint['methods'],
  script: (topic: string) => Promise<void>,
): Promise<void> {
  {
    await using _ = await serving(transport, topic, { methods });
    await script(topic);
  }
  await oslo.tell('serve', { topic: `${topic}-p` });
  await script(`${topic}-p`);
  await oslo.tell('stop', { topic: `${topic}-p` });
}

async function serving(transport: Transport, topic: string, endpoint: Endpoint): Promise<AsyncDisposable> {
  const server = rpcServer(transport, { topic, server: 'ours' }, [endpoint]);
  await server.start();
  return { [Symbol.asyncDispose]: () => server.stop() };
}

const usual: amqp.Options.Publish = { contentType: 'application/json', contentEncoding: 'utf-8' };

/** A client that knows nothing of oslo.messaging. */
class Raw implements AsyncDisposable {
  readonly #connection: amqp.ChannelModel;
  readonly #channel: amqp.Channel;
  #replies = 0;

  private constructor(connection: amqp.ChannelModel, channel: amqp.Channel) {
    this.#connection = connection;
    this.#channel = channel;
  }

  static async open(url: string): Promise<Raw> {
    const connection = await amqp.connect(url);
    return new Raw(connection, await connection.createChannel());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }

  send(exchange: string, key: string, body: Buffer, properties: amqp.Options.Publish = usual): void {
    this.#channel.publish(exchange, key, body, properties);
  }

  async replyQueue(name?: string): Promise<string> {
    const queue = name ?? `reply_raw_${process.pid}_${(this.#replies += 1)}_${Date.now()}`;
    await this.#channel.assertQueue(queue, { durable: false, exclusive: true });
    return queue;
  }

  async declare(queue: string, options: amqp.Options.AssertQueue): Promise<void> {
    await this.#channel.assertQueue(queue, options);
  }

  /** Ids of what was answered, when all of these have come. */
  async answersUntil(queue: string, wanted: readonly string[]): Promise<readonly string[]> {
    const answers = new Collected<string>();
    const { consumerTag } = await this.#channel.consume(queue, (message) => answers.add(idOf(message)), {
      noAck: true,
    });
    for (let count = 1; !wanted.every((id) => answers.items.includes(id)); count += 1) {
      await answers.atLeast(count, `answers (${answers.items.join()})`);
    }
    await this.#channel.cancel(consumerTag);
    return answers.items;
  }

  look(queue: string): Promise<amqp.Replies.AssertQueue> {
    return this.#channel.checkQueue(queue);
  }

  async remove(queue: string): Promise<void> {
    await this.#channel.deleteQueue(queue);
  }

  /** A broker offers nothing better than to be asked again. */
  async untilEmpty(queue: string): Promise<void> {
    while ((await this.look(queue)).messageCount > 0);
  }

  async untilUnread(queue: string): Promise<void> {
    while ((await this.look(queue)).consumerCount > 0);
  }
}

function idOf(message: amqp.ConsumeMessage | null): string {
  const outer = JSON.parse(message?.content.toString() ?? '{}') as { readonly 'oslo.message'?: string };
  const inner = JSON.parse(outer['oslo.message'] ?? '{}') as { readonly _msg_id?: string };
  return inner._msg_id ?? '?';
}
