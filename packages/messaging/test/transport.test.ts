import assert from 'node:assert/strict';
import test from 'node:test';
import { seededRandom, SimulatedClock } from '@torcello/platform/testing';
import {
  connect,
  isMessagingError,
  memoryDriver,
  MessagingError,
  rpcClient,
  rpcServer,
  type Delivery,
  type Driver,
  type Endpoint,
  type ErrorCode,
  type Topology,
} from '../src/index.js';
import { Backoff } from '../src/transport/backoff.js';
import { faulty } from '../src/testing/index.js';
import { bytes, makeWorld, settled, text } from './support/world.js';

const rejectsWith = (code: ErrorCode) => (error: unknown) => isMessagingError(error, code);
const queue: Topology = { kind: 'shared', source: { queue: 'q' }, reachedBy: [], options: {} };
const toQueue = { exchange: '', routingKey: 'q' };
const message = (body: string) =>
  ({ body: bytes(body), properties: {}, headers: {}, persistent: true, ifNobody: 'fail' }) as const;

test('the first connection is tried until it stands', async () => {
  const world = makeWorld();
  world.broker.refuse(new MessagingError('CONNECT_FAILED', 'down'));
  const joining = world.join();
  await world.clock.advance(5_000);
  world.broker.refuse(undefined);
  await world.clock.advance(10_000);
  await using transport = await joining;
  assert.equal(transport.state, 'connected');
});

for (const code of ['LOGIN_REFUSED', 'INVALID_URL'] as const) {
  test(`the first connection is not tried again after ${code}`, async () => {
    const world = makeWorld();
    world.broker.refuse(new MessagingError(code, 'no'));
    await assert.rejects(world.join(), rejectsWith(code));
    assert.equal(world.clock.timers, 0);
  });
}

test('waiting for the first connection ends with the signal', async () => {
  const world = makeWorld();
  world.broker.refuse(new MessagingError('CONNECT_FAILED', 'down'));
  const controller = new AbortController();
  const drivers = [memoryDriver({ broker: world.broker })];
  const joining = assert.rejects(
    connect('memory:', { drivers, clock: world.clock, signal: controller.signal }),
    rejectsWith('ABORTED'),
  );
  await settled();
  controller.abort();
  await joining;
  assert.equal(world.clock.timers, 0);
});

test('a scheme without a driver and an unknown option are INVALID_URL', async () => {
  const drivers = [memoryDriver()];
  await assert.rejects(connect('carrier-pigeon://loft', { drivers }), rejectsWith('INVALID_URL'));
  await assert.rejects(connect('memory:?speed=warp', { drivers }), rejectsWith('INVALID_URL'));
});

test('what a program needs and the transport lacks is told in a table', async () => {
  const world = makeWorld();
  const driver = faulty(memoryDriver({ broker: world.broker }), { seed: 1, capabilities: { priorityMax: 0 } });
  await assert.rejects(
    connect('memory:', { drivers: [driver], needs: ['mailboxes', 'priorityMax'] }),
    (error) =>
      isMessagingError(error, 'CAPABILITY_MISSING') &&
      /mailboxes +there\n +priorityMax +missing/.test(error.message) &&
      JSON.stringify(error.details['missing']) === '["priorityMax"]',
  );
});

test('brokers of different names know nothing of each other', async () => {
  const drivers = [memoryDriver()];
  await using a = await connect('memory://a', { drivers });
  await using sameA = await connect('memory://a', { drivers });
  await using b = await connect('memory://b', { drivers });
  await a.ensure(queue);
  assert.equal((await sameA.inspect(queue.source)).messages, 0);
  await assert.rejects(b.inspect(queue.source), rejectsWith('NOT_FOUND'));
});

test('a publish waits for the connection within its timeout', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(queue);
  world.broker.refuse(new MessagingError('CONNECT_FAILED', 'down'));
  world.broker.cut();
  const late = assert.rejects(
    transport.publish(toQueue, message('late'), { timeoutMs: 900 }),
    (error) => isMessagingError(error, 'TIMEOUT') && error.details['mayArrive'] === false,
  );
  const inTime = transport.publish(toQueue, message('in time'));
  await world.clock.advance(900);
  await late;
  world.broker.refuse(undefined);
  await world.clock.advance(10_000);
  await inTime;
  assert.equal((await transport.inspect(queue.source)).messages, 1);
});

test('a publish that may have arrived is sent again only when its sender allows doubles', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(queue);
  world.broker.swallowConfirms(1);
  await assert.rejects(
    transport.publish(toQueue, message('once')),
    (error) => isMessagingError(error, 'CONNECTION_LOST') && error.details['mayArrive'] === true,
  );
  world.broker.swallowConfirms(1);
  const twice = transport.publish(toQueue, message('twice'), { resend: true });
  await world.clock.advance(5_000);
  await twice;
  const bodies: string[] = [];
  for (
    let delivery = await transport.get(queue.source);
    delivery !== undefined;
    delivery = await transport.get(queue.source)
  ) {
    delivery.accept();
    bodies.push(text(delivery.message.body));
  }
  assert.deepEqual(bodies, ['once', 'twice', 'twice']);
});

test('a blocked broker is a state and makes publishes wait, given up ones are ABORTED', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(queue);
  const states: string[] = [];
  transport.onState((state) => states.push(state));
  world.broker.block(true);
  const waiting = transport.publish(toQueue, message('x'));
  const controller = new AbortController();
  const aborted = assert.rejects(
    transport.publish(toQueue, message('y'), { signal: controller.signal }),
    (error) => isMessagingError(error, 'ABORTED') && error.details['mayArrive'] === false,
  );
  await settled();
  assert.equal(transport.state, 'blocked');
  controller.abort();
  await aborted;
  world.broker.block(false);
  await waiting;
  assert.deepEqual(states, ['blocked', 'connected']);
  assert.equal((await transport.inspect(queue.source)).messages, 1);
});

test('queues that vanished while the connection was gone are made again, and their consumers go on', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(queue);
  const seen: Delivery[] = [];
  await transport.consume(queue.source, { credit: 9, onDelivery: (delivery) => seen.push(delivery) });
  world.broker.cut();
  world.broker.delete('q');
  await world.clock.advance(1_000);
  await transport.publish(toQueue, message('x'));
  await settled();
  assert.equal(seen.length, 1);
});

test('a consumer whose queue was deleted goes on where the program had made the queue', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(queue);
  const seen: Delivery[] = [];
  const subscription = await transport.consume(queue.source, {
    credit: 9,
    onDelivery: (delivery) => seen.push(delivery),
  });
  world.broker.delete('q');
  await world.clock.advance(1_000);
  await transport.publish(toQueue, message('x'));
  await settled();
  assert.equal(seen.length, 1);
  await subscription.stop();
  assert.equal(await subscription.ended, undefined);
});

test('a consumer whose queue is not the program’s own ends with NOT_FOUND', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(queue, { isRestored: false });
  const subscription = await transport.consume(queue.source, { credit: 1, onDelivery: () => undefined });
  world.broker.delete('q');
  await world.clock.advance(1_000);
  assert.equal((await subscription.ended)?.code, 'NOT_FOUND');
});

test('a login that is refused while reconnecting is tried again', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  world.broker.refuse(new MessagingError('LOGIN_REFUSED', 'not now'));
  world.broker.cut();
  await world.clock.advance(60_000);
  assert.equal(transport.state, 'connecting');
  world.broker.refuse(undefined);
  await world.clock.advance(10_000);
  assert.equal(transport.state, 'connected');
});

test('close ends subscriptions and rejects what waits, and may be called twice', async () => {
  const world = makeWorld();
  const transport = await world.join();
  await transport.ensure(queue);
  const subscription = await transport.consume(queue.source, { credit: 1, onDelivery: () => undefined });
  world.broker.refuse(new MessagingError('CONNECT_FAILED', 'down'));
  world.broker.cut();
  await settled();
  const publish = assert.rejects(transport.publish(toQueue, message('x')), rejectsWith('CLOSED'));
  const inspect = assert.rejects(transport.inspect(queue.source), rejectsWith('CLOSED'));
  await settled();
  await transport.close();
  await transport.close();
  await publish;
  await inspect;
  assert.equal(await subscription.ended, undefined);
  await assert.rejects(transport.ready(), rejectsWith('CLOSED'));
  assert.equal(transport.state, 'closed');
  assert.equal(world.clock.timers, 0, 'no timer is left');
});

test('a broker that accepts and drops at once is not asked in a hurry', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  let losses = 0;
  transport.onState((state) => {
    if (state !== 'connected') return;
    losses += 1;
    queueMicrotask(() => world.broker.cut());
  });
  world.broker.cut();
  await world.clock.advance(60_000);
  assert.ok(losses >= 5 && losses <= 20, `${losses} connections in a minute`);
});

test('waits double up to the maximum, jittered, and begin anew after a success', () => {
  const backoff = new Backoff(seededRandom(1));
  const waits = Array.from({ length: 12 }, () => backoff.nextMs());
  for (const [at, wait] of waits.entries()) {
    const full = Math.min(200 * 2 ** at, 10_000);
    assert.ok(wait >= full / 2 && wait <= full, `wait ${at} is ${wait}`);
  }
  assert.equal(new Set(waits).size, waits.length);
  backoff.reset();
  assert.ok(backoff.nextMs() <= 200);
});

test('the clock of a program that does nothing has no timer', async () => {
  const clock = new SimulatedClock();
  await using transport = await connect('memory:', { drivers: [memoryDriver()], clock });
  assert.equal(clock.timers, 0);
  assert.equal(transport.state, 'connected');
});

test('a call without a time limit sends none', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const methods: Endpoint['methods'] = { left: (_, { remainingMs }) => remainingMs() ?? 'no limit' };
  const server = rpcServer(transport, { topic: 't', server: 's' }, [{ methods }]);
  await server.start();
  assert.equal(await rpcClient(transport, { topic: 't' }, { timeoutMs: Infinity }).call('left'), 'no limit');
  await server.stop();
});

test('a letter fetched for a caller who is gone is given back', async () => {
  const world = makeWorld();
  const inner = memoryDriver({ broker: world.broker });
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const slow: Driver = {
    schemes: ['slow'],
    connect: async (url, options) => {
      const connection = await faulty(inner, { seed: 1 }).connect(url, options);
      return { ...connection, isBlocked: false, get: async (source) => (await gate, connection.get(source)) };
    },
  };
  await using transport = await connect('slow:', { drivers: [slow], clock: world.clock });
  await transport.ensure(queue);
  await transport.publish(toQueue, message('x'));
  const late = assert.rejects(transport.get(queue.source, { timeoutMs: 10 }), rejectsWith('TIMEOUT'));
  await world.clock.advance(10);
  await late;
  open();
  await settled();
  assert.equal((await transport.inspect(queue.source)).messages, 1);
});
