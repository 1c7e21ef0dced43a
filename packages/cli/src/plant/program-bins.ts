import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { CliError } from '../cli-error.js';

export type ProgramName = 'api' | 'conductor' | 'broker' | 'agent';

const require = createRequire(import.meta.url);

/** Path of a program's own bin. @throws CliError `not_built` when the package is there and not built. */
export function programBin(name: ProgramName): string {
  const folder = packageFolder(name);
  const bin = path.join(folder, 'bin', `torcello-${name}.js`);
  if (!existsSync(bin)) throw new CliError('not_built', `the program ${bin} is missing`, { cure: 'npm run build' });
  return bin;
}

/**
 * Arguments of Node that make a program end when the process that started it is gone; it must be started with an `ipc`
 * channel.
 */
export function endWithParent(): readonly string[] {
  return ['--import', pathToFileURL(ownBin('end-with-parent')).href];
}

/** Path of a script of this package. */
export function ownBin(name: string): string {
  return path.join(packageFolder('cli'), 'bin', `${name}.js`);
}

/** The agent as one file, as the API serves it; undefined when it was not bundled. */
export function agentBundle(): string | undefined {
  const file = path.join(packageFolder('agent'), 'dist', 'torcello-agent.mjs');
  return existsSync(file) ? file : undefined;
}

function packageFolder(name: ProgramName | 'cli'): string {
  return path.dirname(require.resolve(`@torcello/${name}/package.json`));
}
