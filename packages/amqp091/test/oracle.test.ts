import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeProperties,
  encodeProperties,
  FrameReader,
  FrameWriter,
  methodSpecs,
  replyCodes,
  type BasicProperties,
  type FieldTable,
  type MethodSpec,
  type OutgoingMethod,
} from '../src/index.js';
import { ByteWriter } from '../src/byte-writer.js';
import { writeMethod, writeMethodByTable, readMethod, readMethodByTable } from '../src/method-codec.js';
import { anyMethod, methodOf, properties } from './arbitraries.js';
import { amqplib } from './support-amqplib.js';

const [contentClassId, basicPropertiesId] = [60, 60];
const limits = { tableDepthMax: 64, tableEntriesMax: 1e6, tableBytesMax: 1e9 };

function idOf(spec: MethodSpec): number {
  return spec.classId * 0x1_0000 + spec.methodId;
}

/** Tables that both codecs write with the same types: amqplib prefers the narrowest type for small integers. */
const oracleTable: fc.Arbitrary<FieldTable> = fc.dictionary(
  fc.string({ maxLength: 20 }),
  fc.oneof(
    fc.string(),
    fc.boolean(),
    fc.integer({ min: 0x8001 }),
    // Without NaN, which amqplib writes as a whole number.
    fc.double({ noInteger: true, noNaN: true, min: -1e6, max: 1e6 }),
    fc.array(fc.string(), { maxLength: 3 }),
  ),
  { maxKeys: 5, noNullPrototype: true },
);

function withOracleTables(spec: MethodSpec): fc.Arbitrary<OutgoingMethod> {
  return fc.tuple(methodOf(spec), oracleTable).map(([method, table]) => {
    const tables = spec.fields.filter(({ type }) => type === 'table').map(({ name }) => [name, table]);
    return { ...method, ...(Object.fromEntries(tables) as object) } as OutgoingMethod;
  });
}

/** Our values under amqplib's names: fields are matched by their place. */
function toOracle(spec: MethodSpec, method: OutgoingMethod): Record<string, unknown> {
  const values = method as unknown as Record<string, unknown>;
  const { args } = amqplib.info(idOf(spec));
  assert.equal(args.length, spec.fields.length, spec.name);
  const pairs = spec.fields.flatMap((field, index) => {
    const value = values[field.name];
    if (field.isReserved && field.type === 'short') return [[args[index]?.name ?? '', 0]];
    if (field.isReserved || value === undefined) return [];
    const isBytes = field.type === 'longstr' || field.type === 'longtext';
    return [[args[index]?.name ?? '', isBytes ? Buffer.from(value as string) : value]];
  });
  return Object.fromEntries(pairs) as Record<string, unknown>;
}

for (const spec of methodSpecs) {
  test(`${spec.name} is written and read as amqplib does it`, () => {
    fc.assert(
      fc.property(withOracleTables(spec), (method) => {
        const writer = new ByteWriter();
        writeMethod(writer, method);
        const payload = Buffer.concat(writer.take());
        const theirs = amqplib.encodeMethod(idOf(spec), 7, toOracle(spec, method));
        assert.equal(payload.toString('hex'), theirs.subarray(7, -1).toString('hex'));
        assert.deepEqual(readMethod(theirs.subarray(7, -1), { limits }), method);
        const read = amqplib.decode(idOf(spec), payload.subarray(4));
        for (const [name, value] of Object.entries(toOracle(spec, method))) assert.deepEqual(read[name], value, name);
      }),
      { numRuns: 20 },
    );
  });
}

test('properties are written and read as amqplib does it', () => {
  const arbitrary = fc.tuple(properties, oracleTable).map(([given, headers]) => ({ ...given, headers }));
  fc.assert(
    fc.property(arbitrary, (given) => {
      const ours = Buffer.from(encodeProperties(given as BasicProperties));
      const theirs = amqplib.encodeProperties(basicPropertiesId, 1, 12, given).subarray(7 + 12, -1);
      assert.equal(ours.toString('hex'), theirs.toString('hex'));
      assert.deepEqual(decodeProperties(theirs, { limits }), given);
    }),
  );
});

test('a stream of amqplib is read frame by frame', () => {
  const stream = Buffer.concat([
    amqplib.encodeMethod(0x3c_0028, 3, { exchange: 'x', routingKey: 'k', mandatory: true }),
    amqplib.encodeProperties(basicPropertiesId, 3, 2, { contentType: 'text/plain', headers: { a: 1 } }),
    Buffer.from('0300030000000268', 'hex'),
    Buffer.from('69ce', 'hex'),
  ]);
  const reader = new FrameReader({ role: 'client' });
  reader.push(stream);
  const [method, header, body] = [reader.next(), reader.next(), reader.next()];
  assert.equal(method?.type === 'method' && method.method.name, 'basic.publish');
  assert.equal(header?.type === 'header' && header.bodySizeBytes, 2);
  assert.equal(body?.type === 'body' && Buffer.from(body.payload).toString(), 'hi');
  assert.equal(reader.next(), undefined);
});

test('the methods written by hand are what the table says', () => {
  fc.assert(
    fc.property(anyMethod, (method) => {
      const [byHand, byTable] = [new ByteWriter(), new ByteWriter()];
      writeMethod(byHand, method);
      writeMethodByTable(byTable, method);
      const payload = Buffer.concat(byHand.take());
      assert.deepEqual(payload, Buffer.concat(byTable.take()));
      assert.deepEqual(readMethod(payload, { limits }), readMethodByTable(payload, { limits }));
    }),
    { numRuns: 2000 },
  );
});

interface SpecTable {
  readonly methods: readonly {
    readonly class: string;
    readonly classId: number;
    readonly method: string;
    readonly methodId: number;
    readonly receivers: readonly ('client' | 'server')[];
    readonly content: boolean;
    readonly fields: readonly (readonly [string, string])[];
  }[];
  readonly properties: readonly (readonly [string, string])[];
  readonly constants: readonly (readonly [string, number, string | null])[];
}
const specTable = JSON.parse(readFileSync(new URL('golden/spec-table.json', import.meta.url), 'utf8')) as SpecTable;
/** RabbitMQ's additions since that specification was written. */
const younger = [
  'connection.update-secret',
  'connection.update-secret-ok',
  'connection.blocked',
  'connection.unblocked',
];
const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
/** The specification's own spelling, where this house has another one. */
const spelling: Readonly<Record<string, string>> = { nowait: 'noWait' };

test('the method table is the specification', () => {
  const ours = methodSpecs
    .filter(({ name }) => !younger.includes(name))
    .map((spec) => ({
      name: spec.name,
      ids: [spec.classId, spec.methodId],
      hasContent: spec.hasContent,
      fields: spec.fields.map((field) => [
        field.isReserved ? 'reserved' : field.name,
        field.type === 'longtext' ? 'longstr' : field.type,
      ]),
    }));
  const theirs = specTable.methods.map((method) => ({
    name: `${method.class}.${method.method}`,
    ids: [method.classId, method.methodId],
    hasContent: method.content,
    fields: method.fields.map(([name, type]) => [nameOf(name), type]),
  }));
  const byName = (left: { name: string }, right: { name: string }): number => (left.name < right.name ? -1 : 1);
  const names = new Set(theirs.map(({ name }) => name));
  const extra = ours.filter(({ name }) => !names.has(name)).map(({ name }) => name);
  assert.deepEqual(extra, theirs.length + extra.length === ours.length ? extra : [], 'nothing is missing here');
  assert.deepEqual(ours.filter(({ name }) => names.has(name)).toSorted(byName), theirs.toSorted(byName));
});

function nameOf(name: string): string {
  if (name.startsWith('reserved') || name === 'ticket' || name === 'out-of-band' || name === 'known-hosts')
    return 'reserved';
  return spelling[name] ?? camelCase(name);
}

test('whoever the specification lets receive a method, the table lets the other side send it', () => {
  for (const method of specTable.methods) {
    const spec = methodSpecs.find(({ name }) => name === `${method.class}.${method.method}`);
    const senders = method.receivers.map((receiver) => (receiver === 'client' ? 'server' : 'client'));
    for (const sender of senders)
      assert.equal(spec?.from === sender || spec?.from === 'both', true, `${spec?.name} from ${sender}`);
  }
});

test('reply codes are the specification', () => {
  const codes = specTable.constants.filter(([, value, kind]) => kind !== null || value === 200);
  for (const [name, value] of codes) {
    const key = name.toUpperCase().replaceAll('-', '_');
    assert.equal((replyCodes as Readonly<Record<string, { code: number }>>)[key]?.code, value, name);
  }
});

test('content frames of the writer name the class of the specification', () => {
  const writer = new FrameWriter();
  writer.content(
    1,
    { name: 'basic.publish', exchange: '', routingKey: '' },
    { properties: {}, body: new Uint8Array(0) },
  );
  const reader = new FrameReader({ role: 'client' });
  reader.push(Buffer.concat(writer.take()));
  reader.next();
  const header = reader.next();
  assert.equal(header?.type === 'header' && header.classId, contentClassId);
});
