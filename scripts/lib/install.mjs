import { existsSync } from 'node:fs';
import { root, run } from './run.mjs';

/** Installs the dependencies of the lock file when there are none yet. Nothing runs an install script. */
export async function installDependencies() {
  if (existsSync(`${root}node_modules/.package-lock.json`)) return;
  const code = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] });
  if (code !== 0) throw new Error(`npm ci ended with exit code ${code}; its output stands above`);
}
