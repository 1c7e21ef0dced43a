import type { DataFolder } from './data-folder.js';
import type { DiskReserve } from './disk-reserve.js';
import { defaultLimits } from './limits.js';
import { LmdbStore } from './store/lmdb-store.js';
import { StoreFull } from './store/message-store.js';

/**
 * What a broker left in its journal when it was killed on a full disk finds its room in the reserve.
 * @param lowBytes - room on the disk, in bytes, below which publishes wait.
 */
export function openStore(
  folder: DataFolder,
  reserve: DiskReserve,
  lowBytes: number = defaultLimits.diskFreeBytesMin,
): LmdbStore {
  const open = (): LmdbStore => new LmdbStore(folder.database, () => folder.freeBytes(), lowBytes);
  try {
    return open();
  } catch (error) {
    if (!(error instanceof StoreFull) || !reserve.release()) throw error;
    return open();
  }
}
