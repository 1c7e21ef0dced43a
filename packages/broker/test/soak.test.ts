import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { soak } from './soak/soak.js';

/** The short run; `npm run broker:soak -- --seed S --minutes M` is the long one. */
const cycles = 2;
const busyMs = 2_000;
const seed = Number(process.env['TORCELLO_SOAK_SEED'] ?? 1);

test(`a fleet at work loses nothing and leaves nothing behind (seed ${seed}, ${cycles} cycles)`, async (t) => {
  const done = await soak({ seed, cycles, busyMs, report: (line) => t.diagnostic(line) });
  assert.deepEqual([...done.wrongs, ...done.drifts], []);
  assert.equal(done.lost, 0);
  assert.ok(done.confirmed > 100, `only ${done.confirmed} messages were confirmed`);
});
