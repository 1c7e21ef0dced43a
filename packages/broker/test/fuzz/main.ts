import process from 'node:process';
import { inspect, parseArgs } from 'node:util';
import { fuzzFrames } from './fuzz-frames.js';

/** `npm run broker:fuzz -- --seed S --frames N`: its last line is `frames N failures 0 … seed S`. */
const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, frames: { type: 'string', default: '10000000' } },
});
const seed = Number(values.seed);
const { frames, closes, failures, slowestMs } = await fuzzFrames({ seed, frames: Number(values.frames) });
for (const failure of failures.slice(0, 5)) process.stdout.write(`${inspect(failure, { depth: 4 })}\n`);
const memoryMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
const figures = `closes ${closes} slowest ${Math.round(slowestMs)} ms memory ${memoryMiB} MiB`;
process.stdout.write(`frames ${frames} failures ${failures.length} ${figures} seed ${seed}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;
