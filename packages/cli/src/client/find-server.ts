import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CliContext } from '../context.js';
import { dataFolderFiles, defaultApiAddress, defaultDataFolder, readRunningAddress } from '../plant/data-folder.js';
import type { ServerAddress } from './http.js';

/**
 * Where the API is: `TORCELLO_URL` and `TORCELLO_TOKEN` win; else what a running `torcello up` wrote into the data
 * folder; else the default address.
 */
export async function findServer(
  context: Pick<CliContext, 'env' | 'cwd'>,
  options: { readonly data?: string | undefined },
): Promise<ServerAddress> {
  const folder = path.resolve(context.cwd, options.data ?? defaultDataFolder);
  const files = dataFolderFiles(folder);
  const fromFolder = (await readRunningAddress(files))?.api;
  const url = context.env['TORCELLO_URL'] ?? fromFolder ?? `http://${defaultApiAddress}`;
  const token = context.env['TORCELLO_TOKEN'] ?? (await readTrimmed(files.adminToken));
  return { url: url.replace(/\/+$/, ''), token, foundIn: sourceOf(context.env, folder, fromFolder) };
}

function sourceOf(env: CliContext['env'], folder: string, fromFolder: string | undefined): string {
  if (env['TORCELLO_URL'] !== undefined) return 'TORCELLO_URL';
  return fromFolder === undefined ? `the default, nothing runs from ${folder}` : `the data folder ${folder}`;
}

async function readTrimmed(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch {
    return undefined;
  }
}
