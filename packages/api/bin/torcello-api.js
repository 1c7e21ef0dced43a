#!/usr/bin/env node
import { existsSync } from 'node:fs';
import process from 'node:process';

const built = new URL('../dist/src/main.js', import.meta.url);
if (existsSync(built)) {
  const { main } = await import(built.href);
  process.exitCode = await main(process.argv.slice(2), process.env);
} else {
  process.stderr.write('torcello-api: not built yet; run "npm run build" first\n');
  process.exitCode = 1;
}
