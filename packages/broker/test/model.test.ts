import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { runModel } from './model/run-model.js';

/** The short run; `npm run broker:model -- --seed S --commands N` is the long one. */
const commands = 10_000;
const seed = Number(process.env['TORCELLO_MODEL_SEED'] ?? 1);

test(`a queue does what its model does, over ${commands} commands (seed ${seed})`, async (t) => {
  const done = await runModel({ seed, commands });
  assert.ok(done >= commands);
  t.diagnostic(`${done} commands, seed ${seed}`);
});
