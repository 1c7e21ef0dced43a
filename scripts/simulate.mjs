/**
 * `npm run simulate [-- --seeds N] [--first N] [--seed N]`: the whole system in one process over simulated clock, network
 * and disks. `--seed` alone prints the log of that run.
 */
import { parseArgs } from 'node:util';
import { run } from './lib/run.mjs';

const options = { seeds: { type: 'string' }, first: { type: 'string' }, seed: { type: 'string' } };
const { values } = parseArgs({ options });
for (const [name, variable] of [
  ['seeds', 'SEEDS'],
  ['first', 'FIRST_SEED'],
  ['seed', 'SEED'],
]) {
  if (values[name] === undefined) continue;
  if (!/^[1-9]\d{0,8}$/.test(values[name])) throw new TypeError(`--${name} takes a whole number from 1`);
  process.env[variable] = values[name];
}
const args = [
  '--import',
  'tsx',
  '--conditions=source',
  '--test',
  '--test-reporter=spec',
  'tests/src/simulation.test.ts',
];
process.exitCode = await run(process.execPath, args);
