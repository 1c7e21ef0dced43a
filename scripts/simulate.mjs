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
// The tests share the thousand seeds among twenty files; seeds that were asked for run in one.
const isOwn = Object.keys(values).length === 0;
const parts = isOwn ? Array.from({ length: 20 }, (_, index) => index + 1) : [1];
const files = parts.map((part) => `tests/src/simulation/seeds-${String(part).padStart(2, '0')}.test.ts`);
const args = [
  '--import',
  'tsx',
  '--conditions=source',
  '--test',
  '--test-concurrency=2',
  '--test-reporter=spec',
  ...files,
];
process.exitCode = await run(process.execPath, args);
