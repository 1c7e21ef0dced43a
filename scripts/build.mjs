/**
 * Builds what runs: the packages below the command line, and agent and broker as one file each. Does nothing when no source is
 * newer than the last build. Needs the dependencies to be installed, and nothing else.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const packages = path.join(root, 'packages');
const stamp = path.join(packages, 'cli', 'dist', 'build.stamp');
/** What must be there after a build; when one is missing, the stamp means nothing. */
const made = [
  'cli/dist/src/main.js',
  'api/dist/src',
  'conductor/dist/src',
  'broker/dist/torcello-broker.mjs',
  'agent/dist/torcello-agent.mjs',
];
const skipped = new Set(['node_modules', 'dist']);

/** Builds unless all is up to date. What the tools say goes to stderr. Returns whether it went well. */
export function build() {
  if (isUpToDate()) return true;
  const startedAt = new Date();
  const isBuilt =
    run('node_modules/typescript/bin/tsc', ['-b', 'packages/cli']) &&
    run('scripts/bundle-agent.mjs', []) &&
    run('scripts/bundle-broker.mjs', []);
  if (isBuilt) {
    mkdirSync(path.dirname(stamp), { recursive: true });
    writeFileSync(stamp, `${startedAt.toISOString()}\n`);
  }
  return isBuilt;
}

function run(script, args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  return status === 0;
}

function isUpToDate() {
  if (!existsSync(stamp) || !made.every((file) => existsSync(path.join(packages, file)))) return false;
  const inputs = [packages, path.join(root, 'scripts'), path.join(root, 'tsconfig.base.json')];
  return Math.max(...inputs.map(newestMs)) <= statSync(stamp).mtimeMs;
}

/** When a file, or anything in a folder, was last changed. */
function newestMs(place) {
  const stat = statSync(place);
  if (!stat.isDirectory()) return stat.mtimeMs;
  const names = readdirSync(place).filter((name) => !skipped.has(name));
  return Math.max(stat.mtimeMs, ...names.map((name) => newestMs(path.join(place, name))));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = build() ? 0 : 1;
