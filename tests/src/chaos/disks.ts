import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, openSync, closeSync, rmSync, writeSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** A disk of a few megabytes that can be filled to the last byte. */
export interface SmallDisk {
  readonly folder: string;
  /** To the last byte, or until so many bytes are left. */
  fill(leftBytes?: number): Promise<void>;
  /** Gives the room back that `fill` took. */
  empty(): void;
  unmount(): void;
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
    fill: async (leftBytes = 0) => {
      const { bavail, bsize } = await statfs(folder);
      const bytes = bavail * bsize - leftBytes;
      if (bytes > 0) await promisify(execFile)('fallocate', ['-l', String(bytes), ballast]).catch(() => 0);
      if (leftBytes === 0) topUp(ballast);
    },
    empty: () => rmSync(ballast, { force: true }),
    unmount: () => unmount(folder),
  };
}

function unmount(folder: string): void {
  if (inUse.delete(folder)) execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
}

/** For a process that ends without having taken its small disks away. */
function unmountAll(): void {
  for (const folder of inUse) unmount(folder);
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
