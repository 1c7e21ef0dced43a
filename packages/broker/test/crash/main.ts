import process from 'node:process';
import { parseArgs } from 'node:util';
import { crashCampaign } from './campaign.js';
import { crashKinds, crashMethod, CrashMethodMissing } from './methods.js';
import type { CrashMethod } from './methods.js';
import { bundleBroker } from './program.js';

/**
 * `npm run broker:crash -- --seed S --cycles N [--kind kill|io|power|power-lie]`: its last line is
 * `confirmed N lost 0 invented 0 cycles N seed S`. `kill` is kill -9, `io` fails every k-th call of the database with EIO,
 * ENOSPC or a short write and every k-th sync with EIO, `power` cuts off an ext4 file system, `power-lie` does so while syncs do nothing,
 * and is meant to show losses.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    cycles: { type: 'string', default: '200' },
    kind: { type: 'string', default: 'kill' },
  },
});
const [seed, cycles] = [Number(values.seed), Number(values.cycles)];
const report = (line: string): void => void process.stdout.write(`${line}\n`);
const method = methodNamed(values.kind);
if (method !== undefined) await campaign(method);

function methodNamed(name: string): CrashMethod | undefined {
  const kind = crashKinds.find((known) => known === name);
  if (kind === undefined) throw new Error(`--kind ${name} is none of ${crashKinds.join(', ')}`);
  try {
    return crashMethod(kind);
  } catch (error) {
    if (!(error instanceof CrashMethodMissing)) throw error;
    report(`SKIPPED: ${kind} cannot be tried on this machine: ${error.message}`);
    return undefined;
  }
}

async function campaign(chosen: CrashMethod): Promise<void> {
  const program = await bundleBroker();
  const { confirmed, lost, invented, disorders } = await crashCampaign({
    program,
    method: chosen,
    seed,
    cycles,
    report,
  });
  const isRight = lost + invented + disorders === 0;
  if (disorders > 0) report(`the order was broken in ${disorders} cycles`);
  if (isRight || values.kind.startsWith('power')) chosen.remove();
  else report(`the data folder is kept: ${chosen.folder}`);
  report(`confirmed ${confirmed} lost ${lost} invented ${invented} cycles ${cycles} seed ${seed}`);
  process.exitCode = isRight ? 0 : 1;
}
