import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { temporaryFolder } from '@torcello/test-support';
import { crashCampaign } from './crash/campaign.js';
import { bundleBroker } from './crash/program.js';

/** The short run; `npm run broker:crash -- --seed S --cycles N` is the long one. */
const cycles = 6;
const seed = Number(process.env['TORCELLO_CRASH_SEED'] ?? 1);

test(`what was confirmed is there after kill -9, once and in order (seed ${seed}, ${cycles} cycles)`, async (t) => {
  const folder = temporaryFolder('crash');
  t.after(() => folder.remove());
  const wrong: string[] = [];
  const report = (line: string): void => void wrong.push(line);
  const program = await bundleBroker();
  const { confirmed, lost, invented, disorders } = await crashCampaign({
    program,
    folder: folder.path,
    seed,
    cycles,
    report,
  });
  assert.deepEqual({ lost, invented, disorders }, { lost: 0, invented: 0, disorders: 0 }, wrong.join('\n'));
  assert.ok(confirmed > 100, 'the kills hit a broker at work');
  t.diagnostic(`${confirmed} confirmed messages survived ${cycles} kills`);
});
