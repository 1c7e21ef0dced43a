import { lstat, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { limits } from '@torcello/contracts';
import { zipSync } from 'fflate';
import { CliError, systemCode, usageError } from '../cli-error.js';

/** One time for all entries: the same folder makes the same bytes, and the API knows them again. */
const entryTime = new Date(1980, 0, 1);

/**
 * A package ready to be sent: a zip as it is, a folder zipped. Files and folders whose name begins with a dot stay out.
 * @throws CliError when it is neither, holds something that a package cannot hold, or is over a limit.
 */
export async function packageArchive(source: string): Promise<Uint8Array> {
  const stat = await statOf(source);
  const archive = stat.isDirectory() ? await zipFolder(source) : new Uint8Array(await readFile(source));
  if (!stat.isDirectory() && !isZip(archive)) {
    throw usageError(
      `${source} is neither a folder nor a zip`,
      'name a package folder (with manifest.yaml) or its zip',
    );
  }
  const bytesMax = limits.packageBytesMax.value;
  if (archive.length > bytesMax) {
    throw usageError(`the package ${source} has ${archive.length} bytes, and packageBytesMax is ${bytesMax}`);
  }
  return archive;
}

async function zipFolder(folder: string): Promise<Uint8Array> {
  const files = new Map<string, Uint8Array>();
  await collect(folder, '', { files, bytes: 0 });
  if (!files.has('manifest.yaml')) {
    throw usageError(`${folder} has no manifest.yaml, so it is no package`, 'name the folder that holds manifest.yaml');
  }
  const sorted = [...files.keys()].toSorted().map((name) => [name, files.get(name) ?? new Uint8Array()] as const);
  return zipSync(Object.fromEntries(sorted), { mtime: entryTime, level: 6 });
}

async function collect(
  folder: string,
  prefix: string,
  into: { readonly files: Map<string, Uint8Array>; bytes: number },
): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.filter(({ name }) => !name.startsWith('.'))) {
    const file = path.join(folder, entry.name);
    const name = `${prefix}${entry.name}`;
    if (entry.isDirectory()) {
      await collect(file, `${name}/`, into);
    } else if (entry.isFile()) {
      into.bytes += (await lstat(file)).size;
      requireWithin(into.bytes, limits.packageUnpackedBytesMax.value, 'packageUnpackedBytesMax');
      into.files.set(name, new Uint8Array(await readFile(file)));
      requireWithin(into.files.size, limits.packageEntriesMax.value, 'packageEntriesMax');
    } else {
      throw usageError(
        `${file} is neither a file nor a folder`,
        'a package holds files and folders only; replace links by what they point to',
      );
    }
  }
}

function requireWithin(amount: number, max: number, name: string): void {
  if (amount > max) throw usageError(`the package is over ${name} (${max})`);
}

const isZip = (bytes: Uint8Array): boolean => bytes[0] === 0x50 && bytes[1] === 0x4b;

async function statOf(source: string): Promise<Awaited<ReturnType<typeof lstat>>> {
  try {
    return await lstat(source);
  } catch (error) {
    const code = systemCode(error) ?? 'unknown error';
    throw new CliError('no_file', code === 'ENOENT' ? `there is no ${source}` : `cannot read ${source} (${code})`, {
      cure: 'name a package folder (with manifest.yaml) or its zip',
    });
  }
}
