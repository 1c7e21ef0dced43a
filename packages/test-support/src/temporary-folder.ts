import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const removeAttempts = 100;
const removePauseMs = 50;

/** A fresh folder; `remove` deletes it with everything in it. */
export function temporaryFolder(name: string): { readonly path: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), `torcello-${name}-`));
  return { path: folder, remove: () => removeFolder(folder) };
}

/**
 * Deletes a folder with everything in it, also while a process that is about to end still writes there: what it adds
 * between the listing and the removal makes the attempt fail with ENOTEMPTY, and the whole of it is tried again.
 */
export function removeFolder(folder: string): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      rmSync(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if (!isNotEmpty(error) || attempt === removeAttempts) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, removePauseMs);
    }
  }
}

function isNotEmpty(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOTEMPTY';
}
