/** `npm run chaos -- --seed S --minutes M [--broker embedded|rabbit]`: real programs under faults; one line says what came out. */
import { parseArgs } from 'node:util';
import { startRabbitMq } from '@torcello/test-support';
import { runCampaign } from './campaign.js';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, minutes: { type: 'string' }, broker: { type: 'string' } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const minutes = Number(values.minutes ?? 1);
const broker = values.broker ?? 'embedded';
if (!Number.isInteger(seed) || !(minutes > 0) || !['embedded', 'rabbit'].includes(broker)) {
  throw new TypeError('--seed takes a whole number, --minutes a number above 0, --broker embedded or rabbit');
}
const rabbit = broker === 'rabbit' ? await startRabbitMq({ own: true }) : undefined;
const result = await runCampaign({
  seed,
  minutes,
  ...(rabbit === undefined ? {} : { rabbit: rabbit.url() }),
  say: (line) => console.error(line),
});
await rabbit?.stop();
const { deployments, faults, lost, doubled, overlappingLeases, stuck, outputGaps } = result;
console.log(
  `deployments ${deployments} faults ${faults} lost ${lost} doubled ${doubled} overlapping-leases ${overlappingLeases} stuck ${stuck} output-gaps ${outputGaps} seed ${seed}`,
);
if (lost + doubled + overlappingLeases + stuck + outputGaps > 0) {
  console.log(`again: npm run chaos -- --seed ${seed} --minutes ${minutes} --broker ${broker}`);
  process.exitCode = 1;
}
