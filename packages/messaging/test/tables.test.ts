import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DuplicateWindow } from '../src/rpc/duplicate-window.js';
import { IdTable } from '../src/transport/id-table.js';
import { parseJson } from '../src/wire/json.js';

/** Few ids, and many that begin alike: what matters happens where places collide. */
const id: fc.Arbitrary<string> = fc.oneof(
  fc.nat(200).map((number) => `${number}`),
  fc.nat(200).map((number) => `aaaaaaaa${number}`),
  fc.uuid().map((uuid) => uuid.replaceAll('-', '')),
);

test('a table of ids behaves like a map, however many come and go', () => {
  const step = fc.record({ id, action: fc.constantFrom('set', 'set', 'set', 'delete', 'delete', 'get') });
  fc.assert(
    fc.property(fc.array(step, { minLength: 200, maxLength: 600 }), (steps) => {
      const [table, model] = [new IdTable<number>(), new Map<string, number>()];
      for (const [at, { id: key, action }] of steps.entries()) {
        if (action === 'set') {
          table.set(key, at);
          model.set(key, at);
        } else if (action === 'delete') assert.equal(table.delete(key), model.delete(key));
        assert.equal(table.get(key), model.get(key));
        assert.equal(table.size, model.size);
      }
      for (const [key, value] of model) assert.equal(table.get(key), value);
      assert.deepEqual(new Set(table.values()), new Set(model.values()));
    }),
    { numRuns: 50 },
  );
});

test('an emptied table has nothing in it and takes new ids', () => {
  const table = new IdTable<string>();
  for (let at = 0; at < 300; at += 1) table.set(`id-${at}`, 'old');
  table.clear();
  assert.equal(table.size, 0);
  assert.equal(table.get('id-7'), undefined);
  table.set('id-7', 'new');
  assert.deepEqual(table.values(), ['new']);
});

test('the window remembers the last ids and no others', () => {
  const window = new DuplicateWindow(3);
  for (const seen of ['a', 'b', 'c', 'a', 'd']) window.add(seen);
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((seen) => window.has(seen)),
    [false, true, true, true],
  );
  window.delete('c');
  assert.equal(window.has('c'), false);
});

test('an integer of any length keeps its digits, wherever in the text it stands', () => {
  const digits = fc.oneof(
    fc.nat(22).chain((length) => fc.bigInt({ min: 10n ** BigInt(length), max: 10n ** BigInt(length + 1) })),
    // The shortest that a number does not hold.
    fc.bigInt({ min: 2n ** 53n, max: 10n ** 16n - 1n }),
  );
  const separator = fc.constantFrom(',', ', ', ',"0 12",');
  fc.assert(
    fc.property(fc.array(fc.tuple(digits, separator), { minLength: 1, maxLength: 8 }), digits, (numbers, last) => {
      const json = `[${numbers.map(([number, between]) => `${number}${between}`).join('')}${last}]`;
      const found = (parseJson(json) as (number | bigint | string)[]).filter((value) => typeof value !== 'string');
      assert.deepEqual(
        found.map((value) => BigInt(value)),
        [...numbers.map(([number]) => number), last],
      );
    }),
    { numRuns: 1000 },
  );
});
