import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './run.mjs';

/** A file that hangs fails by name instead of holding the run up. */
const fileTimeoutMs = 480_000;

/** Tests that start foreign programs or whole deployments; all others also belong to `npm run check`. */
const isPeerTest = (file) => file.endsWith('.peer.test.ts');

/** Every test file of the checkout. */
export function testFiles({ peers }) {
  const folders = ['packages', 'examples'].flatMap((place) =>
    readdirSync(root + place).map((name) => `${place}/${name}/test`),
  );
  return [...folders, 'tests/src']
    .flatMap(filesBelow)
    .filter((file) => file.endsWith('.test.ts') && (peers || !isPeerTest(file)))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** Runs test files from their sources, each in a process of its own; resolves with the counts and the files that had a failure. */
export function runTests(files, { env = {}, concurrency = 2 } = {}) {
  const args = [
    '--import',
    'tsx',
    '--conditions=source',
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${fileTimeoutMs}`,
  ];
  const reporter = ['--test-reporter=./scripts/lib/reporter.mjs', '--test-reporter-destination=stdout'];
  const child = spawn(process.execPath, [...args, ...reporter, ...files], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    let last = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      const lines = (last + text).split('\n');
      last = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('{"counts":')) resolve(readSummary(line));
        else process.stdout.write(`${line}\n`);
      }
    });
    child.once('error', reject);
    child.once('close', () => reject(new Error('the test runner ended without a count')));
  });
}

function readSummary(line) {
  const { counts, failedFiles } = JSON.parse(line);
  return { ...counts, failedFiles };
}

/**
 * Runs like `runTests`; where at most `filesToRepeatMax` files had a failure, each of them runs once more with nothing
 * beside it, and that second run decides. What failed only the first time is printed as UNSTABLE: it is a defect of the
 * test or of the product that only shows under load, to be mended, but not a reason to doubt the whole.
 */
export async function runTestsWithSecondLook(files, { env = {} } = {}) {
  const first = await runTests(files, { env });
  if (first.failed === 0 || first.failedFiles.length > filesToRepeatMax) return { ...first, unstable: 0 };
  console.log(`\nOnce more, with nothing beside them: ${first.failedFiles.join(' ')}`);
  const second = await runTests(first.failedFiles, { env, concurrency: 1 });
  const unstable = Math.max(0, first.failed - second.failed);
  if (unstable > 0) console.log(`UNSTABLE: ${unstable} failed in the whole run and passed alone (FAILED lines above)`);
  return { ...first, passed: first.passed + unstable, failed: second.failed, unstable };
}

const filesToRepeatMax = 3;

function filesBelow(folder) {
  try {
    return readdirSync(`${root}${folder}`, { recursive: true }).map((name) => path.join(folder, String(name)));
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}
