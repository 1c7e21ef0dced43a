import { tool } from './run.mjs';

/** What can be said of the sources without running them; each counts as one test. */
export const staticChecks = [
  { name: 'format', run: () => tool('oxfmt', ['--check', '.']) },
  { name: 'lint', run: () => tool('oxlint', ['--type-aware', '--deny-warnings']) },
  { name: 'types', run: () => tool('tsc', ['-b']) },
  { name: 'dead code', run: () => tool('knip', ['--no-config-hints']) },
];

/** Runs them one after the other; resolves with the counts. */
export async function runStaticChecks() {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const check of staticChecks) {
    const hasPassed = (await check.run()) === 0;
    counts[hasPassed ? 'passed' : 'failed'] += 1;
    console.log(`${hasPassed ? 'ok     ' : 'FAILED '} ${check.name}`);
  }
  return counts;
}
