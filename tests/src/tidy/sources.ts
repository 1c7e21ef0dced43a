import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SourceFile } from './layers.js';

/** The folder of the checkout. */
export const root: string = findRoot(path.dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  return existsSync(path.join(folder, 'package-lock.json')) ? folder : findRoot(path.dirname(folder));
}

/** Every file that git tracks or would track. */
export function trackedFiles(): readonly string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return listed.split('\n').filter((file) => file !== '' && existsSync(path.join(root, file)));
}

export const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** The programs' sources, with paths below `packages/`; test support is not among them. */
export function packageSources(): readonly SourceFile[] {
  return trackedFiles()
    .filter((file) => /^packages\/(?!test-support\/)[^/]+\/src\/.*\.ts$/.test(file))
    .map((file) => ({ path: file.slice('packages/'.length), text: read(file) }));
}
