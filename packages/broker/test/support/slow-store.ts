import { MemoryStore } from '../../src/index.js';
import type { StoreOperation } from '../../src/index.js';

/** A store whose commits end when the test says so. */
export class SlowStore extends MemoryStore {
  readonly batches: (readonly StoreOperation[])[] = [];
  readonly #endings: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  /** Whether commits wait for `end`. */
  isSlow = true;

  override commit(operations: readonly StoreOperation[]): Promise<void> {
    this.batches.push(operations);
    if (!this.isSlow) return Promise.resolve();
    return new Promise((resolve, reject) => this.#endings.push({ resolve, reject }));
  }

  /** Ends the oldest running commit. */
  end(error?: Error): void {
    const ending = this.#endings.shift();
    if (error === undefined) ending?.resolve();
    else ending?.reject(error);
  }

  /** Ends all commits, also those to come. */
  quicken(): void {
    this.isSlow = false;
    for (const { resolve } of this.#endings.splice(0)) resolve();
  }
}
