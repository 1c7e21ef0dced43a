import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulation/simulation.js';

/**
 * `npm run simulate -- --seeds 5000 --first 1001` for others than these, `--seed 17` for one alone with its log; both
 * come here through the environment: SEEDS and FIRST_SEED, or SEED.
 */
const single = process.env['SEED'];
const seeds = single === undefined ? Number(process.env['SEEDS'] ?? 1000) : 1;
const first = Number(single ?? process.env['FIRST_SEED'] ?? 1);
const seedsPerTest = 100;

test('the same seed gives the same run, to the byte', async () => {
  for (const seed of [first, first + 1, first + 2]) {
    const [one, other] = [await simulate(seed), await simulate(seed)];
    assert.deepEqual(other.lines, one.lines);
    assert.equal(other.hash, one.hash);
  }
});

for (let from = first; from < first + seeds; from += seedsPerTest) {
  const last = Math.min(from + seedsPerTest, first + seeds) - 1;
  test(`seeds ${from} to ${last}: nothing is lost, doubled or stuck, and no older epoch writes after a newer one`, async () => {
    const totals = { deployments: 0, faults: 0, lines: 0 };
    for (let seed = from; seed <= last; seed += 1) {
      const { hash, lines, violations, deployments, faults } = await simulate(seed);
      totals.deployments += deployments;
      totals.faults += faults;
      totals.lines += lines.length;
      if (single !== undefined) console.log(`${lines.join('\n')}\nseed ${seed} hash ${hash}`);
      assert.deepEqual(violations, [], `again, with its log: npm run simulate -- --seed ${seed}`);
    }
    console.log(`seeds ${from} to ${last}: ${JSON.stringify(totals)}`);
  });
}
