import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulation/simulation.js';

/**
 * One seed alone, with its log: SEED=17 node --import tsx --conditions=source --test packages/conductor/test/simulation.test.ts
 * Others, as many as you have time for: SEEDS=1000 FIRST_SEED=1000
 */
const single = process.env['SEED'];
const seeds = single === undefined ? Number(process.env['SEEDS'] ?? 60) : 1;
const first = Number(single ?? process.env['FIRST_SEED'] ?? 1);

test('the same seed gives the same run, to the byte', async () => {
  for (const seed of [first, first + 1, first + 2]) {
    const [one, other] = [await simulate(seed), await simulate(seed)];
    assert.deepEqual(other.lines, one.lines);
    assert.equal(other.hash, one.hash);
  }
});

test(`${seeds} seeds: nothing is lost, doubled or stuck, and no older epoch writes after a newer one`, async () => {
  const totals = { deployments: 0, faults: 0, events: 0 };
  for (let seed = first; seed < first + seeds; seed += 1) {
    const { hash, lines, violations, deployments, faults } = await simulate(seed);
    totals.deployments += deployments;
    totals.faults += faults;
    totals.events += lines.length;
    if (single !== undefined) console.log(`${lines.join('\n')}\nseed ${seed} hash ${hash}`);
    assert.deepEqual(
      violations,
      [],
      `replay: SEED=${seed} node --import tsx --conditions=source --test packages/conductor/test/simulation.test.ts`,
    );
  }
  console.log(`seeds ${seeds} deployments ${totals.deployments} faults ${totals.faults} log lines ${totals.events}`);
});
