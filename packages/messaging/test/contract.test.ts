import assert from 'node:assert/strict';
import test from 'node:test';
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import * as v from 'valibot';
import { z } from 'zod';
import {
  contractClient,
  contractListenerEndpoint,
  contractNotifier,
  contractServer,
  defineContract,
  describeContract,
  diffContracts,
  isContractError,
  isMessagingError,
  notificationListener,
  rpcClient,
  wrapSchema,
  type ContractHandlers,
  type StandardSchema,
} from '../src/index.js';
import { makeWorld, settled } from './support/world.js';

const withZod = defineContract({
  topic: 'calc',
  version: '1.1',
  methods: {
    add: { args: z.object({ a: z.number(), b: z.number().default(1) }), result: z.number() },
    when: { result: z.string().transform((text) => new Date(text)) },
    draw: {
      args: z.object({ sum: z.number() }),
      result: z.null(),
      errors: { Overdrawn: z.object({ by: z.number() }) },
    },
    count: { args: z.object({ to: z.number() }), progress: z.object({ n: z.number() }), result: z.string() },
    note: { args: z.object({ what: z.string() }), cast: true },
  },
  notifications: { 'account.opened': { payload: z.object({ id: z.string() }) } },
});

const noted: string[] = [];
const handlers: ContractHandlers<typeof withZod> = {
  add: ({ a, b }) => a + b,
  when: () => '2026-01-02T03:04:05.000Z',
  draw: ({ sum }, { failure }) => {
    throw failure('Overdrawn', { by: sum - 10 }, 'no money');
  },
  async *count({ to }) {
    for (let n = 1; n <= to; n += 1) yield { n };
    return 'done';
  },
  note: ({ what }) => void noted.push(what),
};

async function serving() {
  const transport = await makeWorld().join();
  const server = contractServer(transport, withZod, handlers, { server: 'one' });
  await server.start();
  const stop = async (): Promise<void> => {
    await server.stop();
    await transport.close();
  };
  return { transport, client: contractClient(transport, withZod), [Symbol.asyncDispose]: stop };
}

/** Compiles only when both types are the same. */
function same<A, B>(
  _isSame: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false,
): void {}

test('a typed call: defaults and conversions of the schemas happen where the value is read', async () => {
  await using scene = await serving();
  const sum = await scene.client.add({ a: 2 });
  same<typeof sum, number>(true);
  assert.equal(sum, 3);
  const when = await scene.client.when();
  same<typeof when, Date>(true);
  assert.equal(when.getUTCFullYear(), 2026);
  await scene.client.note({ what: 'cast' });
  await settled();
  assert.deepEqual(noted, ['cast']);
});

test('what does not fit is refused before it is sent, and again where it arrives', async () => {
  await using scene = await serving();
  // @ts-expect-error -- a text is no number
  const wrong = scene.client.add({ a: 'one' });
  await assert.rejects(
    wrong,
    (error) => isMessagingError(error, 'CONTRACT_VIOLATED') && error.details['place'] === 'args',
  );
  // @ts-expect-error -- there is no such method
  assert.equal(scene.client.subtract, undefined);
  const stranger = rpcClient(scene.transport, { topic: 'calc', version: '1.0' });
  await assert.rejects(stranger.call('add', { a: 'one' }), (error) => {
    assert.ok(isMessagingError(error, 'REMOTE_ERROR'));
    assert.deepEqual([error.details['class'], error.details['code']], ['TypeError', 'CONTRACT_VIOLATED']);
    return true;
  });
});

test('a result that does not fit never reaches a caller as one', async () => {
  await using transport = await makeWorld().join();
  const broken = { ...handlers, add: () => 'three' as unknown as number };
  const server = contractServer(transport, withZod, broken, { server: 'one' });
  await server.start();
  const call = contractClient(transport, withZod).add({ a: 1 });
  await assert.rejects(
    call,
    (error) => isMessagingError(error, 'REMOTE_ERROR') && error.details['code'] === 'CONTRACT_VIOLATED',
  );
  await server.stop();
});

test('a missing handler does not compile, and is refused where types are not asked', async () => {
  await using transport = await makeWorld().join();
  const { add: _, ...rest } = handlers;
  // @ts-expect-error -- add is missing
  assert.throws(() => contractServer(transport, withZod, rest, { server: 'one' }), TypeError);
});

test('a failure that the contract names has typed data', async () => {
  await using scene = await serving();
  try {
    await scene.client.draw({ sum: 13 });
    assert.fail('it must fail');
  } catch (error) {
    assert.ok(isContractError(error, { contract: withZod, method: 'draw', name: 'Overdrawn' }));
    same<typeof error.details.data, { by: number }>(true);
    assert.deepEqual(error.details.data, { by: 3 });
  }
});

test('a typed handle: progress and result', async () => {
  await using scene = await serving();
  const call = scene.client.open.count({ to: 3 });
  const seen: number[] = [];
  for await (const { n } of call) seen.push(n);
  const result = await call;
  same<typeof result, string>(true);
  assert.deepEqual([seen, result], [[1, 2, 3], 'done']);
});

test('events of a contract are typed and checked on both sides', async () => {
  await using transport = await makeWorld().join();
  const opened: string[] = [];
  const endpoint = contractListenerEndpoint(withZod, {
    'account.opened': ({ payload: { id } }) => void opened.push(id),
  });
  const listener = notificationListener(transport, [{ topic: 'events' }], [endpoint]);
  await listener.start();
  const tell = contractNotifier(transport, withZod, { publisherId: 'bank', topics: ['events'] });
  await tell.info('account.opened', { id: 'a-1' });
  // @ts-expect-error -- an id is a text
  await assert.rejects(tell.info('account.opened', { id: 1 }), (error) => isMessagingError(error, 'CONTRACT_VIOLATED'));
  await settled();
  assert.deepEqual(opened, ['a-1']);
  await listener.stop();
});

test('contracts over valibot and TypeBox work the same', async () => {
  const Sum = Type.Object({ a: Type.Number(), b: Type.Number() });
  const check = Compile(Sum);
  const contract = defineContract({
    topic: 'mixed',
    methods: {
      add: {
        args: wrapSchema<Static<typeof Sum>>(
          'typebox',
          (value) =>
            check
              .Errors(value)
              .map(({ message, instancePath }) => ({ message, path: instancePath.split('/').slice(1) })),
          Sum,
        ),
        result: v.pipe(v.number(), v.integer()),
      },
    },
  });
  await using transport = await makeWorld().join();
  const server = contractServer(transport, contract, { add: ({ a, b }) => a + b }, { server: 'one' });
  await server.start();
  const client = contractClient(transport, contract);
  assert.equal(await client.add({ a: 1, b: 2 }), 3);
  await assert.rejects(client.add({ a: 1, b: Number.NaN }), (error) => isMessagingError(error, 'CONTRACT_VIOLATED'));
  await assert.rejects(client.add({ a: 1, b: 0.5 }), (error) => isMessagingError(error, 'REMOTE_ERROR'));
  await server.stop();
  assert.throws(() => describeContract(contract), TypeError, 'valibot itself tells no JSON Schema');
  const described = describeContract(contract, (schema: StandardSchema) =>
    schema['~standard'].vendor === 'valibot' ? { type: 'integer' } : undefined,
  );
  assert.deepEqual(described.methods['add']?.result, { type: 'integer' });
});

test('names that no peer could call are refused', () => {
  assert.throws(() => defineContract({ topic: 't', methods: { _private: {} } }), TypeError);
  assert.throws(() => defineContract({ topic: 't', version: 'one' }), TypeError);
});

const argsOf = (args: z.ZodType) => describeContract(defineContract({ topic: 't', methods: { m: { args } } }));
const resultOf = (result: z.ZodType) => describeContract(defineContract({ topic: 't', methods: { m: { result } } }));

const differences: readonly (readonly [string, boolean, z.ZodType, z.ZodType])[] = [
  ['a new required argument', true, z.object({ a: z.string() }), z.object({ a: z.string(), b: z.string() })],
  [
    'a new optional argument',
    false,
    z.object({ a: z.string() }),
    z.object({ a: z.string(), b: z.string().optional() }),
  ],
  ['an argument with a default', false, z.object({}), z.object({ b: z.string().default('x') })],
  ['an argument that is gone', false, z.object({ a: z.string() }), z.object({})],
  ['an argument that is refused now', true, z.object({ a: z.string() }), z.strictObject({})],
  ['an argument of another type', true, z.object({ a: z.string() }), z.object({ a: z.number() })],
  ['an argument of a wider type', false, z.object({ a: z.int() }), z.object({ a: z.number() })],
  ['a tighter bound', true, z.object({ a: z.number().min(1) }), z.object({ a: z.number().min(2) })],
  ['a looser bound', false, z.object({ a: z.string().max(1) }), z.object({ a: z.string().max(2) })],
  ['a value more', false, z.object({ a: z.enum(['x']) }), z.object({ a: z.enum(['x', 'y']) })],
  ['a value less', true, z.object({ a: z.enum(['x', 'y']) }), z.object({ a: z.enum(['x']) })],
  ['items of another type', true, z.object({ a: z.array(z.string()) }), z.object({ a: z.array(z.number()) })],
  ['a pattern', true, z.object({ a: z.string() }), z.object({ a: z.string().regex(/^x/) })],
  ['only a description', false, z.object({ a: z.string() }), z.object({ a: z.string().describe('what') })],
];

for (const [what, isBreaking, before, after] of differences) {
  test(`${what} ${isBreaking ? 'breaks' : 'does not break'} the callers of a contract`, () => {
    const changes = diffContracts(argsOf(before), argsOf(after));
    assert.equal(
      changes.some((change) => change.isBreaking),
      isBreaking,
      JSON.stringify(changes),
    );
  });
}

const answers: readonly (readonly [string, boolean, z.ZodType, z.ZodType])[] = [
  ['a field more', false, z.object({ a: z.string() }), z.object({ a: z.string(), b: z.string() })],
  ['a field less', true, z.object({ a: z.string(), b: z.string() }), z.object({ a: z.string() })],
  ['a field that may be absent now', true, z.object({ a: z.string() }), z.object({ a: z.string().optional() })],
  ['a value more', true, z.enum(['x']), z.enum(['x', 'y'])],
  ['a value less', false, z.enum(['x', 'y']), z.enum(['x'])],
  ['null as well', true, z.string(), z.string().nullable()],
];

for (const [what, isBreaking, before, after] of answers) {
  test(`${what} in an answer ${isBreaking ? 'breaks' : 'does not break'} its readers`, () => {
    const changes = diffContracts(resultOf(before), resultOf(after));
    assert.equal(
      changes.some((change) => change.isBreaking),
      isBreaking,
      JSON.stringify(changes),
    );
  });
}

test('methods, addresses and versions are compared by name', () => {
  const before = describeContract(withZod);
  assert.deepEqual(diffContracts(before, before), []);
  const { add: _, ...methods } = before.methods;
  const after = {
    ...before,
    topic: 'other',
    version: '1.2',
    methods: { ...methods, extra: before.methods['when'] ?? assert.fail() },
  };
  assert.deepEqual(
    diffContracts(before, after).map(({ path, isBreaking }) => `${isBreaking ? '!' : ''}${path}`),
    ['!topic', 'version', '!methods.add', 'methods.extra'],
  );
  assert.ok(diffContracts(before, { ...before, version: '2.0' })[0]?.isBreaking);
});
