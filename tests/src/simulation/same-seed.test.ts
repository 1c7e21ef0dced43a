import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulation.js';

test('the same seed gives the same run, to the byte', async () => {
  for (const seed of [1, 2]) {
    const [one, other] = [await simulate(seed), await simulate(seed)];
    assert.deepEqual(other.lines, one.lines);
    assert.equal(other.hash, one.hash);
  }
});
