/**
 * `npm run quickstart` in a clone that may have neither dependencies nor a build: installs, builds, then plays the
 * quickstart in this very process. Until the install it may use nothing but Node. Stdout belongs to the quickstart.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const nodeMajorMin = 20;
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < nodeMajorMin || (major === nodeMajorMin && minor < 19)) {
  fail(`Torcello needs Node 20.19 or newer; this is ${process.version}`);
} else if (!isInstalled() && !(await install())) {
  fail('the dependencies could not be installed; what npm said stands above');
} else {
  await play();
}

async function play() {
  const { build } = await import('./build.mjs');
  if (!build()) return fail('the build failed; what the compiler said stands above');
  const main = path.join(root, 'packages', 'cli', 'dist', 'src', 'quickstart', 'main.js');
  const { quickstartMain } = await import(pathToFileURL(main).href);
  process.exitCode = await quickstartMain(process.argv.slice(2), root);
}

/** Whether everything that the lock names is there in its version. npm writes what it installed into a file. */
function isInstalled() {
  const done = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(done)) return false;
  const installed = packagesOf(done);
  return Object.entries(packagesOf(path.join(root, 'package-lock.json')))
    .filter(([place, { optional, link }]) => place.startsWith('node_modules/') && optional !== true && link !== true)
    .every(([place, { version }]) => installed[place]?.version === version);
}

function packagesOf(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages ?? {};
}

/** Resolves with whether `npm ci` went well. A signal that comes meanwhile ends npm, and with it this process. */
function install() {
  process.stderr.write('Installing the dependencies (npm ci)\n');
  const child = spawn('npm', ['ci', '--ignore-scripts'], { cwd: root, stdio: ['ignore', 2, 2] });
  const forward = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
  return new Promise((resolve) => {
    child.once('error', (error) => {
      process.stderr.write(`npm: ${error.message}\n`);
      resolve(false);
    });
    child.once('exit', (code) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, forward);
      resolve(code === 0);
    });
  });
}

function fail(text) {
  process.stderr.write(`quickstart: ${text}\n`);
  process.exitCode = 1;
}
