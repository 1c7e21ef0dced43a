import assert from 'node:assert/strict';
import test from 'node:test';
import { isMessagingError, limits, rpcClient, rpcServer, withTraceparent, type Method } from '../src/index.js';
import { makeWorld, settled, type World } from './support/world.js';

const target = { topic: 'work', server: 'one' };

/** A server with these methods in one program, a client in another. */
async function serving(methods: Readonly<Record<string, Method>>, world: World = makeWorld()) {
  const [there, here] = [await world.join(), await world.join()];
  const server = rpcServer(there, target, [{ methods }]);
  await server.start();
  const stop = async (): Promise<void> => {
    await server.stop();
    await Promise.all([there.close(), here.close()]);
  };
  return { world, there, here, client: rpcClient(here, { topic: 'work' }), [Symbol.asyncDispose]: stop };
}

test('progress is read while the call runs, then its result is there', async () => {
  await using scene = await serving({
    count: async ({ to }, { report }) => {
      for (let n = 1; n <= Number(to); n += 1) await report({ n });
      return 'done';
    },
  });
  const call = scene.client.open<string, { n: number }>('count', { to: 50 });
  const seen: number[] = [];
  for await (const { n } of call) seen.push(n);
  assert.deepEqual(
    seen,
    Array.from({ length: 50 }, (_, at) => at + 1),
  );
  assert.equal(await call, 'done');
});

test('a server sends no more than its caller reads', async () => {
  let made = 0;
  await using scene = await serving({
    async *pour() {
      for (; made < 100; made += 1) yield made;
    },
  });
  const call = scene.client.open<null, number>('pour');
  const reader = call[Symbol.asyncIterator]();
  await reader.next();
  for (let turn = 0; turn < 20; turn += 1) await settled();
  assert.ok(made <= limits.progressWindow + 1, `${made} pieces were made for one that was read`);
  const rest: number[] = [];
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) rest.push(next.value);
  assert.deepEqual([rest.length, rest.at(-1), await call], [99, 99, null]);
});

test('a streamed answer is an array for a caller that reads no progress, and what is too long is refused', async () => {
  await using scene = await serving({
    async *letters() {
      yield* ['a', 'b'];
      return 'ignored';
    },
    async *endless() {
      for (;;) yield 0;
    },
  });
  assert.deepEqual(await scene.client.call('letters'), ['a', 'b']);
  const tooLong = (error: unknown): boolean =>
    isMessagingError(error, 'REMOTE_ERROR') && error.details['code'] === 'STREAM_TOO_LONG';
  await assert.rejects(scene.client.call('endless'), tooLong);
});

test('awaiting without reading gives the progress up, and the call is not held up', async () => {
  await using scene = await serving({
    count: async (_, { report }) => {
      for (let n = 0; n < 200; n += 1) await report(n);
      return 'done';
    },
  });
  assert.equal(await scene.client.open('count'), 'done');
  const left = scene.client.open<string, number>('count');
  for await (const n of left) if (n === 3) break;
  assert.equal(await left, 'done', 'leaving the loop does not end the call');
});

test('cancel reaches the method elsewhere as its signal, and its server sends no answer', async () => {
  const reasons: unknown[] = [];
  await using scene = await serving({
    hang: (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason);
          reject(new Error('given up'));
        });
      }),
  });
  const call = scene.client.open('hang');
  await settled();
  call.cancel('no longer needed');
  await assert.rejects(Promise.resolve(call), (error) => isMessagingError(error, 'ABORTED'));
  await settled();
  assert.equal((reasons[0] as Error | undefined)?.message, 'the caller cancelled the call');
  {
    using _scoped = scene.client.open('hang');
    await settled();
  }
  await settled();
  assert.equal(reasons.length, 2, 'leaving the scope cancels too');
});

test('a call that is cancelled before a server took it up does not run when one does', async () => {
  let running = 0;
  const hang: Method = (_, { signal }) =>
    new Promise((_resolve, reject) => {
      running += 1;
      signal.addEventListener('abort', () => reject(new Error('given up')));
    });
  const world = makeWorld();
  await using here = await world.join();
  await using there = await world.join();
  const first = rpcServer(there, target, [{ methods: { hang } }]);
  await first.start();
  await first.stop();
  const call = rpcClient(here, { topic: 'work' }).open('hang');
  const ended = assert.rejects(Promise.resolve(call), (error) => isMessagingError(error, 'ABORTED'));
  await settled();
  call.cancel();
  await ended;
  const second = rpcServer(there, target, [{ methods: { hang } }]);
  await second.start();
  for (let turn = 0; turn < 5; turn += 1) await settled();
  assert.equal(running, 0);
  await second.stop();
  await world.clock.advance(limits.cancelMemoryMs);
  assert.equal(world.clock.timers, 0, 'nothing remembers the call');
});

test('the failure of a call comes after its progress, to the reader and to whoever awaits', async () => {
  await using scene = await serving({
    fail: async (_, { report }) => {
      await report(1);
      throw new Error('broken');
    },
  });
  const call = scene.client.open<never, number>('fail');
  const seen: number[] = [];
  const read = async (): Promise<void> => {
    for await (const n of call) seen.push(n);
  };
  const isRemote = (error: unknown): boolean => isMessagingError(error, 'REMOTE_ERROR');
  await assert.rejects(read(), isRemote);
  assert.deepEqual(seen, [1]);
  await assert.rejects(Promise.resolve(call), isRemote);
});

test('a server whose caller asked for nothing sends nothing beside the answer', async () => {
  await using scene = await serving({
    count: async (_, { report }) => {
      await report(1);
      return 'done';
    },
  });
  const inbox = { kind: 'shared', source: { queue: 'reply_python' }, reachedBy: [], options: {} } as const;
  await scene.here.ensure(inbox);
  const wired = scene.here.wire.request({
    method: 'count',
    args: {},
    namespace: undefined,
    version: undefined,
    context: {},
    uniqueId: 'u',
    reply: { messageId: 'm', queue: 'reply_python', monitorMs: undefined, wantsAcceptance: false },
  });
  await scene.here.publish({ exchange: 'openstack', routingKey: 'work' }, { ...wired, ifNobody: 'fail' });
  await settled();
  assert.equal((await scene.here.inspect(inbox.source)).messages, 1);
});

test('progress survives the loss of both connections, in order and each piece once', async () => {
  const world = makeWorld();
  await using scene = await serving(
    {
      count: async (_, { report }) => {
        for (let n = 0; n < 10; n += 1) await report(n);
        return 'done';
      },
    },
    world,
  );
  const call = scene.client.open<string, number>('count');
  const seen: number[] = [];
  const reading = (async () => {
    for await (const n of call) {
      seen.push(n);
      if (n === 2) world.broker.cut();
    }
  })();
  await world.clock.advance(5_000);
  await reading;
  assert.deepEqual(
    seen,
    Array.from({ length: 10 }, (_, at) => at),
  );
  assert.equal(await call, 'done');
});

test('a method’s own calls have no more time than its caller waits, and expired work never starts', async () => {
  const world = makeWorld();
  await using here = await world.join();
  let innerRemainingMs: number | undefined;
  let started = 0;
  const inner = rpcServer(await world.join(), { topic: 'inner', server: 'one' }, [
    {
      methods: {
        look: (_, call) => (innerRemainingMs = call.remainingMs()),
        start: () => void (started += 1),
      },
    },
  ]);
  const between = await world.join();
  const toInner = rpcClient(between, { topic: 'inner' });
  let lateError: unknown;
  const outer = rpcServer(between, target, [
    {
      methods: {
        look: () => toInner.call('look'),
        late: async (_, { signal }) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          await toInner.call('start').catch((error: unknown) => (lateError = error));
        },
      },
    },
  ]);
  await inner.start();
  await outer.start();
  const client = rpcClient(here, { topic: 'work' });
  await client.call('look', {}, { timeoutMs: 5_000 });
  assert.equal(innerRemainingMs, 5_000, 'and not the default of a minute');
  const late = assert.rejects(client.call('late', {}, { timeoutMs: 1_000 }));
  await world.clock.advance(1_000);
  await late;
  assert.ok(isMessagingError(lateError, 'TIMEOUT') && lateError.details['mayArrive'] === false);
  assert.equal(started, 0);
  await outer.stop();
  await inner.stop();
});

test('work that a method leaves behind is not bound by the caller’s time', async () => {
  const world = makeWorld();
  let go: () => void = () => undefined;
  let after: unknown;
  await using scene = await serving({ pong: () => 'pong' }, world);
  const own = rpcClient(scene.there, { topic: 'work' });
  const starter = rpcServer(scene.there, { topic: 'starter', server: 'one' }, [
    {
      methods: {
        start: () => {
          void new Promise<void>((resolve) => (go = resolve))
            .then(() => own.call('pong'))
            .then((answer) => (after = answer));
        },
      },
    },
  ]);
  await starter.start();
  await rpcClient(scene.here, { topic: 'starter' }).call('start', {}, { timeoutMs: 1_000 });
  await world.clock.advance(2_000);
  go();
  await settled();
  await settled();
  assert.equal(after, 'pong');
  await starter.stop();
});

test('a traceparent goes from end to end: the same trace, a span of its own for each hop', async () => {
  const world = makeWorld();
  const seen: (string | undefined)[] = [];
  await using inner = await serving({ look: (_, { traceparent }) => void seen.push(traceparent) }, world);
  const outer = rpcServer(inner.here, { topic: 'outer', server: 'one' }, [
    {
      methods: {
        look: async (_, { traceparent }) => {
          seen.push(traceparent);
          await inner.client.call('look');
        },
      },
    },
  ]);
  await outer.start();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await withTraceparent(traceparent, () => rpcClient(inner.there, { topic: 'outer' }).call('look'));
  const spans = [traceparent, ...seen].map((text) => text?.split('-') ?? []);
  assert.deepEqual(
    spans.map(([, trace]) => trace),
    Array.from({ length: 3 }, () => '0af7651916cd43dd8448eb211c80319c'),
  );
  assert.equal(new Set(spans.map(([, , span]) => span)).size, 3);
  await rpcClient(inner.there, { topic: 'outer' }).call('look');
  assert.equal(seen.at(-1), undefined, 'without a trace there is none');
  assert.throws(() => withTraceparent('nonsense', () => undefined), TypeError);
  await outer.stop();
});
