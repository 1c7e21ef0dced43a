import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { zipSync } from 'fflate';

/** The folder as the archive that a package is imported from. */
export function zipFolder(folder: string): Uint8Array {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const files = names.map((entry) => path.join(entry.parentPath, entry.name));
  return zipSync(
    Object.fromEntries(files.map((file) => [path.relative(folder, file), new Uint8Array(readFileSync(file))])),
  );
}
