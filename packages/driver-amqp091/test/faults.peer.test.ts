import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { isMessagingError, type Delivery, type DriverConnection } from '@torcello/messaging';
import type { RabbitMq } from '@torcello/test-support';
import { rabbitTest, startFresh } from './support/rabbit.js';
import { FaultProxy } from './support/fault-proxy.js';
import { Collected, mailbox, message, open, text } from './support/world.js';

let rabbit: RabbitMq | undefined;
let proxy: FaultProxy;
let direct: string;
let url: string;
before(async () => {
  const fresh = await startFresh();
  rabbit = fresh?.rabbit;
  direct = fresh?.url ?? '';
  proxy = await FaultProxy.start({ host: '127.0.0.1', port: rabbit?.port ?? 0 });
  url = proxy.url(direct);
});
beforeEach(() => {
  proxy.delay(0);
  proxy.resume();
});
after(async () => {
  await proxy.stop();
  await rabbit?.stop();
});

/** Empties a queue past the proxy, and answers the bodies. */
async function drain(queue: string): Promise<readonly string[]> {
  const connection = await open(direct);
  const bodies: string[] = [];
  for (let found = await connection.get({ queue }); found !== undefined; found = await connection.get({ queue })) {
    bodies.push(text(found.message.body));
    found.accept();
  }
  await connection.close();
  return bodies;
}

async function declared(queue: string): Promise<DriverConnection> {
  const connection = await open(url, { heartbeatMs: 1_000 });
  await connection.ensure(mailbox(queue));
  return connection;
}

rabbitTest('two cuts in 2,000 confirmed publishes: none hangs, none is lost, the unsure say so', async () => {
  const queue = 'cuts';
  const confirmed = new Set<string>();
  const unsure = new Set<string>();
  let connection = await declared(queue);
  for (let round = 0; round < 3; round++) {
    await connection.publish({ exchange: '', routingKey: queue }, message(`warm ${round}`));
    const answered = new Collected<string>();
    const publishes = Array.from({ length: 667 }, async (_, index) => {
      const body = `${round}.${index}`;
      try {
        await connection.publish({ exchange: '', routingKey: queue }, message(body));
        confirmed.add(body);
        answered.add(body);
      } catch (error) {
        assert.equal(isMessagingError(error, 'CONNECTION_LOST'), true);
        if ((error as { details: { mayArrive: boolean } }).details.mayArrive) unsure.add(body);
      }
    });
    if (round < 2) {
      await answered.atLeast(1);
      proxy.cut();
    }
    await Promise.all(publishes);
    if (round < 2) {
      await connection.closed;
      connection = await open(url);
    }
  }
  await connection.close();
  const found = new Set(await drain(queue));
  assert.equal(
    [...confirmed].every((body) => found.has(body)),
    true,
    'everything confirmed is there',
  );
  const foreign = [...found].filter((body) => !confirmed.has(body) && !unsure.has(body) && !body.startsWith('warm'));
  assert.deepEqual(foreign, [], 'what may not have arrived has not');
  assert.ok(unsure.size > 0, 'the cuts hit something');
});

rabbitTest('a handler that accepts after the reconnect accepts nothing, and nothing is lost', async () => {
  const queue = 'slow';
  const first = await declared(queue);
  for (let index = 0; index < 10; index++)
    await first.publish({ exchange: '', routingKey: queue }, message(String(index)));
  const old = new Collected<Delivery>();
  await first.consume({ queue }, 5, old.add);
  await old.atLeast(5);
  proxy.cut();
  await first.closed;
  const second = await open(url);
  const fresh = new Collected<Delivery>();
  await second.consume({ queue }, 5, fresh.add);
  await fresh.atLeast(5);
  assert.deepEqual(
    old.items.map((delivery) => delivery.accept()),
    [false, false, false, false, false],
  );
  assert.equal((await second.inspect({ queue })).messages, 5);
  await second.close();
  assert.equal((await drain(queue)).length, 10);
});

rabbitTest('a receive-only consumer under a steady feed is not cut off', async () => {
  const queue = 'steady';
  const reader = await declared(queue);
  const writer = await open(direct, { heartbeatMs: 0 });
  const got = new Collected<Delivery>();
  await reader.consume({ queue }, 1000, got.add);
  // RabbitMQ drops a client of a one-second heartbeat after two to three seconds of silence.
  const feed = setInterval(() => void writer.publish({ exchange: '', routingKey: queue }, message('x')), 100);
  await got.atLeast(45);
  clearInterval(feed);
  assert.equal(got.items[0]?.accept(), true);
  await Promise.all([reader.close(), writer.close()]);
  assert.equal(await reader.closed, undefined);
});

for (const [fault, what] of [
  ['a black hole', () => proxy.stall()],
  ['a half-open connection', () => proxy.halfOpen()],
] as const) {
  rabbitTest(`${fault} is noticed within two heartbeats, and what was under way hears of it`, async () => {
    const queue = fault;
    const connection = await declared(queue);
    const there = { exchange: '', routingKey: queue };
    await connection.publish(there, message('warm'));
    const startedMs = performance.now();
    what();
    const outcome = await connection.publish(there, message('lost')).catch((error: unknown) => error);
    const tookMs = performance.now() - startedMs;
    assert.equal(isMessagingError(outcome, 'CONNECTION_LOST') && outcome.details['mayArrive'], true);
    assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
    assert.ok(tookMs < 4_000, `noticed after ${Math.round(tookMs)} ms`);
  });
}

rabbitTest('a slow network delays, and breaks nothing', async () => {
  proxy.delay(60);
  const queue = 'delayed';
  const connection = await declared(queue);
  await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      connection.publish({ exchange: '', routingKey: queue }, message(String(index))),
    ),
  );
  await connection.close();
  assert.equal((await drain(queue)).length, 200);
});

rabbitTest('a broker that is there but does not answer is given up in time', async () => {
  proxy.stall();
  const outcome = await open(url, { connectTimeoutMs: 300 }).catch((error: unknown) => error);
  assert.equal(isMessagingError(outcome, 'CONNECT_FAILED'), true);
});

rabbitTest('a cut at any moment of an operation rejects it with CONNECTION_LOST', async () => {
  const queue = 'operation';
  for (const hops of [0, 1, 2, 3, 5, 8]) {
    const connection = await declared(queue);
    const work = Promise.allSettled([
      connection.inspect({ queue }),
      connection.get({ queue }),
      connection.consume({ queue }, 1, () => undefined),
      connection.publish({ exchange: '', routingKey: queue }, message('x')),
      connection.openReplies('reply_cut', 60_000, () => undefined),
    ]);
    for (let hop = 0; hop < hops; hop++) await new Promise((resolve) => setImmediate(resolve));
    proxy.cut();
    for (const result of await work) {
      if (result.status === 'rejected')
        assert.equal(isMessagingError(result.reason, 'CONNECTION_LOST'), true, String(result.reason));
    }
    assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
  }
});
