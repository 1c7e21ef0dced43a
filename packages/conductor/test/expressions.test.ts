import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompileError } from '../src/compile/compile-error.js';
import { Expressions } from '../src/compile/expressions.js';
import type { Scope, Value } from '../src/compile/scope.js';
import { readText, readValue } from '../src/compile/text.js';

const scope: Scope = {
  inputs: { port: 8200, ratio: 1.5, name: 'x', list: [1, 2], none: null, map: { a: 1 }, isOn: true, quote: 'a"b' },
  machine: { id: 'm', name: 'web-2', role: 'web', index: 1 },
  machines: { web: [{ id: 'm', name: 'web-2', role: 'web', index: 1 }] },
  environment: { id: 'e', name: 'trial' },
  service: { id: 's', type: 't' },
};
const place = (text?: string): { file: string; line: number; column: number } => ({
  file: 'application.yaml',
  line: 7,
  column: text === undefined ? 3 : 10,
});
const reader = { expressions: new Expressions(), scope };

const values: readonly (readonly [string, Value])[] = [
  ['plain', 'plain'],
  ['', ''],
  ['${{ inputs.port + machine.index }}', 8201],
  ['${{inputs.port}}', 8200],
  [' ${{ inputs.port }}', ' 8200'],
  ['http://${{ environment.name }}:${{ inputs.port }}/', 'http://trial:8200/'],
  ['${{ inputs.ratio * 2.0 }}', 3],
  ['${{ inputs.list }}', [1, 2]],
  ['${{ inputs.map }}', { a: 1 }],
  ["${{ {'a': {'b': 1}} }}", { a: { b: 1 } }],
  ["${{ '}}' }}", '}}'],
  ['${{ "say \\"}}\\"" }}', 'say "}}"'],
  ['$${{ inputs.port }}', '${{ inputs.port }}'],
  ['${{ inputs.none }}', null],
  ['${{ inputs.isOn ? "yes" : "no" }}', 'yes'],
  ['${{ machines.web.map(m, m.name).join(",") }}', 'web-2'],
  ['${{ size(machines.web) }}', 1],
  ['$ {{ no }}', '$ {{ no }}'],
];

for (const [text, expected] of values) {
  test(`the text ${JSON.stringify(text)} reads as ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(readValue(text, reader, place), expected);
  });
}

const failures: readonly (readonly [string, string, string])[] = [
  ['${{ inputs.prot }}', 'EXPRESSION_FAILED', 'application.yaml:7:17: ${{ inputs.prot }}: No such key: prot'],
  ['${{ inpts.port }}', 'EXPRESSION_INVALID', 'application.yaml:7:10: ${{ inpts.port }}: Unknown variable: inpts'],
  ['${{ inputs.port + }}', 'EXPRESSION_INVALID', 'application.yaml:7:23: ${{ inputs.port + }}: Unexpected token: EOF'],
  ['${{ inputs.port + "a" }}', 'EXPRESSION_FAILED', 'no such overload'],
  ['${{ 1 / 0 }}', 'EXPRESSION_FAILED', 'division by zero'],
  ['${{ }}', 'EXPRESSION_INVALID', 'Unexpected token'],
  ['a ${{ inputs.port', 'EXPRESSION_INVALID', 'the expression has no end'],
  ['${{ inputs.name.matches("(a+)+$") }}', 'EXPRESSION_INVALID', 'matches() is not available'],
  ['${{ cel.bind(x, "a", x + x) }}', 'EXPRESSION_INVALID', 'bind() is not available'],
  ['${{ timestamp("2026-01-01T00:00:00Z") }}', 'VALUE_UNSUITABLE', 'the result is none of'],
  ['${{ b"abc" }}', 'VALUE_UNSUITABLE', 'the result is none of'],
  ['${{ inputs.constructor }}', 'EXPRESSION_FAILED', 'No such key: constructor'],
  ['${{ inputs.__proto__ }}', 'EXPRESSION_FAILED', 'No such key'],
  [`\${{ ${'1 + '.repeat(2000)}1 }}`, 'EXPRESSION_TOO_LARGE', 'is over 4096 bytes'],
  [`\${{ ${'1 + '.repeat(300)}1 }}`, 'EXPRESSION_INVALID', 'maxAstNodes'],
  [`\${{ ${'('.repeat(40)}1${')'.repeat(40)} }}`, 'EXPRESSION_INVALID', 'maxDepth'],
];

for (const [text, code, message] of failures) {
  test(`the text ${JSON.stringify(text.slice(0, 50))} fails with ${code}`, () => {
    assert.throws(
      () => readValue(text, reader, place),
      (error) => {
        assert.ok(error instanceof CompileError);
        assert.equal(error.code, code);
        assert.ok(error.message.includes(message), error.message);
        assert.ok(error.cure.length > 0);
        return true;
      },
    );
  });
}

test('null, lists and maps cannot be joined into a text', () => {
  for (const name of ['none', 'list', 'map']) {
    assert.throws(() => readText(`\${{ inputs.${name} }}`, reader, place), { code: 'VALUE_UNSUITABLE' });
    assert.throws(() => readText(`a \${{ inputs.${name} }}`, reader, place), { code: 'VALUE_UNSUITABLE' });
  }
});

test('nested loops over long lists are refused before they run, single ones are not', () => {
  const long = {
    ...scope,
    inputs: { list: Array.from({ length: 1000 }, (_, index) => index), text: 'x'.repeat(1000) },
  };
  const read = (expression: string): Value => readValue(`\${{ ${expression} }}`, { ...reader, scope: long }, place);
  assert.equal(read('size(inputs.list.map(x, x + 1))'), 1000);
  for (const nested of [
    'inputs.list.map(x, inputs.list.map(y, x * y))',
    'inputs.list.exists(x, inputs.list.all(y, x > y))',
    'inputs.text.split("").map(x, inputs.text.split("").map(y, x + y))',
  ]) {
    assert.throws(() => read(nested), { code: 'EXPRESSION_TOO_LARGE' }, nested);
  }
});

test('integers stay exact up to 2^53 and are refused beyond', () => {
  assert.equal(readValue('${{ 9007199254740991 }}', reader, place), 9_007_199_254_740_991);
  assert.throws(() => readValue('${{ 9007199254740992 }}', reader, place), { code: 'VALUE_UNSUITABLE' });
});
