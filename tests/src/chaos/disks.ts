import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, openSync, closeSync, rmSync, writeSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** A disk of a few megabytes that can be filled to the last byte. */
export interface SmallDisk {
  readonly folder: string;
  fill(): Promise<void>;
  /** Gives the room back that `fill` took. */
  empty(): void;
}

const inUse = new Set<string>();

/** Mounts a tmpfs of that size (`24m`) at the folder; undefined where this user may not mount. */
export function mountSmallDisk(folder: string, size: string): SmallDisk | undefined {
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  if (inUse.size === 0) process.once('exit', unmountAll);
  inUse.add(folder);
  const ballast = path.join(folder, 'ballast');
  return {
    folder,
    fill: async () => {
      const { bavail, bsize } = await statfs(folder);
      if (bavail > 0) await promisify(execFile)('fallocate', ['-l', String(bavail * bsize), ballast]).catch(() => 0);
      topUp(ballast);
    },
    empty: () => rmSync(ballast, { force: true }),
  };
}

/** Takes every small disk away again. */
export function unmountAll(): void {
  for (const folder of inUse) execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
  inUse.clear();
}

/** What was freed meanwhile: page by page until there is none. */
function topUp(file: string): void {
  const page = Buffer.alloc(4096);
  const handle = openSync(file, 'a');
  try {
    for (;;) writeSync(handle, page);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(handle);
  }
}
