import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '@torcello/platform';

const reserveName = 'reserve';
const blockBytes = 64 * 1024;

/**
 * A file that only takes room. On a full disk it is removed, so that acknowledgements, which need a little room to be
 * written down, go on; it is made again when there is room.
 */
export class DiskReserve {
  readonly #file: string;
  readonly #bytes: number;
  readonly #random: Random;

  constructor(folder: string, options: { readonly bytes: number; readonly random: Random }) {
    this.#file = join(folder, reserveName);
    this.#bytes = options.bytes;
    this.#random = options.random;
  }

  /** Takes the room, unless it has it already. @throws Node's system error when there is none. */
  take(): void {
    if (statSync(this.#file, { throwIfNoEntry: false })?.size === this.#bytes) return;
    const block = Buffer.from(this.#random.bytes(Math.min(blockBytes, this.#bytes)));
    writeFileSync(this.#file, Buffer.alloc(this.#bytes, block), { mode: 0o600 });
  }

  /** Gives the room back. False when there was none to give. */
  release(): boolean {
    if (statSync(this.#file, { throwIfNoEntry: false }) === undefined) return false;
    rmSync(this.#file, { force: true });
    return true;
  }
}
