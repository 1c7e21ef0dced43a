import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import {
  decodeProperties,
  decodeTable,
  EncodeError,
  encodeProperties,
  encodeTable,
  fieldTablesEqual,
  fieldValuesEqual,
  headersBytesMax,
  ProtocolError,
  typed,
  type FieldTag,
  type FieldTable,
  type FieldValue,
} from '../src/index.js';
import { plainTable, typedTable } from './arbitraries.js';

const wide = { tableDepthMax: 64, tableEntriesMax: 1e6, tableBytesMax: 1e9 };

test('a table of plain values comes back as it went', () => {
  fc.assert(
    fc.property(plainTable, (table) => assert.deepEqual(decodeTable(encodeTable(table), { limits: wide }), table)),
  );
});

test('with keepTypes every value keeps its type on the wire', () => {
  fc.assert(
    fc.property(typedTable, (table) => {
      const encoded = encodeTable(table);
      const again = encodeTable(decodeTable(encoded, { limits: wide, keepTypes: true }));
      assert.deepEqual(Buffer.from(again), Buffer.from(encoded));
    }),
  );
});

const choices: readonly (readonly [FieldValue, FieldTag])[] = [
  ['text', 'S'],
  [true, 't'],
  [null, 'V'],
  [0, 'I'],
  [2 ** 31 - 1, 'I'],
  [-(2 ** 31), 'I'],
  [2 ** 31, 'l'],
  [3_000_000_000, 'l'],
  [Number.MAX_SAFE_INTEGER, 'l'],
  [2 ** 53, 'd'],
  [0.1, 'd'],
  [-0, 'd'],
  [Number.NaN, 'd'],
  [5n, 'l'],
  [new Date(0), 'T'],
  [Uint8Array.of(1), 'x'],
  [[1], 'A'],
  [{}, 'F'],
];

for (const [value, letter] of choices) {
  test(`${inspect(value)} is written as ${letter}`, () => {
    assert.equal(String.fromCharCode(encodeTable({ k: value })[6] ?? 0), letter);
  });
}

test('64-bit integers lose nothing', () => {
  for (const value of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, -(2n ** 53n) - 1n]) {
    assert.equal(decodeTable(encodeTable({ value }))['value'], value);
  }
  assert.equal(decodeTable(encodeTable({ value: typed('l', -1) }))['value'], -1);
});

test('Python writes large integers as L, and they are read', () => {
  assert.deepEqual(decodeTable(Buffer.from('0000000b016c4c00000000b2d05e00', 'hex')), { l: 3_000_000_000 });
});

test('a key named __proto__ is data', () => {
  const table = decodeTable(encodeTable(JSON.parse('{"__proto__":{"a":1}}') as FieldTable));
  assert.deepEqual(Object.keys(table), ['__proto__']);
  assert.equal(({} as { a?: unknown }).a, undefined);
});

test('a long string that is not UTF-8 is bytes', () => {
  const value = Uint8Array.of(0xff, 0xfe);
  assert.deepEqual(decodeTable(encodeTable({ value: typed('S', value) }))['value'], value);
});

test('entries without a value are left out', () => {
  assert.deepEqual(decodeTable(encodeTable({ a: undefined, b: 1 })), { b: 1 });
});

test('values are compared across integer types', () => {
  assert.ok(fieldValuesEqual(5, typed('b', 5)));
  assert.ok(fieldValuesEqual(5n, typed('u', 5)));
  assert.ok(fieldValuesEqual(2n ** 63n - 1n, typed('l', 2n ** 63n - 1n)));
  assert.ok(!fieldValuesEqual(5, 6n));
  assert.ok(!fieldValuesEqual(5, '5'));
  assert.ok(!fieldValuesEqual(Number.NaN, 5));
  assert.ok(!fieldValuesEqual(0, null));
  assert.ok(fieldTablesEqual({ a: [1, { b: typed('s', 2) }], c: undefined }, { a: [1, { b: 2n }] }));
  assert.ok(!fieldTablesEqual({ a: 1 }, { b: 1 }));
  assert.ok(!fieldTablesEqual({ a: 1 }, { a: 1, b: 1 }));
  assert.ok(fieldValuesEqual(new Date(5000), typed('T', new Date(5000))));
  assert.ok(fieldValuesEqual(typed('D', { scale: 1, unscaled: 5 }), typed('D', { scale: 1, unscaled: 5 })));
  fc.assert(fc.property(typedTable, (table) => assert.ok(fieldTablesEqual(table, table))));
});

test('a value that no type can carry is refused', () => {
  const refused: readonly FieldValue[] = [
    2n ** 63n,
    typed('b', 128),
    typed('B', -1),
    typed('u', 1.5),
    typed('i', 2 ** 32),
    typed('l', 0.5),
    typed('D', { scale: 256, unscaled: 1 }),
    new Date(-1000),
    new Date(Number.NaN),
    (() => undefined) as unknown as FieldValue,
  ];
  for (const value of refused) assert.throws(() => encodeTable({ value }), EncodeError, inspect(value));
  assert.throws(() => encodeTable({ ['k'.repeat(256)]: 1 }), { code: 'STRING_TOO_LONG' });
});

test('a table that contains itself is refused', () => {
  const table: Record<string, FieldValue> = {};
  table['self'] = table;
  assert.throws(() => encodeTable(table), { code: 'TABLE_TOO_DEEP' });
});

const isSyntaxError = (error: unknown): boolean => error instanceof ProtocolError && error.replyName === 'SYNTAX_ERROR';

test('what is over a limit is a syntax error', () => {
  const nested = (depth: number): FieldTable => (depth === 1 ? {} : { t: nested(depth - 1) });
  assert.deepEqual(decodeTable(encodeTable(nested(8))), nested(8));
  assert.throws(() => decodeTable(encodeTable(nested(9))), isSyntaxError);
  assert.throws(() => decodeTable(encodeTable({ a: [[[[[[[[[1]]]]]]]]] })), isSyntaxError);
  assert.equal((decodeTable(encodeTable({ a: Array(255).fill(1) }))['a'] as unknown[]).length, 255);
  assert.throws(() => decodeTable(encodeTable({ a: Array(256).fill(1) })), isSyntaxError);
  assert.throws(() => decodeTable(encodeTable({ a: 'x'.repeat(32 * 1024) })), isSyntaxError);
});

test('headers of a message may be longer than other tables, and no deeper', () => {
  const read = (headers: FieldTable): unknown => decodeProperties(encodeProperties({ headers })).headers;
  const long = { a: 'x'.repeat(headersBytesMax - 7) };
  assert.deepEqual(read(long), long);
  assert.throws(() => read({ a: 'x'.repeat(headersBytesMax - 6) }), isSyntaxError);
  assert.throws(() => read({ a: Array(256).fill(1) }), isSyntaxError);
  assert.throws(() => read({ a: [[[[[[[[[1]]]]]]]]] }), isSyntaxError);
});

test('lengths that lie are a syntax error and nothing else', () => {
  const good = encodeTable({ a: 'text', b: [1, 2], c: { d: 1.5 }, e: Uint8Array.of(1, 2) });
  for (let at = 0; at < good.length; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const bad = Uint8Array.from(good);
      bad[at] = value;
      try {
        decodeTable(bad);
      } catch (error) {
        assert.ok(isSyntaxError(error), String(error));
      }
    }
  }
  for (let length = 0; length < good.length; length++)
    assert.throws(() => decodeTable(good.subarray(0, length)), isSyntaxError);
});
