/**
 * Makes the agent one file that needs nothing but Node: packages/agent/dist/torcello-agent.mjs, from the sources. Prints
 * its size and SHA-256.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('../', import.meta.url));
const file = `${root}packages/agent/dist/torcello-agent.mjs`;

const bundle = await rolldown({
  input: `${root}packages/agent/src/main.ts`,
  cwd: root,
  platform: 'node',
  // The oldest Node that the agent promises to run on knows no `using`.
  transform: { target: 'node20.19' },
  resolve: { conditionNames: ['source', 'import', 'node'] },
  onLog: (level, log) => {
    if (level === 'warn') throw new Error(log.message);
  },
});
const { output } = await bundle.generate({
  format: 'esm',
  codeSplitting: false,
  // Names stay, so that a stack trace means something.
  minify: { compress: true, mangle: false, codegen: false },
  banner: '#!/usr/bin/env node',
});
await bundle.close();

// In one go: an API that starts meanwhile finds the old file or the new one.
mkdirSync(path.dirname(file), { recursive: true });
writeFileSync(`${file}.new`, output[0].code, { mode: 0o755 });
renameSync(`${file}.new`, file);

const bytes = readFileSync(file);
const digest = createHash('sha256').update(bytes).digest('hex');
console.log(`${file.slice(root.length)}: ${bytes.length} bytes, SHA-256 ${digest}`);
