/** `npm run chaos -- --seed S --minutes M [--broker embedded|rabbit] [--only WORDS]`: real programs under faults; one line says what came out. */
import { parseArgs } from 'node:util';
import { startRabbit } from './brokers.js';
import { runCampaign } from './campaign.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string' },
    broker: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const minutes = Number(values.minutes ?? 1);
const broker = values.broker ?? 'embedded';
if (!Number.isInteger(seed) || !(minutes > 0) || !['embedded', 'rabbit'].includes(broker)) {
  throw new TypeError('--seed takes a whole number, --minutes a number above 0, --broker embedded or rabbit');
}
// Whoever interrupts it finds no small disk left.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const rabbit = broker === 'rabbit' ? await startRabbit() : undefined;
const result = await runCampaign({
  seed,
  minutes,
  only: values.only,
  ...(rabbit === undefined ? {} : { rabbit }),
  say: (line) => console.error(line),
});
await rabbit?.end();
const { lost, doubled, overlappingLeases, stuck, outputGaps } = result;
const violations = { lost, doubled, 'overlapping-leases': overlappingLeases, stuck, 'output-gaps': outputGaps };
for (const [name, found] of Object.entries(violations)) for (const what of found) console.log(`${name}: ${what}`);
console.error(`resumed ${result.resumed}, longest ${(result.longestMs / 1000).toFixed(1)} s`);
for (const fault of result.missing) console.log(`NOT INJECTED: ${fault}`);
const counts = Object.entries(violations).map(([name, found]) => `${name} ${found.length}`);
console.log(
  `deployments ${result.deployments} faults ${result.faults} ${counts.join(' ')} seed ${seed}` +
    (result.missing.length > 0 ? ` (${result.missing.length} kinds of faults not injected)` : ''),
);
if (Object.values(violations).some((found) => found.length > 0)) {
  const narrowed = values.only === '' ? '' : ` --only ${JSON.stringify(values.only)}`;
  console.log(`again: npm run chaos -- --seed ${seed} --minutes ${minutes} --broker ${broker}${narrowed}`);
  process.exitCode = 1;
}
