import process from 'node:process';
import { parseArgs } from 'node:util';
import { temporaryFolder } from '@torcello/test-support';
import { crashCampaign } from './campaign.js';
import { bundleBroker } from './program.js';

/** `npm run broker:crash -- --seed S --cycles N`: its last line is `confirmed N lost 0 invented 0 cycles N seed S`. */
const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, cycles: { type: 'string', default: '200' } },
});
const [seed, cycles] = [Number(values.seed), Number(values.cycles)];
const folder = temporaryFolder('broker-crash');
const report = (line: string): void => void process.stdout.write(`${line}\n`);
const result = await crashCampaign({ program: await bundleBroker(), folder: folder.path, seed, cycles, report });
const isRight = result.lost + result.invented + result.disorders === 0;
if (result.disorders > 0) report(`the order was broken in ${result.disorders} cycles`);
if (isRight) folder.remove();
else report(`the data folder is kept: ${folder.path}`);
report(`confirmed ${result.confirmed} lost ${result.lost} invented ${result.invented} cycles ${cycles} seed ${seed}`);
process.exitCode = isRight ? 0 : 1;
