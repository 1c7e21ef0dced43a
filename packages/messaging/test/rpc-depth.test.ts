import assert from 'node:assert/strict';
import test from 'node:test';
import { isMessagingError, rpcClient, rpcServer, type Endpoint, type Transport } from '../src/index.js';
import { encodeRequest } from '../src/rpc/request.js';
import { encodeBare, encodeEnvelope, jsonProperties } from '../src/wire/envelope.js';
import { parseJson } from '../src/wire/json.js';
import { makeWorld, settled, text } from './support/world.js';

const target = { topic: 'calc', server: 'one' };

/** A request as a peer publishes it. */
function publish(transport: Transport, body: Uint8Array, key = 'calc'): Promise<void> {
  const message = { body, properties: jsonProperties, headers: {}, persistent: true, ifNobody: 'fail' } as const;
  return transport.publish({ exchange: 'openstack', routingKey: key }, message);
}

const calc = {
  kind: 'shared',
  source: { queue: 'calc' },
  reachedBy: [{ exchange: 'openstack', routingKey: 'calc' }],
  options: {},
} as const;

/** A call in the hands of the test: what was sent, and a way to answer it by hand. */
async function nextReplyAddress(transport: Transport) {
  await transport.ensure(calc);
  const call = rpcClient(transport, { topic: 'calc' }).call('x');
  await settled();
  const delivery = await transport.get(calc.source);
  assert.ok(delivery);
  delivery.accept();
  const inner = parseJson(text(delivery.message.body)) as Record<string, string>;
  const { _msg_id: id, _reply_q: queue } = parseJson(inner['oslo.message'] ?? '') as Record<string, string>;
  const answer = (body: Uint8Array): Promise<void> =>
    transport.publish(
      { exchange: '', routingKey: queue ?? '' },
      { body, properties: jsonProperties, headers: {}, persistent: true, ifNobody: 'fail' },
    );
  return { message: delivery.message, id, call, answer };
}

const request = (method: string, uniqueId: string | undefined, reply?: { queue: string; monitorMs?: number }) =>
  encodeRequest({
    method,
    args: {},
    namespace: undefined,
    version: undefined,
    context: {},
    uniqueId,
    reply:
      reply === undefined
        ? undefined
        : { messageId: `m-${uniqueId}`, queue: reply.queue, monitorMs: reply.monitorMs, wantsAcceptance: false },
  });

test('a repeat within the last 16 requests is dropped, one after them runs again', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const seen: unknown[] = [];
  const server = rpcServer(transport, target, [{ methods: { note: () => void seen.push(1) } }]);
  await server.start();
  await publish(transport, request('note', 'same'));
  for (let count = 0; count < 15; count += 1) await publish(transport, request('note', `other ${count}`));
  await publish(transport, request('note', 'same'));
  await settled();
  assert.equal(seen.length, 16, 'the repeat was dropped');
  await publish(transport, request('note', 'other 15'));
  await publish(transport, request('note', 'same'));
  await settled();
  assert.equal(seen.length, 18, 'sixteen others later it runs');
  await publish(transport, request('note', undefined));
  await publish(transport, request('note', undefined));
  await settled();
  assert.equal(seen.length, 20, 'without an id nothing is a repeat');
  await server.stop();
});

test('the forms of a request that Python takes are taken, others are rejected', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const seen: unknown[] = [];
  const server = rpcServer(transport, target, [{ methods: { note: (args) => void seen.push(args) } }]);
  await server.start();
  await publish(transport, encodeBare({ method: 'note' }));
  await publish(transport, encodeEnvelope({ method: 'note', args: { a: 1 }, extra: true }));
  await publish(transport, encodeEnvelope({ method: 'note', _msg_id: 'x' }));
  for (const body of [
    encodeBare({ args: {} }),
    encodeBare({ 'oslo.version': '2.1', 'oslo.message': '{}' }),
    new Uint8Array([1]),
  ]) {
    await publish(transport, body);
  }
  await settled();
  assert.deepEqual(seen, [{}, { a: 1 }, {}]);
  assert.equal((await transport.inspect({ queue: 'calc' })).messages, 0);
  await server.stop();
});

for (const acknowledge of ['before', 'after'] as const) {
  test(`a request that a dying server ran ${acknowledge === 'before' ? 'is lost' : 'runs on another one'} when it is accepted ${acknowledge}`, async () => {
    const world = makeWorld();
    const dying = await world.join();
    await using transport = await world.join();
    const seen: string[] = [];
    const hang: Endpoint = { methods: { work: () => (seen.push('dying'), new Promise(() => undefined)) } };
    await rpcServer(dying, target, [hang], { acknowledge }).start();
    await rpcClient(transport, { topic: 'calc' }).cast('work');
    await settled();
    await dying.close();
    const other = rpcServer(transport, { topic: 'calc', server: 'two' }, [
      { methods: { work: () => void seen.push('other') } },
    ]);
    await other.start();
    await settled();
    assert.deepEqual(seen, acknowledge === 'before' ? ['dying'] : ['dying', 'other']);
    await other.stop();
  });
}

test('accepted after: a copy that comes again while the first one runs does not run, and is accepted at the end', async () => {
  const world = makeWorld();
  await using sender = await world.join();
  const transport = await world.join();
  const finish: (() => void)[] = [];
  const work = () => new Promise<void>((resolve) => finish.push(resolve));
  const server = rpcServer(transport, target, [{ methods: { work } }], { acknowledge: 'after' });
  await server.start();
  await rpcClient(sender, { topic: 'calc' }).cast('work');
  await settled();
  world.broker.cut();
  await world.clock.advance(2_000);
  assert.equal(finish.length, 1, 'it runs once');
  finish[0]?.();
  await settled();
  await server.stop();
  // Whatever was not settled goes back with the connection.
  await transport.close();
  assert.equal((await sender.inspect({ queue: 'calc' })).messages, 0, 'the copy was accepted');
});

test('an answer whose queue is missing waits for it, without keeping others from being served', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const server = rpcServer(transport, target, [{ methods: { now: () => 'now' } }], { concurrency: 1 });
  await server.start();
  await publish(transport, request('now', 'a', { queue: 'reply_away' }));
  await world.clock.advance(1_000);
  assert.equal(await rpcClient(transport, { topic: 'calc' }).call('now'), 'now', 'the only slot is free');
  await transport.ensure({ kind: 'shared', source: { queue: 'reply_away' }, reachedBy: [], options: {} });
  await world.clock.advance(250);
  const answer = await transport.get({ queue: 'reply_away' });
  answer?.accept();
  assert.match(text(answer?.message.body ?? new Uint8Array()), /\\"result\\":\\"now\\"/);
  await server.stop();
});

test('an answer whose queue stays away is given up after a minute, and later ones to it at once', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const server = rpcServer(transport, target, [{ methods: { now: () => 'now' } }]);
  await server.start();
  await publish(transport, request('now', 'a', { queue: 'reply_gone' }));
  await world.clock.advance(60_000);
  await world.clock.advance(500);
  assert.equal(world.clock.timers, 0, 'given up');
  await publish(transport, request('now', 'b', { queue: 'reply_gone' }));
  await settled();
  assert.equal(world.clock.timers, 0, 'not even tried');
  await world.clock.advance(60_000);
  await publish(transport, request('now', 'c', { queue: 'reply_gone' }));
  await settled();
  assert.ok(world.clock.timers > 0, 'after another minute it is tried again');
  await server.stop();
});

test('beats come at half the interval while a method runs, and stop with it', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  let finish: () => void = () => undefined;
  const work = () => new Promise<void>((resolve) => (finish = resolve));
  const server = rpcServer(transport, target, [{ methods: { work } }]);
  await server.start();
  const inbox = { kind: 'shared', source: { queue: 'reply_x' }, reachedBy: [], options: {} } as const;
  await transport.ensure(inbox);
  const waiting = async () => (await transport.inspect(inbox.source)).messages;
  await publish(transport, request('work', 'a', { queue: 'reply_x', monitorMs: 4_000 }));
  await world.clock.advance(1_999);
  assert.equal(await waiting(), 0);
  await world.clock.advance(4_001);
  assert.equal(await waiting(), 3);
  const beat = await transport.get(inbox.source);
  beat?.accept();
  const payload = parseJson(
    String((parseJson(text(beat?.message.body ?? new Uint8Array())) as Record<string, unknown>)['oslo.message']),
  );
  assert.deepEqual(
    { ...(payload as object), _unique_id: '' },
    { result: null, failure: null, ending: false, _msg_id: 'm-a', _unique_id: '' },
  );
  finish();
  await settled();
  await world.clock.advance(60_000);
  assert.equal(await waiting(), 3, 'two beats and the answer');
  await publish(transport, request('unknown', 'b', { queue: 'reply_x', monitorMs: 4_000 }));
  await publish(transport, request('work', 'c', { queue: 'reply_x', monitorMs: 1_000 }));
  await world.clock.advance(60_000);
  assert.equal(await waiting(), 4, 'an unknown method answers once, below two seconds there are no beats');
  finish();
  await server.stop();
});

test('a beat that was on its way when the method ended is the last one', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  let finish: () => void = () => undefined;
  const work = () => new Promise<void>((resolve) => (finish = resolve));
  const server = rpcServer(transport, target, [{ methods: { work } }]);
  await server.start();
  const inbox = { kind: 'shared', source: { queue: 'reply_x' }, reachedBy: [], options: {} } as const;
  await transport.ensure(inbox);
  await publish(transport, request('work', 'a', { queue: 'reply_x', monitorMs: 4_000 }));
  await settled();
  world.broker.block(true);
  await world.clock.advance(2_000);
  finish();
  await settled();
  world.broker.block(false);
  await world.clock.advance(60_000);
  assert.equal((await transport.inspect(inbox.source)).messages, 2, 'one beat and the answer');
  await server.stop();
});

test('strange answers are survived: unknown ids, beats nobody asked for, a result before its ending', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const { id, call, answer } = await nextReplyAddress(transport);
  await answer(new Uint8Array([1, 2]));
  await answer(encodeEnvelope({ result: 1, failure: null, ending: true, _msg_id: 'unknown' }));
  await answer(encodeEnvelope({ result: null, failure: null, ending: false, _msg_id: id }));
  await answer(encodeBare({ result: 'early', failure: null, ending: false, _msg_id: id }));
  await answer(encodeEnvelope({ result: null, failure: null, ending: true, _msg_id: id }));
  assert.equal(await call, 'early');
});

test('a failure that is an object and no string is a remote error', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const reply = await nextReplyAddress(transport);
  const failure = { class: 'Odd', module: 'm', message: 'an object' };
  await reply.answer(encodeEnvelope({ result: null, failure, ending: true, _msg_id: reply.id }));
  await assert.rejects(
    reply.call,
    (error) => isMessagingError(error, 'REMOTE_ERROR') && error.details['class'] === 'Odd',
  );
});

test('a request has the properties of oslo’s and nothing but the remaining time in its headers', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const { message, call } = await nextReplyAddress(transport);
  assert.deepEqual(message.properties, { contentType: 'application/json', contentEncoding: 'utf-8', priority: 0 });
  assert.deepEqual(message.headers, { 'torcello-remaining-ms': 60_000 });
  const late = assert.rejects(call);
  await world.clock.advance(60_000);
  await late;
});

test('a call that nobody took in time is gone from the queue, a cast stays', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(calc);
  const client = rpcClient(transport, { topic: 'calc' }, { timeoutMs: 1_000 });
  const late = assert.rejects(client.call('x'), (error) => isMessagingError(error, 'TIMEOUT'));
  await client.cast('y');
  await settled();
  assert.equal((await transport.inspect(calc.source)).messages, 2);
  await world.clock.advance(1_000);
  await late;
  assert.equal((await transport.inspect(calc.source)).messages, 1);
});

test('without a sign of life a monitored call fails before its timeout', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure({
    kind: 'shared',
    source: { queue: 'calc' },
    reachedBy: [{ exchange: 'openstack', routingKey: 'calc' }],
    options: {},
  });
  const client = rpcClient(transport, { topic: 'calc' }, { callMonitorTimeoutMs: 5_000, timeoutMs: 600_000 });
  const call = assert.rejects(
    client.call('x'),
    (error) => isMessagingError(error, 'TIMEOUT') && error.details['limitMs'] === 5_000,
  );
  await settled();
  await world.clock.advance(5_000);
  await call;
});

test('a call whose caller gave up while it waited for a free slot does not run', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const finish: (() => void)[] = [];
  const work = () => new Promise<void>((resolve) => finish.push(resolve));
  const server = rpcServer(transport, target, [{ methods: { work } }], { concurrency: 1 });
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' });
  const first = client.call('work');
  await settled();
  // By its own name, so that it waits in the server and not in the broker.
  const second = assert.rejects(client.prepare({ server: 'one' }).call('work', {}, { timeoutMs: 100 }), (error) =>
    isMessagingError(error, 'TIMEOUT'),
  );
  await settled();
  await world.clock.advance(100);
  await second;
  finish[0]?.();
  await first;
  await settled();
  assert.equal(finish.length, 1);
  await server.stop();
});

test('a reply queue that vanished is opened again under its name', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const server = rpcServer(transport, target, [{ methods: { now: () => 'now' } }]);
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' });
  await client.call('now');
  const name = await transport.replies.address(AbortSignal.timeout(1_000));
  world.broker.cut();
  world.broker.delete(name);
  await world.clock.advance(1_000);
  assert.equal(await client.call('now'), 'now');
  assert.equal(await transport.replies.address(AbortSignal.timeout(1_000)), name);
  await server.stop();
});

test('a call expires in whole milliseconds, cut off and not rounded, as in oslo', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await transport.ensure(calc);
  const late = assert.rejects(rpcClient(transport, { topic: 'calc' }).call('x', {}, { timeoutMs: 12_345.6 }));
  await settled();
  const delivery = await transport.get(calc.source);
  assert.deepEqual(delivery?.message.headers, { 'torcello-remaining-ms': 12_345 });
  delivery?.accept();
  await world.clock.advance(12_346);
  await late;
});

test('the signal of a method is aborted when its caller waits no longer, whenever the method asks for it', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const early: string[] = [];
  let late: AbortSignal | undefined;
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const endpoint: Endpoint = {
    methods: {
      early: async (_args, { signal }) => {
        signal.addEventListener('abort', () => early.push(String((signal.reason as Error).message)), { once: true });
        await held;
      },
      late: async (_args, call) => {
        await held;
        late = call.signal;
      },
      quick: (_args, { signal }) => signal.addEventListener('abort', () => early.push('after its end')),
    },
  };
  const server = rpcServer(transport, target, [endpoint]);
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' }, { timeoutMs: 1_000 });
  await client.call('quick');
  const calls = [client.call('early'), client.call('late')].map((call) => call.catch((error: unknown) => error));
  await settled();
  assert.deepEqual(early, []);
  await world.clock.advance(1_000);
  for (const error of await Promise.all(calls)) assert.ok(isMessagingError(error, 'TIMEOUT'), String(error));
  await settled();
  assert.deepEqual(early, ['the caller waits no longer']);
  release();
  await settled();
  assert.equal(late?.aborted, true);
  await server.stop();
});
