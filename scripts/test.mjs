/**
 * `npm test`: everything. Installs and builds where that has not been done, starts one RabbitMQ for the whole run, and
 * prints `N passed, N failed` as its last line. With CI=true a test that was skipped counts as failed: there every
 * foreign program can be installed.
 */
import { installDependencies } from './lib/install.mjs';

await installDependencies();
const { root, run } = await import('./lib/run.mjs');
const { runStaticChecks } = await import('./lib/static-checks.mjs');
const { runTestsWithSecondLook, testFiles } = await import('./lib/tests.mjs');

const filters = process.argv.slice(2);
const files = testFiles({ peers: true }).filter((file) => filters.every((filter) => file.includes(filter)));
const still = filters.length > 0 ? { passed: 0, failed: 0 } : await runStaticChecks();
if ((await run(process.execPath, ['scripts/build.mjs'])) !== 0) still.failed += 1;

const { rabbitMqMissing, shareRabbitMq, startRabbitMq } = await import(
  `${root}packages/test-support/dist/src/index.js`
);
const missing = rabbitMqMissing();
if (missing !== undefined)
  console.log(`\nSKIPPING every test with RabbitMQ: ${missing}; node scripts/install-peers.mjs does it\n`);
const rabbit = missing === undefined ? await startRabbitMq({ own: true }) : undefined;
const moving = await runTestsWithSecondLook(files, { env: rabbit === undefined ? {} : shareRabbitMq(rabbit) });
await rabbit?.stop();

const isCi = process.env.CI === 'true';
if (isCi && moving.skipped > 0) console.log(`${moving.skipped} skipped tests count as failed in CI`);
const passed = still.passed + moving.passed;
const failed = still.failed + moving.failed + (isCi ? moving.skipped : 0);
console.log(`${passed} passed, ${failed} failed${moving.skipped > 0 && !isCi ? `, ${moving.skipped} skipped` : ''}`);
process.exitCode = failed === 0 ? 0 : 1;
