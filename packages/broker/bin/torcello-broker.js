#!/usr/bin/env node
import { statSync } from 'node:fs';
import process from 'node:process';

const at = (path) => new URL(`../${path}`, import.meta.url);
const changedMs = (path) => statSync(at(path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** The program in one file starts faster; in a checkout the modules may have been built anew after it. */
function program() {
  const [bundle, modules] = ['dist/torcello-broker.mjs', 'dist/src/main.js'];
  const bundledMs = changedMs(bundle);
  const builds = ['', '../amqp091/', '../platform/'].map((folder) => `${folder}dist/tsconfig.tsbuildinfo`);
  if (bundledMs > 0 && builds.every((build) => changedMs(build) <= bundledMs)) return bundle;
  return changedMs(modules) > 0 ? modules : undefined;
}

const file = program();
if (file === undefined) {
  process.stderr.write('torcello-broker: not built yet; run "npm run build" first\n');
  process.exitCode = 1;
} else {
  const { main } = await import(at(file).href);
  process.exitCode = await main(process.argv.slice(2));
}
