import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doubledOf } from './chaos/check.js';
import { doneKey, expectedOutput, isOutputOf } from './chaos/ledger.js';
import type { Start } from './chaos/ledger.js';

const whole = expectedOutput('step-1');
const half = whole.split('\n').slice(0, 7).join('\n');

for (const [says, text, starts, hasEnded, isGood] of [
  ['the whole', whole, 1, true, true],
  ['a part of one that was cut off', `${half}\n`, 1, false, true],
  ['a part of one that ended', `${half}\n`, 1, true, false],
  ['a part, and the whole of the second run', `${half}\n${whole}`, 2, true, true],
  ['a repeat without a second run', `${half}\n${whole}`, 1, true, false],
  ['a gap', whole.replace('line 5 of step-1\n', ''), 1, true, false],
  ['a line twice', whole.replace('line 5 of', 'line 4 of'), 1, true, false],
] as const) {
  test(`the campaign judges an output: ${says} is ${isGood ? 'right' : 'wrong'}`, () => {
    assert.equal(isOutputOf('step-1', text, { starts, hasEnded }), isGood);
  });
}

const first: Start = { deployment: 'd', machine: 'm', step: 'step-1', plan: 'p1', boot: 'b1', atMs: 1 };
const plans = ['p1', 'p2', 'p3'].map((planId, index) => ({
  planId,
  machine: { id: 'm', name: 'm' },
  state: 'succeeded',
  attempt: index < 2 ? 1 : 2,
}));

for (const [says, change, doneAtMs, isDoubled] of [
  ['one that may be repeated, after a restart', { boot: 'b2' }, undefined, false],
  ['in the same boot', {}, undefined, true],
  ['a probed one that was not done', { step: 'step-2', boot: 'b2' }, undefined, false],
  ['a probed one that was done', { step: 'step-2', boot: 'b2' }, 2, true],
  ['one that may not be repeated', { step: 'step-3', boot: 'b2' }, undefined, true],
  ['another plan of the same attempt', { plan: 'p2', boot: 'b2' }, undefined, true],
  ['the plan of a resume', { plan: 'p3' }, undefined, false],
] as const) {
  test(`the campaign judges a second start: ${says} is ${isDoubled ? 'one too many' : 'right'}`, () => {
    const before = { ...first, ...('step' in change ? { step: change.step } : {}) };
    const start = { ...before, ...change, atMs: 3 };
    const done = new Map(doneAtMs === undefined ? [] : [[doneKey(before), doneAtMs]]);
    const found = doubledOf({ id: 'd', state: 'succeeded', plans }, { starts: [before, start], done, again: [] });
    assert.equal(found.length, isDoubled ? 1 : 0);
  });
}
