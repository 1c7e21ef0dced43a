import process from 'node:process';
import { parseArgs } from 'node:util';
import { soak } from './soak.js';

/**
 * `npm run broker:soak -- --seed S --minutes M [--snapshots FOLDER]`: the traffic of a fleet in cycles of half a minute, with
 * a line of figures for each; its last line is `confirmed N delivered N lost 0 wrong 0 drift 0 connections N seed S`.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
    snapshots: { type: 'string' },
  },
});
const busyMs = 24_000;
const cycleMs = 30_000;
const seed = Number(values.seed);
const cycles = Math.max(1, Math.round((Number(values.minutes) * 60_000) / cycleMs));
const report = (line: string): void => void process.stdout.write(`${line}\n`);
const { snapshots } = values;
const done = await soak({ seed, cycles, busyMs, report, ...(snapshots === undefined ? {} : { snapshots }) });
for (const line of done.drifts) report(line);
const { confirmed, delivered, lost, connections, wrongs, drifts } = done;
const verdict = `lost ${lost} wrong ${wrongs.length} drift ${drifts.length}`;
report(`confirmed ${confirmed} delivered ${delivered} ${verdict} connections ${connections} seed ${seed}`);
process.exitCode = lost + wrongs.length + drifts.length === 0 ? 0 : 1;
