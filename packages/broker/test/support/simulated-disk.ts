import { MemoryStore, StoreFull, emptyDisk } from '../../src/index.js';
import type { MemoryDisk, StoreOperation } from '../../src/index.js';

/** What happens to the commit with a given number. */
export type DiskFault = 'EIO' | 'ENOSPC' | 'power-loss-before-sync' | 'power-loss-after-sync';

/**
 * A store whose disk loses power, or fails, at its k-th commit. What was synced before is on `disk`, which a second
 * store may be opened over; a commit is there as a whole or not at all. After a commit that found no room (ENOSPC) the disk goes on.
 */
export class SimulatedDiskStore extends MemoryStore {
  readonly disk: MemoryDisk;
  readonly #fault: { readonly kind: DiskFault; readonly atCommit: number };
  #commits = 0;
  #isArmed = false;
  #isDead = false;
  #hasFailed = false;

  constructor(fault: { readonly kind: DiskFault; readonly atCommit: number }, disk: MemoryDisk = emptyDisk()) {
    super(disk);
    this.disk = disk;
    this.#fault = fault;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Commits count from now on. */
  arm(): void {
    this.#isArmed = true;
  }

  override async commit(operations: readonly StoreOperation[]): Promise<void> {
    if (this.#isDead) return new Promise(() => undefined);
    const isNow = this.#isArmed && ++this.#commits === this.#fault.atCommit;
    await new Promise((resolve) => setImmediate(resolve));
    if (!isNow) return super.commit(operations);
    const { kind } = this.#fault;
    this.#hasFailed = true;
    if (kind === 'ENOSPC') throw new StoreFull();
    this.#isDead = true;
    if (kind === 'power-loss-after-sync') await super.commit(operations);
    if (kind === 'EIO') throw Object.assign(new Error(kind), { code: kind });
    return new Promise(() => undefined);
  }
}
