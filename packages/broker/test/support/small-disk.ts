import { MemoryStore, StoreFull, emptyDisk } from '../../src/index.js';
import type { MemoryDisk, StoreOperation } from '../../src/index.js';

/** A store on a disk that the test fills and empties: a full one takes nothing at all. */
export class SmallDiskStore extends MemoryStore {
  readonly disk: MemoryDisk;
  isFull = false;

  constructor(disk: MemoryDisk = emptyDisk()) {
    super(disk);
    this.disk = disk;
  }

  override async commit(operations: readonly StoreOperation[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.isFull) throw new StoreFull();
    return super.commit(operations);
  }
}
