#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/bridge/main.js', import.meta.url);
if (existsSync(main)) {
  const program = await import(main.href);
  process.exitCode = await program.main(process.argv.slice(2));
} else {
  process.stderr.write('torcello-murano-bridge: not built yet\n  try: npm run build\n');
  process.exitCode = 1;
}
