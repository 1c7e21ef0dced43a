import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/** Writes a whole file so that after any crash either the old or the new content is there, never a part. */
export async function writeFileDurably(file: string, body: Uint8Array | string, mode: number): Promise<void> {
  const temporary = `${file}.torcello-new`;
  // A file or link that somebody else put there is neither kept nor followed.
  await rm(temporary, { force: true });
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(body);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(path.dirname(file));
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
