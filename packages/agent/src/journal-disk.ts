import { link, mkdir, open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { systemCode } from './errors.js';
import { syncFolder } from './files-sync.js';

/**
 * What a journal asks of a disk. Nothing is durable before its `sync`: a name in a folder not before that of the folder,
 * bytes not before that of the file; and a power loss may keep any part of what was not synced.
 */
export interface JournalDisk {
  makeFolder(folder: string): Promise<void>;
  /** Undefined when there is no such file. */
  read(file: string): Promise<Buffer | undefined>;
  /** `append`: goes on behind what is there, and makes the file where there is none. `new`: there is none yet. */
  open(file: string, how: 'append' | 'new'): Promise<JournalFile>;
  rename(from: string, to: string): Promise<void>;
  /** Gives a file a second name. */
  link(from: string, to: string): Promise<void>;
  /** Does nothing when there is no such file. */
  remove(file: string): Promise<void>;
  syncFolder(folder: string): Promise<void>;
}

export interface JournalFile {
  /** Rejects with a system error; then any part may have been written. */
  append(bytes: Uint8Array): Promise<void>;
  truncate(length: number): Promise<void>;
  /** Content and length are durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The machine's disk. */
export const systemDisk: JournalDisk = {
  makeFolder: async (folder) => void (await mkdir(folder, { recursive: true, mode: 0o700 })),
  read: async (file) =>
    await readFile(file).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }),
  open: async (file, how) => systemFile(await open(file, how === 'append' ? 'a' : 'wx', 0o600)),
  rename,
  link,
  remove: (file) => rm(file, { force: true }),
  syncFolder,
};

/** Whether a write failed for want of room, by the disk or by the user's quota. */
export function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '');
}

function systemFile(handle: FileHandle): JournalFile {
  return {
    append: (bytes) => handle.appendFile(bytes),
    truncate: (length) => handle.truncate(length),
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
}
