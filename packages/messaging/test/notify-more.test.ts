import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import test from 'node:test';
import {
  connect,
  diagnosticsChannels,
  memoryDriver,
  notificationBatchListener,
  notificationListener,
  notifier,
  priorities,
  routedNotifier,
  rpcClient,
  rpcServer,
  withTraceparent,
  type Notifier,
} from '../src/index.js';
import { MemoryBroker } from '../src/memory/broker.js';
import { makeWorld, settled } from './support/world.js';

test('batches of 100, 100 and 5, each accepted after its handler', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const sizes: number[] = [];
  const listener = notificationBatchListener(
    transport,
    [{ topic: 'n' }],
    [{ info: (all) => void sizes.push(all.length) }],
  );
  await listener.start();
  const { info } = notifier(transport, { publisherId: 'p', topics: ['n'] });
  await Promise.all(Array.from({ length: 205 }, (_, at) => info(`e${at}`, at)));
  await settled();
  await settled();
  assert.deepEqual(sizes, [100, 100]);
  await world.clock.advance(1_000);
  assert.deepEqual(sizes, [100, 100, 5]);
  await listener.stop();
  assert.equal((await transport.inspect({ queue: 'n.info' })).messages, 0);
});

test('a batch is split by priority; a part that fails is given back where that is allowed', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const seen: string[] = [];
  let tries = 0;
  const listener = notificationBatchListener(
    transport,
    [{ topic: 'n' }],
    [
      {
        info: (all) => void seen.push(...all.map(({ eventType }) => eventType)),
        error: (all) => {
          tries += 1;
          if (tries === 1) throw new Error('not now');
          seen.push(...all.map(({ eventType }) => `error ${eventType}`));
        },
      },
    ],
    { allowRequeue: true, batchWaitMs: 10 },
  );
  await listener.start();
  const notify = notifier(transport, { publisherId: 'p', topics: ['n'] });
  await notify.info('a', 1);
  await notify.error('b', 2);
  await notify.info('c', 3);
  await world.clock.advance(10);
  assert.deepEqual([seen, tries], [['a', 'c'], 1]);
  await world.clock.advance(10);
  assert.deepEqual([seen, tries], [['a', 'c', 'error b'], 2]);
  await listener.stop();
});

test('routes by globs of event type and priority, each notifier once', async () => {
  const heard: string[] = [];
  const named = (name: string): Notifier =>
    Object.fromEntries(
      priorities.map((priority) => [
        priority,
        async (event: string) => void heard.push(`${name} ${priority} ${event}`),
      ]),
    ) as unknown as Notifier;
  const notify = routedNotifier(
    { messaging: named('messaging'), log: named('log') },
    {
      one: { messaging: { accepted_events: ['compute.*'], accepted_priorities: ['error', 'crit*'] }, log: {} },
      two: { messaging: { accepted_events: ['audit.??'] }, log: { accepted_events: ['x[!y]z'] } },
    },
  );
  await notify.info('compute.start', {});
  await notify.error('compute.start', {});
  await notify.info('audit.ab', {});
  await notify.critical('volume.x', {});
  assert.deepEqual(heard.toSorted(), [
    'log critical volume.x',
    'log error compute.start',
    'log info audit.ab',
    'log info compute.start',
    'messaging error compute.start',
    'messaging info audit.ab',
  ]);
  assert.throws(() => routedNotifier({}, { one: { absent: {} } }), TypeError);
});

test('a notification carries the trace of whoever sent it on to what its handler does', async () => {
  const world = makeWorld();
  await using transport = await world.join();
  const traces: (string | undefined)[] = [];
  const server = rpcServer(transport, { topic: 't', server: 's' }, [
    { methods: { look: (_, { traceparent }) => void traces.push(traceparent?.split('-')[1]) } },
  ]);
  await server.start();
  const listener = notificationListener(
    transport,
    [{ topic: 'n' }],
    [
      {
        info: async ({ traceparent }) => {
          traces.push(traceparent?.split('-')[1]);
          await rpcClient(transport, { topic: 't' }).call('look');
        },
      },
    ],
  );
  await listener.start();
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const notify = notifier(transport, { publisherId: 'p', topics: ['n'] });
  await withTraceparent(`00-${trace}-b7ad6b7169203331-01`, () => notify.info('e', {}));
  for (let turn = 0; turn < 5; turn += 1) await settled();
  assert.deepEqual(traces, [trace, trace]);
  await listener.stop();
  await server.stop();
});

test('a body is written compressed where the transport says so, and read by everybody', async () => {
  const broker = new MemoryBroker(makeWorld().clock);
  const drivers = [memoryDriver({ broker })];
  await using packing = await connect('memory:', { drivers, compression: 'gzip' });
  await using plain = await connect('memory:', { drivers });
  const server = rpcServer(plain, { topic: 't', server: 's' }, [{ methods: { echo: ({ text }) => text } }]);
  await server.start();
  const text = 'ž'.repeat(1_000);
  assert.equal(await rpcClient(packing, { topic: 't' }).call('echo', { text }), text);
  const { headers, body } = packing.wire.reply({
    messageId: 'm',
    result: text,
    failure: undefined,
    isEnding: true,
    isAccepted: false,
    uniqueId: 'u',
  });
  assert.deepEqual([headers, body[0]], [{ compression: 'application/x-gzip' }, 0x78]);
  await server.stop();
});

test('calls, served methods, notifications and states are told on diagnostics_channel', async () => {
  const told: string[] = [];
  const listeners = Object.values(diagnosticsChannels).map((name) => {
    const listen = (event: unknown): void => {
      const { phase, method, error, outcome, state, hasFailed } = event as Readonly<
        Record<string, string | undefined | boolean>
      >;
      const what = [phase, method, outcome, state].filter((part) => typeof part === 'string').join(' ');
      told.push(`${name.split('.').at(-1)} ${what}${error === undefined && hasFailed !== true ? '' : ' failed'}`);
    };
    subscribe(name, listen);
    return () => unsubscribe(name, listen);
  });
  const world = makeWorld();
  const transport = await world.join();
  const server = rpcServer(transport, { topic: 't', server: 's' }, [{ methods: { ok: () => 1 } }]);
  await server.start();
  const client = rpcClient(transport, { topic: 't' });
  await client.call('ok');
  await assert.rejects(client.call('absent'));
  const listener = notificationListener(transport, [{ topic: 'n' }], [{ info: () => undefined }]);
  await listener.start();
  await notifier(transport, { publisherId: 'p', topics: ['n'] }).info('e', {});
  await settled();
  await listener.stop();
  await server.stop();
  await transport.close();
  for (const end of listeners) end();
  assert.deepEqual(told, [
    'state connected',
    'call start ok',
    'served ok',
    'call end ok',
    'call start absent',
    'served absent failed',
    'call end absent failed',
    'notified handled',
    'state closed',
  ]);
});
