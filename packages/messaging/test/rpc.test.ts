import assert from 'node:assert/strict';
import test from 'node:test';
import {
  isMessagingError,
  MessagingError,
  RemoteFailure,
  rpcClient,
  rpcServer,
  type Endpoint,
  type ErrorCode,
} from '../src/index.js';
import { makeWorld, settled } from './support/world.js';

const target = { topic: 'calc', server: 'one' };
const calc: Endpoint = {
  methods: {
    add: ({ a, b }) => Number(a) + Number(b),
    echo: (args, call) => ({ args, context: call.context, isCast: call.isCast, remainingMs: call.remainingMs() }),
    fail: () => {
      throw new RemoteFailure({
        class: 'Overdrawn',
        module: 'bank',
        message: 'no money',
        code: 'OVERDRAWN',
        data: { by: 3 },
      });
    },
    typeError: () => {
      throw new TypeError('wrong');
    },
    nothing: () => undefined,
    _private: () => 1,
  },
};

const rejectsWith = (code: ErrorCode) => (error: unknown) => isMessagingError(error, code);

test('a call answers with the result of the method', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const server = rpcServer(transport, target, [calc]);
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' });
  assert.equal(await client.call('add', { a: 1, b: 2 }), 3);
  assert.equal(await client.call('nothing'), null);
  assert.equal(await client.prepare({ server: 'one' }).call('add', { a: 2, b: 2 }), 4);
  await server.stop();
  assert.equal(world.clock.timers, 0, 'no timer is left');
});

test('context, arguments and remaining time reach the method', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const server = rpcServer(transport, target, [calc]);
  await server.start();
  const client = rpcClient(
    transport,
    { topic: 'calc' },
    { context: { user: 'ann', client_timeout: 9 }, timeoutMs: 5_000 },
  );
  const args = { big: 2n ** 70n, deep: [{ x: null }], text: '☃ é' };
  const seen = await client.call('echo', args, { context: { request: 'r1' } });
  assert.deepEqual(seen, { args, context: { user: 'ann', request: 'r1' }, isCast: false, remainingMs: 5_000 });
  await server.stop();
});

test('failures travel with class, module, message, code and data', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const server = rpcServer(transport, target, [calc]);
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' });
  const error = await client.call('fail').catch((reason: unknown) => reason);
  assert.ok(error instanceof MessagingError);
  assert.equal(error.code, 'REMOTE_ERROR');
  assert.deepEqual(
    { ...error.details, traceback: undefined },
    {
      class: 'Overdrawn',
      module: 'bank',
      message: 'no money',
      args: ['no money'],
      code: 'OVERDRAWN',
      data: { by: 3 },
      traceback: undefined,
    },
  );
  await assert.rejects(
    client.call('typeError'),
    (reason) => isMessagingError(reason) && reason.details['module'] === 'builtins',
  );
  await assert.rejects(client.call('absent'), rejectsWith('NO_SUCH_METHOD'));
  await assert.rejects(client.call('_private'), rejectsWith('NO_SUCH_METHOD'));
  await assert.rejects(client.call('toString'), rejectsWith('NO_SUCH_METHOD'));
  await assert.rejects(client.prepare({ version: '1.1' }).call('add'), rejectsWith('UNSUPPORTED_VERSION'));
  await assert.rejects(client.prepare({ namespace: 'n' }).call('add'), rejectsWith('UNSUPPORTED_VERSION'));
  await server.stop();
});

test('a call to a topic that nobody ever served fails at once', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  await assert.rejects(rpcClient(transport, { topic: 'void' }).call('x'), rejectsWith('UNROUTABLE'));
  await rpcClient(transport, { topic: 'void' }).cast('x');
  await rpcClient(transport, { topic: 'void', fanout: true }).cast('x');
  await assert.rejects(
    rpcClient(transport, { topic: 'void' }).cast('x', {}, { atLeastOnce: true }),
    rejectsWith('UNROUTABLE'),
  );
});

test('a call times out, its late answer is dropped, and the next call works', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const release: (() => void)[] = [];
  const slow: Endpoint = {
    methods: { wait: () => new Promise<string>((resolve) => release.push(() => resolve('late'))), now: () => 'now' },
  };
  const server = rpcServer(transport, target, [slow]);
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' }, { timeoutMs: 1_000 });
  const late = assert.rejects(
    client.call('wait'),
    (error) => isMessagingError(error, 'TIMEOUT') && error.details['stage'] === 'waiting',
  );
  await world.clock.advance(1_000);
  await late;
  release[0]?.();
  assert.equal(await client.call('now'), 'now');
  await server.stop();
});

test('the timeout holds while there is no connection', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  world.broker.refuse(new MessagingError('CONNECT_FAILED', 'down'));
  world.broker.cut();
  await settled();
  assert.equal(transport.state, 'connecting');
  const call = assert.rejects(
    rpcClient(transport, { topic: 'calc' }, { timeoutMs: 700 }).call('x'),
    (error) => isMessagingError(error, 'TIMEOUT') && error.details['stage'] === 'connecting',
  );
  await world.clock.advance(700);
  await call;
});

test('a call in flight survives the loss of both connections', async () => {
  const world = makeWorld();
  await using near = await world.join();
  await using far = await world.join();
  let finish: (result: string) => void = () => undefined;
  const server = rpcServer(far, target, [{ methods: { wait: () => new Promise((resolve) => (finish = resolve)) } }]);
  await server.start();
  const call = rpcClient(near, { topic: 'calc' }).call('wait');
  await settled();
  world.broker.cut();
  await world.clock.advance(1_000);
  assert.equal(near.state, 'connected');
  finish('done');
  assert.equal(await call, 'done');
  await server.stop();
});

test('a call whose confirm was lost is sent again and runs once', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  let runs = 0;
  const server = rpcServer(transport, target, [{ methods: { count: () => ++runs } }]);
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' });
  await client.call('count');
  world.broker.swallowConfirms(1);
  const call = client.call('count');
  await world.clock.advance(1_000);
  assert.equal(await call, 2);
  await settled();
  assert.equal(runs, 2);
  await server.stop();
});

test('an aborted call rejects with ABORTED, a closed client with CLOSED', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const server = rpcServer(transport, target, [{ methods: { wait: () => new Promise(() => undefined) } }], {
    stopGraceMs: 0,
  });
  await server.start();
  const controller = new AbortController();
  const client = rpcClient(transport, { topic: 'calc' });
  const aborted = assert.rejects(client.call('wait', {}, { signal: controller.signal }), rejectsWith('ABORTED'));
  const closed = assert.rejects(client.prepare({}).call('wait'), rejectsWith('CLOSED'));
  await settled();
  controller.abort();
  client.close();
  await aborted;
  await closed;
  await assert.rejects(client.call('wait'), rejectsWith('CLOSED'));
});

test('a fanout cast reaches every server, a cast to the topic one of them', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const seen: string[] = [];
  const servers = ['one', 'two', 'three'].map((name) =>
    rpcServer(transport, { topic: 'calc', server: name }, [
      { methods: { note: ({ id }) => void seen.push(`${name}:${String(id)}`) } },
    ]),
  );
  for (const server of servers) await server.start();
  const client = rpcClient(transport, { topic: 'calc' });
  await client.prepare({ fanout: true }).cast('note', { id: 1 });
  await settled();
  assert.deepEqual(seen.toSorted(), ['one:1', 'three:1', 'two:1']);
  await client.cast('note', { id: 2 });
  await settled();
  assert.equal(seen.length, 4);
  await assert.rejects(client.prepare({ fanout: true }).call('note'), rejectsWith('INVALID_TARGET'));
  for (const server of servers) await server.stop();
});

test('stop lets the running method answer and gives waiting requests back', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const finish: (() => void)[] = [];
  const methods = {
    wait: ({ id }: Readonly<Record<string, unknown>>) => new Promise((resolve) => finish.push(() => resolve(id))),
  };
  const server = rpcServer(transport, target, [{ methods }], { concurrency: 1 });
  await server.start();
  const client = rpcClient(transport, { topic: 'calc' });
  const first = client.call('wait', { id: 1 });
  await settled();
  const second = client.call('wait', { id: 2 });
  await settled();
  assert.equal(finish.length, 1);
  const stopped = server.stop();
  finish[0]?.();
  await stopped;
  assert.equal(await first, 1);
  assert.equal((await transport.inspect({ queue: 'calc' })).messages, 1, 'the second waits for another server');
  const other = rpcServer(transport, { topic: 'calc', server: 'two' }, [{ methods: { wait: ({ id }) => id } }]);
  await other.start();
  assert.equal(await second, 2);
  await other.stop();
});
