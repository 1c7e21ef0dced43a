import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';
import { root } from './run.mjs';

/**
 * Makes a program one file, from the sources: `{ input, file, external? }`, paths from the root. Answers the code. In one go:
 * who looks meanwhile finds the old file or the new one.
 */
export async function bundle({ input, file, external = [] }) {
  const build = await rolldown({
    input: `${root}${input}`,
    cwd: root,
    platform: 'node',
    external,
    // The oldest Node that the programs promise to run on knows no `using`.
    transform: { target: 'node20.19' },
    resolve: { conditionNames: ['source', 'import', 'node'] },
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  const { output } = await build.generate({
    format: 'esm',
    codeSplitting: false,
    // Names stay, so that a stack trace means something.
    minify: { compress: true, mangle: false, codegen: false },
    banner: '#!/usr/bin/env node',
  });
  await build.close();
  const { code } = output[0];
  mkdirSync(path.dirname(`${root}${file}`), { recursive: true });
  writeFileSync(`${root}${file}.new`, code, { mode: 0o755 });
  renameSync(`${root}${file}.new`, `${root}${file}`);
  return code;
}
