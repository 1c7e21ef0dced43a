import type { DataFolder } from './data-folder.js';
import type { DiskReserve } from './disk-reserve.js';
import { LmdbStore } from './store/lmdb-store.js';
import { StoreFull } from './store/message-store.js';

/** What a broker left in its journal when it was killed on a full disk finds its room in the reserve. */
export function openStore(folder: DataFolder, reserve: DiskReserve): LmdbStore {
  const open = (): LmdbStore => new LmdbStore(folder.database, () => folder.freeBytes());
  try {
    return open();
  } catch (error) {
    if (!(error instanceof StoreFull) || !reserve.release()) throw error;
    return open();
  }
}
