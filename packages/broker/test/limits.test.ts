import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { FrameWriter } from '@torcello/amqp091';
import { defaultLimits, MemoryStore, startBroker } from '../src/index.js';
import type { Broker, BrokerLimits } from '../src/index.js';
import type { UserLimit } from '../src/access/users.js';
import { RawClient } from './support/raw-client.js';

/** A refusal that names the limit says how to raise it. */
type Outcome = 'fine' | `refused: ${number}` | `refused: ${number}, see --limit ${string}` | 'dropped';

interface Row {
  readonly limit: keyof BrokerLimits;
  readonly most: number;
  /** What comes of asking for so much; the two values are what is allowed, and what is over. */
  readonly ask: (broker: Broker, amount: number) => Promise<Outcome>;
  readonly over: Outcome;
}

/** The answer to the last method that was sent: fine when it has the expected name. */
async function outcome(client: RawClient, expected: string): Promise<Outcome> {
  for (;;) {
    const frame = await client.frame();
    if (frame === undefined) return 'dropped';
    if (frame.type !== 'method') continue;
    const { method } = frame;
    if (method.name === 'channel.close' || method.name === 'connection.close') return refusal(method);
    if (method.name === expected) return 'fine';
  }
}

function refusal({ replyCode, replyText }: { readonly replyCode: number; readonly replyText: string }): Outcome {
  const named = /--limit (\w+)=NUMBER/.exec(replyText)?.[1];
  return named === undefined ? `refused: ${replyCode}` : `refused: ${replyCode}, see --limit ${named}`;
}

/** Repeats until something is not fine. */
async function each(amount: number, ask: (number: number) => Promise<Outcome>): Promise<Outcome> {
  for (let number = 1; number <= amount; number++) {
    const result = await ask(number);
    if (result !== 'fine') return result;
  }
  return 'fine';
}

async function ready(broker: Broker, user = 'guest'): Promise<RawClient> {
  const client = await new RawClient(broker).open({ user });
  await client.channel();
  return client;
}

async function withQueue(broker: Broker): Promise<RawClient> {
  const client = await ready(broker);
  client.send(1, { name: 'queue.declare', queue: 'q', durable: true });
  await client.method('queue.declare-ok');
  return client;
}

/** Deliveries that come before the answer to a later question. */
/** Bytes of the properties of a message that has none. */
const noPropertiesBytes = 2;

async function deliveries(broker: Broker, publishes: readonly number[]): Promise<number> {
  const client = await withQueue(broker);
  client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: 't' });
  await client.method('basic.consume-ok');
  for (const size of publishes)
    client.publish(1, 'q', { properties: {}, body: Buffer.alloc(size - noPropertiesBytes) });
  client.send(1, { name: 'queue.declare', queue: 'q', passive: true });
  let count = 0;
  for (;;) {
    const frame = await client.frame();
    if (frame?.type !== 'method') continue;
    if (frame.method.name === 'basic.deliver') count++;
    if (frame.method.name === 'queue.declare-ok') return count;
  }
}

/** Connections that got as far as the broker's first word. */
async function greeted(broker: Broker, amount: number, address?: string): Promise<Outcome> {
  return each(amount, async () => {
    const client = new RawClient(broker, address);
    client.protocolHeader();
    return outcome(client, 'connection.start');
  });
}

/** Logs in and asks to enter, which is where a limit of connections is told, as on RabbitMQ. */
async function asFarAsOpen(broker: Broker, user: string): Promise<RawClient> {
  const client = new RawClient(broker);
  client.protocolHeader();
  await client.method('connection.start');
  client.login(user);
  const { channelMax, frameMax } = await client.method('connection.tune');
  client.send(0, { name: 'connection.tune-ok', channelMax, frameMax, heartbeat: 0 });
  client.send(0, { name: 'connection.open', virtualHost: '/' });
  return client;
}

async function openMany(broker: Broker, amount: number, userOf: (number: number) => string): Promise<Outcome> {
  return each(amount, async (number) => {
    return outcome(await asFarAsOpen(broker, userOf(number)), 'connection.open-ok');
  });
}

const rows: readonly Row[] = [
  {
    limit: 'channelsPerConnectionMax',
    most: 3,
    ask: async (broker, amount) => {
      const client = await new RawClient(broker).open();
      return each(amount, (number) => {
        client.send(number, { name: 'channel.open' });
        return outcome(client, 'channel.open-ok');
      });
    },
    over: 'refused: 530, see --limit channelsPerConnectionMax',
  },
  {
    limit: 'consumersPerChannelMax',
    most: 3,
    ask: async (broker, amount) => {
      const client = await withQueue(broker);
      return each(amount, (number) => {
        client.send(1, { name: 'basic.consume', queue: 'q', consumerTag: `${number}` });
        return outcome(client, 'basic.consume-ok');
      });
    },
    over: 'refused: 506, see --limit consumersPerChannelMax',
  },
  {
    limit: 'bindingsPerQueueMax',
    most: 3,
    ask: async (broker, amount) => {
      const client = await withQueue(broker);
      return each(amount, (number) => {
        client.send(1, { name: 'queue.bind', queue: 'q', exchange: 'amq.topic', routingKey: `${number}` });
        return outcome(client, 'queue.bind-ok');
      });
    },
    over: 'refused: 506, see --limit bindingsPerQueueMax',
  },
  {
    limit: 'queuesPerVhostMax',
    most: 3,
    ask: async (broker, amount) => {
      const client = await ready(broker);
      return each(amount, (number) => {
        client.send(1, { name: 'queue.declare', queue: `${number}`, durable: true });
        return outcome(client, 'queue.declare-ok');
      });
    },
    over: 'refused: 506, see --limit queuesPerVhostMax',
  },
  {
    limit: 'exchangesPerVhostMax',
    most: 8,
    ask: async (broker, amount) => {
      const client = await ready(broker);
      const predeclared = 5;
      return each(amount - predeclared, (number) => {
        client.send(1, { name: 'exchange.declare', exchange: `${number}`, type: 'fanout' });
        return outcome(client, 'exchange.declare-ok');
      });
    },
    over: 'refused: 506, see --limit exchangesPerVhostMax',
  },
  {
    limit: 'messageSizeBytesMax',
    most: 1000,
    ask: async (broker, amount) => {
      const client = await withQueue(broker);
      client.publish(1, 'q', { properties: {}, body: Buffer.alloc(amount) });
      client.send(1, { name: 'basic.get', queue: 'q' });
      return outcome(client, 'basic.get-ok');
    },
    over: 'refused: 406, see --limit messageSizeBytesMax',
  },
  {
    limit: 'connectionsMax',
    most: 3,
    ask: (broker, amount) => openMany(broker, amount, (number) => (number % 2 === 0 ? 'guest' : 'other')),
    over: 'refused: 530, see --limit connectionsMax',
  },
  {
    limit: 'connectionsPerUserMax',
    most: 3,
    ask: (broker, amount) => openMany(broker, amount, () => 'guest'),
    over: 'refused: 530, see --limit connectionsPerUserMax',
  },
  { limit: 'connectionsBeforeLoginMax', most: 3, ask: greeted, over: 'dropped' },
  {
    limit: 'connectionsBeforeLoginPerAddressMax',
    most: 3,
    ask: (broker, amount) => greeted(broker, amount, '192.0.2.1'),
    over: 'dropped',
  },
  {
    limit: 'frameSizeBeforeLoginBytesMax',
    most: 4096,
    ask: async (broker, amount) => {
      const client = new RawClient(broker);
      client.protocolHeader();
      await client.method('connection.start');
      client.raw(startOkOfSize(amount));
      return outcome(client, 'connection.tune');
    },
    over: 'dropped',
  },
  {
    limit: 'frameSizeBytesMax',
    most: 8192,
    ask: async (broker, amount) => {
      const client = await withQueue(broker);
      const writer = new FrameWriter();
      const body = Buffer.alloc(amount - 8);
      writer.content(1, { name: 'basic.publish', exchange: '', routingKey: 'q' }, { properties: {}, body });
      client.raw(Buffer.concat(writer.take()));
      client.send(1, { name: 'basic.get', queue: 'q' });
      return outcome(client, 'basic.get-ok');
    },
    over: 'refused: 501',
  },
];

/** A login whose frame has exactly this size, padded in the client's properties. */
function startOkOfSize(bytes: number): Uint8Array {
  const encode = (padding: number): Buffer => {
    const writer = new FrameWriter({ frameSizeBytesMax: 1_000_000 });
    const clientProperties = { information: 'x'.repeat(padding) };
    const response = Buffer.from('\0guest\0guest');
    writer.method(0, { name: 'connection.start-ok', clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' });
    return Buffer.concat(writer.take());
  };
  return encode(bytes - encode(0).length);
}

async function brokerWith(t: TestContext, limits: Partial<BrokerLimits>): Promise<Broker> {
  const users = ['guest', 'other'].map((name) => ({ name, password: name }));
  const broker = await startBroker({ store: new MemoryStore(), users, limits });
  t.after(() => broker.stop());
  return broker;
}

for (const { limit, most, ask, over } of rows) {
  const cases = [
    [most - 1, 'fine'],
    [most, 'fine'],
    [most + 1, over],
  ] as const;
  for (const [amount, expected] of cases) {
    test(`${limit} ${most}: ${amount} is ${expected}`, async (t) => {
      assert.equal(await ask(await brokerWith(t, { [limit]: most }), amount), expected);
    });
  }
}

for (const published of [2, 3, 4]) {
  test(`unsettledPerConsumerMax 3: of ${published} messages ${Math.min(published, 3)} are delivered`, async (t) => {
    const broker = await brokerWith(t, { unsettledPerConsumerMax: 3 });
    const sizes = Array.from({ length: published }, () => 10);
    assert.equal(await deliveries(broker, sizes), Math.min(published, 3));
  });
}

const byteRows: readonly [sizes: readonly number[], delivered: number][] = [
  [[99, 2, 2], 2],
  [[100, 2], 1],
  [[101, 2], 1],
];

for (const [sizes, delivered] of byteRows) {
  test(`unsettledPerConsumerBytesMax 100: of messages of ${sizes.join(', ')} bytes ${delivered} are delivered`, async (t) => {
    assert.equal(await deliveries(await brokerWith(t, { unsettledPerConsumerBytesMax: 100 }), sizes), delivered);
  });
}

test('channels are counted: they may bear any number', async (t) => {
  const client = await new RawClient(await brokerWith(t, { channelsPerConnectionMax: 2 })).open();
  const opened = async (number: number): Promise<Outcome> => {
    client.send(number, { name: 'channel.open' });
    return outcome(client, 'channel.open-ok');
  };
  assert.equal(await opened(65_535), 'fine');
  client.send(65_535, { name: 'channel.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 });
  await client.method('channel.close-ok');
  assert.deepEqual([await opened(40_000), await opened(65_535)], ['fine', 'fine']);
  assert.equal(await opened(1), 'refused: 530, see --limit channelsPerConnectionMax');
});

test('many clients of a loopback address are not one stranger', async (t) => {
  const broker = await brokerWith(t, { connectionsBeforeLoginPerAddressMax: 1 });
  assert.equal(await greeted(broker, 5, '127.0.0.1'), 'fine');
});

test('every limit is a whole number above zero', () => {
  for (const [name, value] of Object.entries(defaultLimits)) {
    assert.ok(Number.isSafeInteger(value) && value > 0, name);
  }
});

for (const most of [2, 3]) {
  test(`a user who may have ${most} connections and 4 channels over all of them gets no more`, async (t) => {
    const broker = await brokerWith(t, {});
    const limit = (name: UserLimit, value: number): void => {
      const user = broker.users.get('guest');
      assert.ok(user !== undefined);
      broker.users.setLimit(user, name, value);
    };
    limit('max-connections', most);
    limit('max-channels', 4);
    const clients: RawClient[] = [];
    for (let number = 0; number < most; number++) clients.push(await new RawClient(broker).open());
    const refusal = await (await asFarAsOpen(broker, 'guest')).method('connection.close');
    assert.equal(refusal.replyCode, 530);
    assert.match(refusal.replyText, /NOT_ALLOWED.*connections/);
    const opened = await each(5, (number) => {
      const client = clients[number % most];
      assert.ok(client !== undefined);
      client.send(number, { name: 'channel.open' });
      return outcome(client, number <= 4 ? 'channel.open-ok' : 'nothing');
    });
    assert.equal(opened, 'refused: 530');
    await new RawClient(broker).open({ user: 'other' });
  });
}
