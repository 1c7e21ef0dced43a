import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after } from 'node:test';
import { MemoryStore, startBroker } from '@torcello/broker';
import { amqp091Driver } from '@torcello/driver-amqp091';
import {
  connect,
  isMessagingError,
  mailboxes,
  rpcClient,
  rpcServer,
  type Delivery,
  type ErrorCode,
  type OutgoingMessage,
  type Topology,
  type Transport,
} from '@torcello/messaging';
import { Collected } from '@torcello/messaging/testing';
import { freePort } from '@torcello/test-support';
import amqp from 'amqplib';
import { CuttableNetwork } from './support/cuttable-network.js';

/*
 * Puka, the AMQP client that Murano's programs stood on: what it promised, each promise by its name, and what was weak
 * about it, each weakness with what we do there. Over AMQP 0-9-1 and a broker of ours.
 */

const users = [{ name: 'guest', password: 'guest' }];
const broker = await startBroker({ store: new MemoryStore(), users });
after(() => broker.stop());
const { port } = await broker.listen({ host: '127.0.0.1', port: 0 });
const url = `amqp://guest:guest@127.0.0.1:${port}/`;
const drivers = [amqp091Driver()];

let queues = 0;
function freshQueue(options: Topology['options'] = {}): Topology {
  return { kind: 'mailbox', source: { queue: `puka-${(queues += 1)}` }, reachedBy: [], options };
}
const into = ({ source }: Topology) => ({ exchange: '', routingKey: source.queue });
const nowhere = { exchange: '', routingKey: 'puka-nowhere' };
const message = (id: string, changes: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  body: Buffer.from(id),
  properties: { messageId: id },
  headers: {},
  persistent: true,
  ifNobody: 'fail',
  ...changes,
});
const is = (code: ErrorCode) => (error: unknown) => isMessagingError(error, code);
const promise = (name: string, body: (transport: Transport) => Promise<void>): void => {
  test(`Puka’s promise: ${name}`, async () => {
    await using transport = await connect(url, { drivers });
    await body(transport);
  });
};
const weakness = (name: string, body: (transport: Transport, network: CuttableNetwork) => Promise<void>): void => {
  test(`Puka’s weakness: ${name}`, async () => {
    const network = new CuttableNetwork();
    await using transport = await connect(url, { drivers, network });
    await body(transport, network);
  });
};

promise('a request is a promise that one waits for when one likes, in any order', async (transport) => {
  const made = Array.from({ length: 100 }, () => freshQueue());
  const making = made.map((queue) => transport.ensure(queue));
  for (const one of making.toReversed()) await one;
  const found = await Promise.all(made.map(({ source }) => transport.inspect(source)));
  assert.deepEqual(found[99], { messages: 0, consumers: 0 });
});

promise('an error hits only the promise that caused it', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  const outcomes = await Promise.allSettled([
    transport.publish(into(queue), message('1')),
    transport.publish({ exchange: 'puka-no-exchange', routingKey: 'x' }, message('2')),
    transport.inspect({ queue: 'puka-no-queue' }),
    transport.ensure({ ...queue, options: { lengthMax: 1 } }),
    transport.get({ queue: 'puka-no-queue' }),
    transport.publish(into(queue), message('3')),
    transport.inspect(queue.source),
  ]);
  const codes = outcomes.map((outcome) =>
    outcome.status === 'fulfilled' ? 'ok' : isMessagingError(outcome.reason) && outcome.reason.code,
  );
  assert.deepEqual(codes, ['ok', 'UNROUTABLE', 'NOT_FOUND', 'PRECONDITION_FAILED', 'NOT_FOUND', 'ok', 'ok']);
  assert.equal(transport.state, 'connected');
});

promise('channels do not exist for the user: a thousand errors leave none behind', async (transport) => {
  for (let round = 0; round < 10; round += 1) {
    const asking = Array.from({ length: 100 }, () => transport.inspect({ queue: 'puka-no-queue' }));
    const codes = (await Promise.allSettled(asking)).map(({ status }) => status);
    assert.ok(codes.every((status) => status === 'rejected'));
  }
  const queue = freshQueue();
  await transport.ensure(queue);
  await transport.publish(into(queue), message('1'));
  const delivery = await transport.get(queue.source);
  assert.equal(delivery?.accept(), true);
});

promise('publish is a real request: it resolves when the broker has the message', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  await transport.publish(into(queue), message('1'));
  assert.equal((await transport.inspect(queue.source)).messages, 1);
});

promise('a message that no queue takes fails that very publish', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 300 }, (_, at) =>
      transport.publish(at % 3 === 0 ? nowhere : into(queue), message(String(at))),
    ),
  );
  outcomes.forEach(({ status }, at) => assert.equal(status, at % 3 === 0 ? 'rejected' : 'fulfilled', String(at)));
});

promise('after an error of the publishing channel later publishes go through', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  await assert.rejects(
    transport.publish({ exchange: 'puka-no-exchange', routingKey: '' }, message('x')),
    is('UNROUTABLE'),
  );
  await transport.publish(into(queue), message('1'));
  assert.equal((await transport.inspect(queue.source)).messages, 1);
});

promise('a thousand requests in flight are settled in any order, each with its own outcome', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  const sends = Array.from({ length: 1_000 }, (_, at) => transport.publish(into(queue), message(String(at))));
  for (const send of sends.toReversed()) await send;
  const seen: string[] = [];
  for (
    let delivery = await transport.get(queue.source);
    seen.length < 1_000;
    delivery = await transport.get(queue.source)
  ) {
    seen.push(String(delivery?.message.properties.messageId));
    delivery?.accept();
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 1_000 }, (_, at) => String(at)),
  );
});

promise(
  'what is in hand costs no channels: two hundred fetched messages, and everything else goes on',
  async (transport) => {
    const queue = freshQueue();
    await transport.ensure(queue);
    await Promise.all(Array.from({ length: 200 }, (_, at) => transport.publish(into(queue), message(String(at)))));
    const inHand = await Promise.all(Array.from({ length: 200 }, () => transport.get(queue.source)));
    assert.equal(await transport.get(queue.source), undefined);
    assert.deepEqual(
      inHand.map((delivery) => delivery?.message.properties.messageId),
      Array.from({ length: 200 }, (_, at) => String(at)),
    );
    await assert.rejects(transport.get({ queue: 'puka-no-queue' }), is('NOT_FOUND'));
    inHand.forEach((delivery, at) => assert.equal(at % 2 === 0 ? delivery?.accept() : delivery?.release(), true));
    const again = await Promise.all(Array.from({ length: 101 }, () => transport.get(queue.source)));
    const ids = again.flatMap((delivery) => delivery?.message.properties.messageId ?? []);
    assert.deepEqual(
      ids.toSorted((a, b) => Number(a) - Number(b)),
      Array.from({ length: 100 }, (_, at) => String(2 * at + 1)),
    );
    for (const delivery of again) delivery?.accept();
  },
);

promise(
  'more consumers than the broker lets a connection have is an error at once, and the others go on',
  async (transport) => {
    const queue = freshQueue();
    await transport.ensure(queue);
    const consuming = Array.from({ length: 70 }, () =>
      transport.consume(queue.source, { credit: 1, onDelivery: () => undefined }),
    );
    const outcomes = await Promise.allSettled(consuming);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    assert.ok(refused.length > 0);
    assert.ok(refused.every(({ reason }) => isMessagingError(reason, 'QUOTA_EXCEEDED')));
    assert.equal(transport.state, 'connected');
  },
);

promise('a consumer is a stream with bounded waiting', async (transport) => {
  const boxes = mailboxes(transport);
  await boxes.open('puka-stream');
  await boxes.put('puka-stream', { id: '1', body: new Uint8Array() });
  const seen: string[] = [];
  const patience = new AbortController();
  for await (const letter of boxes.read('puka-stream', { signal: patience.signal })) {
    seen.push(letter.id);
    letter.accept();
    // Nothing more will come: waiting for it ends when the reader says so.
    transport.clock.after(10, () => patience.abort());
  }
  assert.deepEqual(seen, ['1']);
});

promise('a consumer whose queue is deleted hears of it', async (transport) => {
  await using other = await connect(url, { drivers });
  const queue = freshQueue();
  await other.ensure(queue, { isRestored: false });
  const subscription = await transport.consume(queue.source, { credit: 1, onDelivery: () => undefined });
  await other.delete(queue.source);
  assert.equal((await subscription.ended)?.code, 'NOT_FOUND');
});

promise('the message knows how to settle itself, and settling twice is seen', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  await transport.publish(into(queue), message('1'));
  const first = await transport.get(queue.source);
  assert.deepEqual([first?.release(), first?.accept()], [true, false]);
  const again = await transport.get(queue.source);
  assert.deepEqual([again?.redelivered, again?.reject(), again?.reject()], [true, true, false]);
});

weakness(
  'no reconnect and no recovery: ours restores queues, consumers and the reply address',
  async (transport, network) => {
    const queue: Topology = { ...freshQueue(), kind: 'shared' };
    await transport.ensure(queue);
    const seen = new Collected<Delivery>();
    await transport.consume(queue.source, { credit: 5, onDelivery: seen.add });
    await using far = await connect(url, { drivers });
    const methods = { twice: ({ of }: Readonly<Record<string, unknown>>) => Number(of) * 2 };
    const server = rpcServer(far, { topic: 'puka-sums', server: 'one' }, [{ methods }]);
    await server.start();
    const client = rpcClient(transport, { topic: 'puka-sums' });
    assert.equal(await client.call('twice', { of: 2 }), 4);
    await network.cut();
    await transport.publish(into(queue), message('after'));
    await seen.atLeast(1, 'delivery');
    assert.equal(await client.call('twice', { of: 3 }), 6);
    await server.stop();
  },
);

weakness('one host: ours goes on to the next', async () => {
  const hosts = `guest:guest@127.0.0.1:${await freePort()},guest:guest@127.0.0.1:${port}`;
  await using transport = await connect(`amqp://${hosts}/`, { drivers });
  assert.equal(transport.state, 'connected');
});

weakness('a negative confirm crashed it: ours is NOT_CONFIRMED, and the next goes through', async (transport) => {
  const queue = freshQueue({ lengthMax: 1, whenFull: 'refuse' });
  await transport.ensure(queue);
  await transport.publish(into(queue), message('1'));
  await assert.rejects(transport.publish(into(queue), message('2')), is('NOT_CONFIRMED'));
  (await transport.get(queue.source))?.accept();
  await transport.publish(into(queue), message('3'));
});

weakness(
  'a wait that timed out said nothing and cancelled nothing: ours is TIMEOUT and says what may arrive',
  async (transport, network) => {
    const queue = freshQueue();
    await transport.ensure(queue);
    await network.cut();
    const sending = transport.publish(into(queue), message('1'), { timeoutMs: 1 });
    await assert.rejects(sending, (error) => {
      assert.ok(isMessagingError(error, 'TIMEOUT'));
      assert.equal(error.details['mayArrive'], false);
      return true;
    });
    await transport.ready();
    assert.equal((await transport.inspect(queue.source)).messages, 0, 'what was said not to arrive did not');
  },
);

weakness('direct replies were impossible: an answer that overtakes the confirm finds its call', async (transport) => {
  await using far = await connect(url, { drivers });
  const server = rpcServer(far, { topic: 'puka-echo', server: 'one' }, [{ methods: { echo: (args) => args } }]);
  await server.start();
  const client = rpcClient(transport, { topic: 'puka-echo' });
  const calls = Array.from({ length: 300 }, (_, at) => client.call('echo', { at }));
  assert.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 300 }, (_, at) => ({ at })),
  );
  await server.stop();
});

weakness('prefetch of a living consumer could not be changed: ours can', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  for (const id of ['1', '2', '3']) await transport.publish(into(queue), message(id));
  const seen = new Collected<Delivery>();
  const subscription = await transport.consume(queue.source, { credit: 1, onDelivery: seen.add });
  await seen.atLeast(1, 'delivery');
  assert.equal((await transport.inspect(queue.source)).messages, 2);
  subscription.setCredit(3);
  await seen.atLeast(3, 'deliveries');
  for (const delivery of seen.items) delivery.accept();
  await subscription.stop();
});

weakness('it added a header to every message and mixed headers with properties: ours adds none', async (transport) => {
  const queue = freshQueue();
  await transport.ensure(queue);
  const headers = { messageId: 'a header of that name', priority: 9 };
  await transport.publish(into(queue), message('1', { headers }));
  const connection = await amqp.connect({ hostname: '127.0.0.1', port, username: 'guest', password: 'guest' });
  const raw = await (await connection.createChannel()).get(queue.source.queue, { noAck: true });
  await connection.close();
  assert.ok(raw !== false);
  assert.deepEqual({ ...raw.properties.headers }, headers);
  assert.equal(raw.properties.messageId, '1');
});

/** Weak points that need a scripted peer, certificates or a broker that runs short: their tests stand with the driver. */
const elsewhere = {
  'heartbeats were only echoed, so a receive-only client was cut off': [
    'scripted.test.ts',
    'a receive-only client says that it lives, and silence of two intervals ends it',
  ],
  'no back-pressure and no connection.blocked': [
    'scripted.test.ts',
    'a blocked publisher waits, visibly, and goes on when the broker says so',
  ],
  'one login mechanism': ['scripted.test.ts', 'login by ${login}'],
  'TLS without a look at the name': ['tls.peer.test.ts', 'name'],
  'no acknowledgement of several at once': [
    'scripted.test.ts',
    'accepts of one turn leave as one, up to the first that is still being worked on',
  ],
  'output that was not gathered per turn would be slow': [
    'scripted.test.ts',
    'many publishes of one turn are one write',
  ],
} as const;

for (const [name, [file, title]] of Object.entries(elsewhere)) {
  test(`Puka’s weakness: ${name}: the driver’s own test is there`, () => {
    const source = readFileSync(new URL(`../../packages/driver-amqp091/test/${file}`, import.meta.url), 'utf8');
    assert.ok(source.includes(title), title);
  });
}
