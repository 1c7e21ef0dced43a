import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { connect, isMessagingError } from '@torcello/messaging';
import { FaultProxy, protonMissing, startProtonBroker, type ProtonBroker } from '@torcello/test-support';
import { amqp10Driver } from '../src/index.js';
import { message, open, text } from './support/world.js';

const skip = protonMissing('c') ?? false;
let broker: ProtonBroker;
let proxy: FaultProxy;
let url: string;

before(async () => {
  if (skip !== false) return;
  broker = await startProtonBroker('c');
  proxy = await FaultProxy.start({ host: '127.0.0.1', port: broker.port });
  url = `amqp1://127.0.0.1:${proxy.port}`;
});
after(async () => {
  if (skip !== false) return;
  await proxy.stop();
  await broker.stop();
});

interface Arrived {
  readonly body: string;
  readonly redelivered: boolean;
}

/** Everything that is in a queue, read past the proxy. */
async function drain(queue: string): Promise<readonly Arrived[]> {
  const connection = await open(broker.url);
  const arrived: Arrived[] = [];
  for (let found = await connection.get({ queue }); found !== undefined; found = await connection.get({ queue })) {
    arrived.push({ body: text(found.message.body), redelivered: found.redelivered });
    found.accept();
    // One more look at what is there costs a link; a reader takes the rest at once.
    const more = new Promise<void>((resolve) => void readAll(connection, { queue, arrived, resolve }));
    await more;
  }
  await connection.close();
  return arrived;
}

async function readAll(
  connection: Awaited<ReturnType<typeof open>>,
  reading: { readonly queue: string; readonly arrived: Arrived[]; readonly resolve: () => void },
): Promise<void> {
  const { queue, arrived, resolve } = reading;
  const end = 'end of the queue';
  const consumer = await connection.consume({ queue }, 100, (delivery) => {
    delivery.accept();
    const body = text(delivery.message.body);
    if (body !== end) arrived.push({ body, redelivered: delivery.redelivered });
    else void consumer.stop().then(resolve);
  });
  await connection.publish({ exchange: '', routingKey: queue }, message(end));
}

test('two cuts in 1,000 sends: every promise settles, and the unsure say so', { skip }, async () => {
  const queue = 'sends';
  const to = { exchange: '', routingKey: queue };
  const [confirmed, unsure, refused] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const round of [0, 1, 2]) {
    const connection = await open(url);
    let settled = 0;
    const sends = Array.from({ length: round === 2 ? 334 : 333 }, async (_, at) => {
      const body = `${round}.${at}`;
      try {
        await connection.publish(to, message(body));
        confirmed.add(body);
      } catch (error) {
        assert.ok(isMessagingError(error, 'CONNECTION_LOST'), String(error));
        (error.details['mayArrive'] === true ? unsure : refused).add(body);
      }
      settled += 1;
      if (round < 2 && settled === 100) proxy.cut();
    });
    await Promise.all(sends);
    if (round === 2) await connection.close();
    else assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
  }
  assert.equal(confirmed.size + unsure.size + refused.size, 1_000, 'none stays without an outcome');
  assert.ok(unsure.size > 0 && refused.size > 0, `${unsure.size} unsure, ${refused.size} that never left`);
  const arrived = (await drain(queue)).map(({ body }) => body);
  assert.equal(new Set(arrived).size, arrived.length, 'nothing arrived twice');
  for (const body of confirmed) assert.ok(arrived.includes(body), `${body} was confirmed and is lost`);
  for (const body of refused) assert.ok(!arrived.includes(body), `${body} was said not to have left`);
});

test(
  'with resend, 10,000 sends over a cut and a half-open connection all arrive, a second copy marked',
  { skip },
  async () => {
    const queue = 'resent';
    const to = { exchange: '', routingKey: queue };
    await using transport = await connect(url, { drivers: [amqp10Driver()], heartbeatMs: 2_000 });
    let settled = 0;
    const sends = Array.from({ length: 10_000 }, async (_, at) => {
      await transport.publish(to, message(String(at)), { resend: true });
      settled += 1;
      if (settled === 2_000) proxy.cut();
      if (settled === 6_000) proxy.halfOpen();
    });
    await Promise.all(sends);
    const arrived = await drain(queue);
    const copies = new Map<string, Arrived[]>();
    for (const one of arrived) copies.set(one.body, [...(copies.get(one.body) ?? []), one]);
    assert.equal(copies.size, 10_000, 'each arrived');
    const doubled = [...copies.values()].filter((these) => these.length > 1);
    for (const these of doubled) {
      assert.ok(these.filter(({ redelivered }) => !redelivered).length <= 1, 'at most one copy is unmarked');
    }
  },
);

test('a peer that falls silent is noticed by the heartbeat, and what waits is told', { skip }, async () => {
  const connection = await open(url, { heartbeatMs: 300 });
  await connection.publish({ exchange: '', routingKey: 'silent' }, message('before'));
  proxy.stall();
  const waiting = connection.publish({ exchange: '', routingKey: 'silent' }, message('during'));
  await assert.rejects(
    waiting,
    (error) => isMessagingError(error, 'CONNECTION_LOST') && error.details['mayArrive'] === true,
  );
  assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
  proxy.resume();
  proxy.cut();
});

test('a half-open connection is noticed too', { skip }, async () => {
  const connection = await open(url, { heartbeatMs: 300 });
  proxy.halfOpen();
  const waiting = connection.publish({ exchange: '', routingKey: 'half' }, message('during'));
  await assert.rejects(waiting, (error) => isMessagingError(error, 'CONNECTION_LOST'));
  assert.equal((await connection.closed)?.code, 'CONNECTION_LOST');
  proxy.cut();
});

test('100,000 sends at once wait for credit and settle, in order', { skip }, async () => {
  const queue = 'many';
  const connection = await open(broker.url);
  const to = { exchange: '', routingKey: queue };
  const count = 100_000;
  await Promise.all(Array.from({ length: count }, (_, at) => connection.publish(to, message(String(at)))));
  await connection.close();
  const arrived = await drain(queue);
  assert.equal(arrived.length, count);
  assert.ok(
    arrived.every(({ body }, at) => body === String(at)),
    'in the order of the calls',
  );
});
