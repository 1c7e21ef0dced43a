import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { crashCampaign } from './crash/campaign.js';
import { crashMethod, CrashMethodMissing } from './crash/methods.js';
import type { CrashKind } from './crash/methods.js';
import { bundleBroker } from './crash/program.js';

/** The short run; `npm run broker:crash -- --seed S --cycles N` is the long one. */
const cycles = 6;
const seed = Number(process.env['TORCELLO_CRASH_SEED'] ?? 1);

test(`what was confirmed is there after kill -9, once and in order (seed ${seed}, ${cycles} cycles)`, async (t) => {
  const method = crashMethod('kill');
  t.after(() => method.remove());
  const wrong: string[] = [];
  const report = (line: string): void => void wrong.push(line);
  const program = await bundleBroker();
  const { confirmed, lost, invented, disorders } = await crashCampaign({
    program,
    method,
    seed,
    cycles,
    report,
  });
  assert.deepEqual({ lost, invented, disorders }, { lost: 0, invented: 0, disorders: 0 }, wrong.join('\n'));
  assert.ok(confirmed > 100, 'the kills hit a broker at work');
  t.diagnostic(`${confirmed} confirmed messages survived ${cycles} kills`);
});

const others: readonly (readonly [CrashKind, number, string])[] = [
  ['io', 8, 'when a write or a sync fails'],
  ['power', 3, 'after a loss of power'],
];
for (const [kind, times, when] of others) {
  test(`what was confirmed is there ${when} (seed ${seed}, ${times} cycles)`, async (t) => {
    try {
      const method = crashMethod(kind);
      t.after(() => method.remove());
      const wrong: string[] = [];
      const report = (line: string): void => void wrong.push(line);
      const program = await bundleBroker();
      const { lost, invented, disorders } = await crashCampaign({ program, method, seed, cycles: times, report });
      assert.deepEqual({ lost, invented, disorders }, { lost: 0, invented: 0, disorders: 0 }, wrong.join('\n'));
    } catch (error) {
      if (!(error instanceof CrashMethodMissing)) throw error;
      t.skip(`SKIPPED LOUDLY: ${error.message}`);
    }
  });
}
