import type { Endpoint, Method } from '../../rpc/endpoint.js';
import { rpcClient } from '../../rpc/client.js';
import { RemoteFailure } from '../../rpc/failure.js';
import { rpcServer, type RpcServerOptions } from '../../rpc/server.js';
import type { Transport } from '../../transport/transport.js';
import { Collected, expect, expectCode, expectEqual, within } from '../expect.js';
import type { Harness } from '../harness.js';
import type { Sentence } from '../sentence.js';

/** Calls and casts. */
export const rpc: readonly Sentence[] = [
  {
    says: 'a call is answered with the result, and its context reaches the method',
    holds: async (harness) => {
      const { transport, topic } = await serving(harness, [
        { methods: { echo: (args, { context, isCast }) => ({ args, context, isCast }) } },
      ]);
      const args = { text: 'ž☃', list: [1, null, { deep: true }], none: null };
      const client = rpcClient(transport, { topic }, { context: { user: 'ann' } });
      expectEqual(await client.call('echo', args), { args, context: { user: 'ann' }, isCast: false }, 'the answer');
    },
  },
  {
    says: 'many calls at once get each its own answer',
    holds: async (harness) => {
      const { transport, topic } = await serving(harness, [{ methods: { twice: ({ n }) => Number(n) * 2 } }]);
      const client = rpcClient(transport, { topic });
      const numbers = Array.from({ length: 200 }, (_, at) => at);
      const answers = await within(Promise.all(numbers.map((n) => client.call<number>('twice', { n }))), 'all answers');
      expectEqual(
        answers,
        numbers.map((n) => n * 2),
        'the answers',
      );
    },
  },
  {
    says: 'servers of a topic share its calls, and one of them can be named',
    holds: async (harness) => {
      const name = (server: string): Endpoint => ({ methods: { who: () => server } });
      const { transport, topic } = await serving(harness, [name('one')]);
      await serve(harness, transport, { topic, server: 'two', endpoints: [name('two')] });
      const client = rpcClient(transport, { topic });
      const answers = new Set(await Promise.all(Array.from({ length: 40 }, () => client.call('who'))));
      expectEqual([answers.has('one'), answers.has('two'), answers.size], [true, true, 2], 'who answered');
      expectEqual(await client.prepare({ server: 'two' }).call('who'), 'two', 'the named server');
    },
  },
  {
    says: 'a cast runs its method once, a fanout cast once on every server',
    needs: ['fanout'],
    holds: async (harness) => {
      const seen = new Collected<string>();
      const note = (server: string): Endpoint => ({
        methods: { note: ({ id }) => seen.add(`${server} ${String(id)}`) },
      });
      const { transport, topic } = await serving(harness, [note('one')]);
      await serve(harness, transport, { topic, server: 'two', endpoints: [note('two')] });
      const client = rpcClient(transport, { topic });
      await client.prepare({ fanout: true }).cast('note', { id: 1 });
      expectEqual((await seen.atLeast(2, 'casts')).toSorted(), ['one 1', 'two 1'], 'the fanout cast');
      await client.prepare({ server: 'one' }).cast('note', { id: 2 });
      expectEqual((await seen.atLeast(3, 'casts'))[2], 'one 2', 'the cast');
    },
  },
  {
    says: 'a call to a topic that nobody ever served is UNROUTABLE at once',
    needs: ['returns'],
    holds: async (harness) => {
      const client = rpcClient(await harness.connect(), { topic: harness.name('topic') }, { timeoutMs: 3_600_000 });
      await expectCode(client.call('x'), 'UNROUTABLE');
      await expectCode(client.cast('x', {}, { atLeastOnce: true }), 'UNROUTABLE');
      await client.cast('x');
    },
  },
  {
    says: 'the failure of a method reaches the caller with class, module, message, code and data',
    holds: async (harness) => {
      const fail = (): never => {
        throw new RemoteFailure({
          class: 'Overdrawn',
          module: 'bank',
          message: 'no money',
          code: 'OVERDRAWN',
          data: { by: 3 },
        });
      };
      const { transport, topic } = await serving(harness, [{ methods: { fail } }]);
      const { details } = await expectCode(rpcClient(transport, { topic }).call('fail'), 'REMOTE_ERROR');
      for (const [name, value] of [
        ['class', 'Overdrawn'],
        ['module', 'bank'],
        ['message', 'no money'],
        ['code', 'OVERDRAWN'],
      ] as const) {
        expectEqual(details[name], value, name);
      }
      expectEqual(details['data'], { by: 3 }, 'data');
    },
  },
  {
    says: 'unknown and private methods are NO_SUCH_METHOD',
    holds: async (harness) => {
      const { transport, topic } = await serving(harness, [{ methods: { known: () => 1, _private: () => 1 } }]);
      const client = rpcClient(transport, { topic });
      for (const method of ['unknown', '_private', 'constructor'])
        await expectCode(client.call(method), 'NO_SUCH_METHOD');
    },
  },
  {
    says: 'namespace and version choose the endpoint, and what nobody offers is UNSUPPORTED_VERSION',
    holds: async (harness) => {
      const { transport, topic } = await serving(harness, [
        { methods: { which: () => 'plain 1.0' } },
        { target: { version: '2.3' }, methods: { which: () => 'plain 2.3' } },
        { target: { namespace: 'n', version: '1.1', legacyNamespaces: ['old'] }, methods: { which: () => 'n 1.1' } },
      ]);
      const client = rpcClient(transport, { topic });
      expectEqual(await client.call('which'), 'plain 1.0', 'no version');
      expectEqual(await client.prepare({ version: '2.1' }).call('which'), 'plain 2.3', 'version 2.1');
      expectEqual(await client.prepare({ namespace: 'n' }).call('which'), 'n 1.1', 'namespace n');
      expectEqual(await client.prepare({ namespace: 'old', version: '1.1' }).call('which'), 'n 1.1', 'a legacy name');
      for (const wanted of [
        { version: '2.4' },
        { version: '3.0' },
        { namespace: 'n', version: '1.2' },
        { namespace: 'x' },
      ]) {
        await expectCode(client.prepare(wanted).call('which'), 'UNSUPPORTED_VERSION');
      }
      await expectCode(client.prepare({ version: '2.1', versionCap: '2.0' }).call('which'), 'VERSION_CAPPED');
    },
  },
  {
    says: 'a slow server is a TIMEOUT, its late answer is dropped, and the next call works',
    holds: async (harness) => {
      const started = new Collected<() => void>();
      const wait = (): Promise<string> => new Promise((resolve) => started.add(() => resolve('late')));
      const { transport, topic } = await serving(harness, [{ methods: { wait, now: () => 'now' } }]);
      const client = rpcClient(transport, { topic });
      const { details } = await expectCode(client.call('wait', {}, { timeoutMs: 1_000 }), 'TIMEOUT');
      expectEqual(details['stage'], 'waiting', 'the stage');
      (await started.atLeast(1, 'call'))[0]?.();
      expectEqual(await client.call('now'), 'now', 'the next answer');
    },
  },
  {
    says: 'the time that a caller waits reaches the method, and its signal ends with it',
    holds: async (harness) => {
      const ended = new Collected<{ readonly atStartMs: number; readonly finish: () => void }>();
      const wait: Method = (_, { signal, remainingMs }) => {
        const atStartMs = remainingMs() ?? Infinity;
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => ended.add({ atStartMs, finish: () => resolve('too late') }));
        });
      };
      const { transport, topic } = await serving(harness, [{ methods: { wait } }]);
      await expectCode(rpcClient(transport, { topic }, { timeoutMs: 1_000 }).call('wait'), 'TIMEOUT');
      const [end] = await ended.atLeast(1, 'abort');
      end?.finish();
      const atStartMs = end?.atStartMs ?? Infinity;
      expect(atStartMs > 0 && atStartMs <= 1_000, `the method had at most a second: ${atStartMs}`);
    },
  },
  {
    says: 'a call that was sent while no server ran is answered by the one that starts in time',
    holds: async (harness) => {
      const { transport, topic, stop } = await serving(harness, [{ methods: { who: () => 'first' } }]);
      await stop();
      const call = rpcClient(transport, { topic }).call('who');
      await serve(harness, transport, { topic, server: 'two', endpoints: [{ methods: { who: () => 'second' } }] });
      expectEqual(await within(call, 'the answer'), 'second', 'who answered');
    },
  },
  {
    says: 'a stopping server answers what it runs and takes nothing new',
    holds: async (harness) => {
      const started = new Collected<() => void>();
      const wait = (): Promise<string> => new Promise((resolve) => started.add(() => resolve('done')));
      const { transport, topic, stop } = await serving(harness, [{ methods: { wait } }], { concurrency: 1 });
      const client = rpcClient(transport, { topic });
      const running = client.call('wait');
      const [finish] = await started.atLeast(1, 'call');
      const stopped = stop();
      finish?.();
      expectEqual(await within(running, 'the answer'), 'done', 'the running call');
      await within(stopped, 'the stop');
      await expectCode(client.call('wait', {}, { timeoutMs: 200 }), 'TIMEOUT');
      expectEqual(started.items.length, 1, 'calls that ran');
    },
  },
  {
    says: 'signs of life keep a slow call alive, and their absence ends it',
    holds: async (harness) => {
      const started = new Collected<() => void>();
      const wait = (): Promise<string> => new Promise((resolve) => started.add(() => resolve('slow')));
      const { transport, topic, stop } = await serving(harness, [{ methods: { wait } }]);
      const client = rpcClient(transport, { topic });
      const alive = client.prepare({ callMonitorTimeoutMs: 3_000 }).call('wait', {}, { timeoutMs: 60_000 });
      // Nobody beats for less than two seconds, so this one hears nothing.
      await expectCode(client.prepare({ callMonitorTimeoutMs: 1_000 }).call('wait'), 'TIMEOUT');
      await expectCode(client.call('wait', {}, { timeoutMs: 2_800 }), 'TIMEOUT');
      for (const finish of await started.atLeast(3, 'calls')) finish();
      expectEqual(await within(alive, 'the answer'), 'slow', 'the answer after more than three seconds');
      await stop();
    },
  },
  {
    says: 'where the servers are ours, a call that nobody takes up is NO_SERVER',
    holds: async (harness) => {
      const { transport, topic, stop } = await serving(harness, [{ methods: { who: () => 'me' } }]);
      const client = rpcClient(transport, { topic }, { acceptedWithinMs: 1_500 });
      expectEqual(await client.call('who'), 'me', 'the answer');
      await stop();
      await expectCode(client.call('who'), 'NO_SERVER');
    },
  },
];

interface Serving {
  readonly transport: Transport;
  readonly topic: string;
  readonly stop: () => Promise<void>;
}

/** A transport and a server named `one` on a topic of its own; closing the transport ends it. */
async function serving(
  harness: Harness,
  endpoints: readonly Endpoint[],
  options: RpcServerOptions = {},
): Promise<Serving> {
  const transport = await harness.connect();
  const topic = harness.name('topic');
  const stop = await serve(harness, transport, { topic, server: 'one', endpoints, options });
  return { transport, topic, stop };
}

async function serve(
  harness: Harness,
  transport: Transport,
  setting: {
    readonly topic: string;
    readonly server: string;
    readonly endpoints: readonly Endpoint[];
    readonly options?: RpcServerOptions;
  },
): Promise<() => Promise<void>> {
  const { topic, server: name, endpoints, options = {} } = setting;
  harness.made(`${topic}.${name}`);
  const server = rpcServer(transport, { topic, server: name }, endpoints, { stopGraceMs: 0, ...options });
  await server.start();
  harness.atEnd(() => server.stop());
  return () => server.stop();
}
