import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompileError } from '../src/compile/compile-error.js';
import type { Scope } from '../src/compile/scope.js';
import { Templates } from '../src/compile/templates.js';

const machine = { id: 'm', name: 'web-1', role: 'web', index: 0 };
const scope: Scope = {
  inputs: { x: 1, text: 'a"b', list: ['a', 'b'] },
  machine,
  machines: { web: [machine] },
  environment: { id: 'e', name: 'trial' },
  service: { id: 's', type: 't' },
};

function render(source: string): string {
  return new Templates().render('files/a.liquid', () => source, scope);
}

const rendered: readonly (readonly [string, string])[] = [
  ['no names', 'no names'],
  ['{{ inputs.x }}', '1'],
  ['{{ inputs.text | json }}', '"a\\"b"'],
  ['{% for m in machines.web %}{{ m.name }};{% endfor %}', 'web-1;'],
  ['{{ inputs.list | join: "," }} in {{ environment.name }}', 'a,b in trial'],
];
for (const [source, expected] of rendered) {
  test(`the template ${source} renders`, () => assert.equal(render(source), expected));
}

const failures: readonly (readonly [string, string, string])[] = [
  ['line one\n{{ inputs.nope }}', 'TEMPLATE_FAILED', 'files/a.liquid:2:4: undefined variable: inputs.nope'],
  ['{{ nope }}', 'TEMPLATE_FAILED', 'undefined variable: nope'],
  ['{{ inputs.constructor }}', 'TEMPLATE_FAILED', 'undefined variable'],
  ['{{ inputs.x | frob }}', 'TEMPLATE_INVALID', 'undefined filter: frob'],
  ['x\n  {% frob %}', 'TEMPLATE_INVALID', 'files/a.liquid:2:3: tag "frob" not found'],
  ['{% if inputs.x %}', 'TEMPLATE_INVALID', 'not closed'],
  ['{% include "application.yaml" %}', 'TEMPLATE_FAILED', 'ENOENT'],
  ['{% render "../../../../etc/hostname" %}', 'TEMPLATE_FAILED', 'ENOENT'],
  ['{% for i in (1..1000000000) %}x{% endfor %}', 'TEMPLATE_FAILED', 'memory alloc limit'],
  [
    '{% assign a = "x" %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}',
    'TEMPLATE_FAILED',
    'memory alloc limit',
  ],
  ['x'.repeat(1_048_577), 'TEMPLATE_INVALID', 'parse length limit'],
];
for (const [source, code, message] of failures) {
  test(`the template ${JSON.stringify(source.slice(0, 50))} fails with ${code}`, () => {
    assert.throws(
      () => render(source),
      (error) => {
        assert.ok(error instanceof CompileError);
        assert.equal(error.code, code);
        assert.ok(error.message.includes(message), error.message);
        return true;
      },
    );
  });
}
