import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulation.js';

const seedsPerTest = 25;

/**
 * Declares the tests of so many seeds. `npm run simulate` chooses others through the environment: SEEDS and FIRST_SEED, or
 * SEED for one alone with its log.
 */
export function declareSeeds(own: { readonly first: number; readonly seeds: number }): void {
  const single = process.env['SEED'];
  const seeds = single === undefined ? Number(process.env['SEEDS'] ?? own.seeds) : 1;
  const first = Number(single ?? process.env['FIRST_SEED'] ?? own.first);
  for (let from = first; from < first + seeds; from += seedsPerTest) {
    const last = Math.min(from + seedsPerTest, first + seeds) - 1;
    test(`seeds ${from} to ${last}: nothing is lost, doubled or stuck, and no older epoch writes after a newer one`, () =>
      runSeeds({ from, last, isTold: single !== undefined }));
  }
}

async function runSeeds({
  from,
  last,
  isTold,
}: {
  readonly from: number;
  readonly last: number;
  readonly isTold: boolean;
}): Promise<void> {
  const totals = { deployments: 0, faults: 0, lines: 0 };
  for (let seed = from; seed <= last; seed += 1) {
    const { hash, lines, violations, deployments, faults } = await simulate(seed);
    totals.deployments += deployments;
    totals.faults += faults;
    totals.lines += lines.length;
    if (isTold) console.log(`${lines.join('\n')}\nseed ${seed} hash ${hash}`);
    assert.deepEqual(violations, [], `again, with its log: npm run simulate -- --seed ${seed}`);
  }
  console.log(`seeds ${from} to ${last}: ${JSON.stringify(totals)}`);
}
