import fc from 'fast-check';
import {
  methodSpecs,
  typed,
  type BasicProperties,
  type FieldTable,
  type FieldType,
  type FieldValue,
  type MethodSpec,
  type OutgoingMethod,
} from '../src/index.js';

export const shortText: fc.Arbitrary<string> = fc
  .string({ unit: 'grapheme', maxLength: 60 })
  .filter((text) => Buffer.byteLength(text) <= 255);
export const bytes: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 300 });
const int64: fc.Arbitrary<bigint> = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const wholeDate: fc.Arbitrary<Date> = fc.integer({ min: 0, max: 8_640_000_000_000 }).map((s) => new Date(s * 1000));

const leaf: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.integer(),
  fc.maxSafeInteger(),
  int64.filter((value) => !Number.isSafeInteger(Number(value))),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  wholeDate,
  bytes,
  fc.tuple(fc.nat(255), fc.integer()).map(([scale, unscaled]) => typed('D', { scale, unscaled })),
);

/** Values that come back as they went in. */
export const plainTable: fc.Arbitrary<FieldTable> = tables(leaf);

/** Values of every wire type, chosen by hand; they come back as they went in with `keepTypes`. */
const typedLeaf: fc.Arbitrary<FieldValue> = fc.oneof(
  leaf,
  fc.integer({ min: -128, max: 127 }).map((value) => typed('b', value)),
  fc.nat(255).map((value) => typed('B', value)),
  fc.integer({ min: -32768, max: 32767 }).map((value) => typed('s', value)),
  fc.nat(65535).map((value) => typed('u', value)),
  fc.nat(0xffff_ffff).map((value) => typed('i', value)),
  fc.integer().map((value) => typed('l', value)),
  int64.map((value) => typed('L', Number.isSafeInteger(Number(value)) ? Number(value) : value)),
  fc.float().map((value) => typed('f', value)),
  fc
    .bigInt({ min: 0n, max: 2n ** 64n - 1n })
    .filter((value) => value > 8_640_000_000_000n)
    .map((value) => typed('T', Number.isSafeInteger(Number(value)) ? Number(value) : value)),
);
export const typedTable: fc.Arbitrary<FieldTable> = tables(typedLeaf);

function tables(leaves: fc.Arbitrary<FieldValue>): fc.Arbitrary<FieldTable> {
  const { table } = fc.letrec<{ table: FieldTable; value: FieldValue }>((tie) => ({
    table: fc.dictionary(fc.oneof(shortText, fc.constant('__proto__')), tie('value'), {
      maxKeys: 6,
      noNullPrototype: true,
    }),
    value: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'table' },
      leaves,
      tie('table'),
      fc.array(tie('value'), { maxLength: 6 }),
    ),
  }));
  return table;
}

const fieldArbitraries: Readonly<Record<FieldType, fc.Arbitrary<unknown>>> = {
  bit: fc.boolean(),
  octet: fc.nat(0xff),
  short: fc.nat(0xffff),
  long: fc.nat(0xffff_ffff),
  longlong: fc.maxSafeNat(),
  shortstr: shortText,
  longstr: bytes,
  longtext: fc.string({ unit: 'grapheme' }),
  table: plainTable,
};

export function methodOf(spec: MethodSpec): fc.Arbitrary<OutgoingMethod> {
  const fields = spec.fields.filter((field) => !field.isReserved);
  const shapes = Object.fromEntries(fields.map((field) => [field.name, fieldArbitraries[field.type]]));
  return fc.record(
    { name: fc.constant(spec.name), ...shapes },
    { noNullPrototype: true },
  ) as fc.Arbitrary<unknown> as fc.Arbitrary<OutgoingMethod>;
}

export const anyMethod: fc.Arbitrary<OutgoingMethod> = fc.oneof(...methodSpecs.map(methodOf));

export const properties: fc.Arbitrary<BasicProperties> = fc.record(
  {
    contentType: shortText,
    contentEncoding: shortText,
    headers: plainTable,
    deliveryMode: fc.nat(255),
    priority: fc.nat(255),
    correlationId: shortText,
    replyTo: shortText,
    expiration: shortText,
    messageId: shortText,
    timestamp: fc.maxSafeNat(),
    type: shortText,
    userId: shortText,
    appId: shortText,
    clusterId: shortText,
  },
  { requiredKeys: [], noNullPrototype: true },
);
