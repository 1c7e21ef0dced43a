/** `npm run check`: format, lint, types, dead code, and every test that needs nothing but Node. */
import { installDependencies } from './lib/install.mjs';

await installDependencies();
const { runStaticChecks } = await import('./lib/static-checks.mjs');
const { runTests, testFiles } = await import('./lib/tests.mjs');

const filters = process.argv.slice(2);
const files = testFiles({ peers: false }).filter((file) => filters.every((filter) => file.includes(filter)));
const still = await runStaticChecks();
const moving = await runTests(files);
const [passed, failed] = [still.passed + moving.passed, still.failed + moving.failed];
console.log(`${passed} passed, ${failed} failed${moving.skipped > 0 ? `, ${moving.skipped} skipped` : ''}`);
process.exitCode = failed === 0 ? 0 : 1;
