import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { FrameWriter } from '@torcello/amqp091';
import type { FieldTable, OutgoingNamed } from '@torcello/amqp091';
import { SimulatedClock } from '@torcello/platform/testing';
import { emptyDisk, MemoryStore, startBroker } from '../src/index.js';
import type { Broker, BrokerOptions, MemoryDisk } from '../src/index.js';
import { RawClient } from './support/raw-client.js';

const users = [{ name: 'guest', password: 'guest' }];

async function world(
  t: TestContext,
  options: Partial<BrokerOptions> = {},
): Promise<{ broker: Broker; client: Client; clock: SimulatedClock }> {
  const clock = new SimulatedClock();
  const broker = await startBroker({ store: new MemoryStore(), users, clock, ...options });
  t.after(() => broker.stop());
  return { broker, clock, client: await Client.open(broker) };
}

/** The usual commands on one channel, each waiting for its answer. */
class Client {
  readonly #raw: RawClient;

  static async open(broker: Broker): Promise<Client> {
    const raw = await new RawClient(broker).open({ capabilities: { consumer_cancel_notify: true } });
    await raw.channel();
    return new Client(raw);
  }

  private constructor(raw: RawClient) {
    this.#raw = raw;
  }

  async queue(
    queue: string,
    args: FieldTable = {},
    rest: Partial<OutgoingNamed<'queue.declare'>> = {},
  ): Promise<string> {
    this.#raw.send(1, { name: 'queue.declare', queue, durable: true, arguments: args, ...rest });
    return (await this.#raw.method('queue.declare-ok')).queue;
  }

  async exchange(exchange: string, type: string, rest: Partial<OutgoingNamed<'exchange.declare'>> = {}): Promise<void> {
    this.#raw.send(1, { name: 'exchange.declare', exchange, type, durable: true, ...rest });
    await this.#raw.method('exchange.declare-ok');
  }

  async bind(queue: string, exchange: string, routingKey = ''): Promise<void> {
    this.#raw.send(1, { name: 'queue.bind', queue, exchange, routingKey });
    await this.#raw.method('queue.bind-ok');
  }

  async unbind(queue: string, exchange: string, routingKey = ''): Promise<void> {
    this.#raw.send(1, { name: 'queue.unbind', queue, exchange, routingKey });
    await this.#raw.method('queue.unbind-ok');
  }

  async bindExchange(destination: string, source: string, routingKey = ''): Promise<void> {
    this.#raw.send(1, { name: 'exchange.bind', destination, source, routingKey });
    await this.#raw.method('exchange.bind-ok');
  }

  async publish(exchange: string, routingKey: string, body: string, headers: FieldTable = {}): Promise<void> {
    const writer = new FrameWriter();
    const properties = { headers, deliveryMode: 2 };
    writer.content(1, { name: 'basic.publish', exchange, routingKey }, { properties, body: Buffer.from(body) });
    this.#raw.raw(Buffer.concat(writer.take()));
  }

  /** Bodies that wait in a queue, taken out. */
  async bodies(queue: string): Promise<string[]> {
    const bodies: string[] = [];
    for (;;) {
      this.#raw.send(1, { name: 'basic.get', queue, noAck: true });
      for (let frame = await this.#raw.frame(); ; frame = await this.#raw.frame()) {
        if (frame?.type === 'body') bodies.push(Buffer.from(frame.payload).toString());
        if (frame?.type === 'body') break;
        if (frame?.type === 'method' && frame.method.name === 'basic.get-empty') return bodies;
        if (frame?.type === 'method' && frame.method.name !== 'basic.get-ok') throw new Error(frame.method.name);
      }
    }
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#raw.send(1, { name: 'queue.delete', queue });
    await this.#raw.method('queue.delete-ok');
  }

  leave(): void {
    this.#raw.destroy();
  }
}

test('exchanges that are bound in a circle deliver once', async (t) => {
  const { client } = await world(t);
  await client.exchange('a', 'fanout');
  await client.exchange('b', 'fanout');
  await client.queue('q');
  await client.bindExchange('b', 'a');
  await client.bindExchange('a', 'b');
  await client.bind('q', 'a');
  await client.bind('q', 'b');
  await client.publish('a', '', 'x');
  assert.deepEqual(await client.bodies('q'), ['x']);
});

test('what matches nothing goes on to the alternate exchange', async (t) => {
  const { client } = await world(t);
  await client.exchange('other', 'fanout');
  await client.exchange('x', 'direct', { arguments: { 'alternate-exchange': 'other' } });
  await client.queue('q');
  await client.queue('rest');
  await client.bind('q', 'x', 'k');
  await client.bind('rest', 'other');
  await client.publish('x', 'k', 'known');
  await client.publish('x', 'unknown', 'unknown');
  assert.deepEqual([await client.bodies('q'), await client.bodies('rest')], [['known'], ['unknown']]);
});

test('CC and BCC are further routing keys', async (t) => {
  const { client } = await world(t);
  for (const queue of ['a', 'b', 'c']) await client.queue(queue);
  await client.publish('', 'a', 'x', { CC: ['b', 'a'], BCC: ['c'] });
  assert.deepEqual(
    [await client.bodies('a'), await client.bodies('b'), await client.bodies('c')],
    [['x'], ['x'], ['x']],
  );
});

test('an auto-delete exchange ends with its last binding', async (t) => {
  const { broker, client } = await world(t);
  await client.exchange('x', 'fanout', { autoDelete: true });
  await client.queue('q');
  await client.bind('q', 'x');
  await client.bind('q', 'x', 'second');
  await client.unbind('q', 'x');
  assert.equal(broker.vhosts.get('/')?.exchanges.has('x'), true);
  await client.deleteQueue('q');
  assert.equal(broker.vhosts.get('/')?.exchanges.has('x'), false);
});

const refusals: readonly [what: string, ask: (client: Client) => Promise<unknown>, reply: RegExp][] = [
  ['a queue with the prefix amq.', (client) => client.queue('amq.mine'), /ACCESS_REFUSED.*reserved/],
  ['an exchange with the prefix amq.', (client) => client.exchange('amq.mine', 'topic'), /ACCESS_REFUSED.*reserved/],
  ['the default exchange declared', (client) => client.exchange('', 'direct'), /ACCESS_REFUSED/],
  ['a binding to the default exchange', (client) => client.bind('q', '', 'k'), /ACCESS_REFUSED.*default exchange/],
  ['an exchange type that nobody knows', (client) => client.exchange('x', 'odd'), /PRECONDITION_FAILED/],
  ['an exchange of another type', (client) => client.exchange('amq.topic', 'direct'), /PRECONDITION_FAILED.*'type'/],
  ['a stream', (client) => client.queue('s', { 'x-queue-type': 'stream' }), /NOT_IMPLEMENTED/],
  [
    'a quorum queue that is exclusive',
    (client) => client.queue('s', { 'x-queue-type': 'quorum' }, { exclusive: true }),
    /PRECONDITION_FAILED/,
  ],
  [
    'a transient queue',
    (client) => client.queue('s', {}, { durable: false }),
    /INTERNAL_ERROR.*transient_nonexcl_queues/,
  ],
  [
    'another queue type',
    (client) => client.queue('q', { 'x-queue-type': 'quorum' }),
    /PRECONDITION_FAILED.*x-queue-type/,
  ],
];

for (const [what, ask, reply] of refusals) {
  test(`${what} is refused`, async (t) => {
    const { client } = await world(t);
    await client.queue('q');
    await assert.rejects(ask(client), reply);
  });
}

test('an expiring queue hands its messages to the dead-letter exchange before it ends', async (t) => {
  const { broker, clock, client } = await world(t);
  await client.queue('dead');
  await client.queue('q', { 'x-expires': 1000, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' });
  await client.publish('', 'q', '1');
  await client.publish('', 'q', '2');
  await client.queue('q', {}, { passive: true });
  await clock.advance(1000);
  assert.equal(broker.vhosts.get('/')?.queues.has('q'), false);
  assert.deepEqual(await client.bodies('dead'), ['1', '2']);
});

test('queues that dead-letter into each other for ever stop by themselves', async (t) => {
  const { client } = await world(t);
  const into = (key: string): FieldTable => ({
    'x-message-ttl': 0,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': key,
  });
  await client.queue('a', into('b'));
  await client.queue('b', into('a'));
  await client.publish('', 'a', 'x');
  assert.deepEqual([await client.bodies('a'), await client.bodies('b')], [[], []]);
});

/** Queues that hand every message on to the next one at once; the last one does so to the queue `end`. */
async function chain(client: Client, length: number, end: string): Promise<void> {
  for (let number = 0; number < length; number++) {
    const next = number + 1 < length ? `q${number + 1}` : end;
    const args = { 'x-message-ttl': 0, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': next };
    await client.queue(`q${number}`, args);
  }
}

test('a message travels through a chain of a hundred queues, and its history stays short', async (t) => {
  const { client } = await world(t);
  await client.queue('end');
  await chain(client, 100, 'end');
  await client.publish('', 'q0', 'x');
  assert.deepEqual(await client.bodies('end'), ['x']);
});

test('a circle of more queues than a history keeps stops by itself', async (t) => {
  const { client } = await world(t);
  await chain(client, 40, 'q0');
  await client.publish('', 'q0', 'x');
  assert.deepEqual(await client.bodies('q0'), []);
});

/** Starts a second broker on what a first one left behind without stopping it. */
async function restarted(t: TestContext, disk: MemoryDisk): Promise<Client> {
  const copy = { entities: new Map(disk.entities), messages: new Map(disk.messages) };
  return (await world(t, { store: new MemoryStore(copy) })).client;
}

test('durable things and their messages are there after a restart, the rest is not', async (t) => {
  const disk = emptyDisk();
  const { broker, client } = await world(t, { store: new MemoryStore(disk) });
  await client.exchange('x', 'topic');
  await client.exchange('passing', 'topic', { durable: false });
  await client.queue('q', { 'x-max-priority': 3 });
  await client.bind('q', 'x', 'a.#');
  await client.bind('q', 'passing', '#');
  await client.publish('x', 'a.b', 'kept');
  await client.queue('q', { 'x-max-priority': 3 });
  await broker.durable();
  const again = await restarted(t, disk);
  await again.exchange('x', 'topic');
  await again.queue('q', { 'x-max-priority': 3 });
  await again.publish('x', 'a.c', 'routed');
  assert.deepEqual(await again.bodies('q'), ['kept', 'routed']);
  await assert.rejects(
    again.publish('passing', 'k', 'x').then(() => again.bodies('q')),
    /channel.close/,
  );
});

test('an exclusive queue leaves nothing in the store, although it is called durable and its messages persistent', async (t) => {
  const disk = emptyDisk();
  const { broker, client } = await world(t, { store: new MemoryStore(disk) });
  await client.queue('mine', {}, { exclusive: true });
  await client.publish('', 'mine', 'x');
  await client.queue('mine', {}, { exclusive: true });
  await broker.durable();
  assert.equal(disk.messages.size, 0);
  const again = await restarted(t, disk);
  await assert.rejects(again.queue('mine', {}, { passive: true }), /NOT_FOUND/);
});

test('a dead letter is in the store of its new queue when it has left the old one', async (t) => {
  const disk = emptyDisk();
  const { broker, clock, client } = await world(t, { store: new MemoryStore(disk) });
  await client.queue('dead');
  await client.queue('q', { 'x-message-ttl': 100, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' });
  await client.publish('', 'q', 'x');
  await client.queue('dead');
  await clock.advance(100);
  await broker.durable();
  const again = await restarted(t, disk);
  assert.deepEqual([await again.bodies('q'), await again.bodies('dead')], [[], ['x']]);
});

test('time goes on for a message while the broker is down', async (t) => {
  const disk = emptyDisk();
  const { broker, client } = await world(t, { store: new MemoryStore(disk) });
  await client.queue('q', { 'x-message-ttl': 1000 });
  await client.publish('', 'q', 'x');
  await client.queue('q', { 'x-message-ttl': 1000 });
  await broker.durable();
  const later = new SimulatedClock(Date.UTC(2026, 0, 1) + 999);
  const second = await world(t, { store: new MemoryStore(disk), clock: later });
  assert.equal(second.broker.vhosts.get('/')?.queues.get('q')?.readyCount, 1);
  await later.advance(1);
  assert.equal(second.broker.vhosts.get('/')?.queues.get('q')?.readyCount, 0);
});

test('a message of a queue that is not there is damage, and the broker does not start', async () => {
  const disk = emptyDisk();
  const broker = await startBroker({ store: new MemoryStore(disk), users });
  const client = await Client.open(broker);
  await client.queue('q');
  await client.publish('', 'q', 'x');
  await client.queue('q');
  await broker.stop();
  for (const key of disk.entities.keys()) if (key.startsWith('queue/')) disk.entities.delete(key);
  await assert.rejects(startBroker({ store: new MemoryStore(disk), users }), { code: 'STORE_DAMAGED' });
});
