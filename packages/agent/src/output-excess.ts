import { execFile } from 'node:child_process';
import { createHash, type Hash } from 'node:crypto';
import { promisify } from 'node:util';
import type { OutputFile } from './step-machine.js';

export interface OutputExcessOptions {
  readonly path: string;
  /** Where the excess begins. */
  readonly from: number;
  /** So much of it stays on the disk. */
  readonly bytesMax: number;
  /** Of an earlier agent: bytes that the file's length does not count. Undefined: it gave nothing back. */
  readonly lostBytes: number | undefined;
  /** Called before anything is given back; `lostBytes` in all will not be counted by the file's length. */
  readonly onLoss: (lostBytes: number) => Promise<void>;
}

const readBytes = 1_048_576;
/** Hashed in one go, so that other streams get their turn. */
const tendBytes = 8 * readBytes;

/**
 * What a step writes beyond the limit of its output: hashed, counted, and given back to the disk while the step goes on
 * writing. The room is given back by a hole in the file, which keeps its length; where the system cannot make one, the
 * file is cut, which may miss a write of that moment. An agent that takes over after that does not know the hash.
 */
export class OutputExcess {
  readonly #options: OutputExcessOptions;
  /** Undefined when bytes are gone that were not hashed. */
  #hash: Hash | undefined;
  /** Everything before is hashed, counted from the start of the file as it is. */
  #position = 0;
  #freedTo: number;
  #lostBytes: number;
  #isRecorded: boolean;

  constructor(options: OutputExcessOptions) {
    this.#options = options;
    this.#hash = options.lostBytes === undefined ? createHash('sha256') : undefined;
    this.#lostBytes = options.lostBytes ?? 0;
    this.#isRecorded = options.lostBytes !== undefined;
    this.#freedTo = options.from;
  }

  /** Hashes what is new, and gives room back when there is enough of it. True: there is more to hash. */
  async tend(file: OutputFile): Promise<boolean> {
    const { size } = await file.stat();
    await this.#readOn(file, Math.min(size, this.#position + tendBytes));
    const isBehind = this.#position < size;
    if (this.#position - this.#freedTo >= this.#options.bytesMax) await this.#free(file);
    return isBehind;
  }

  /** Length and hash of everything that was written up to now. */
  async end(file: OutputFile): Promise<{ readonly offset: number; readonly sha256: string | undefined }> {
    await this.#readOn(file, (await file.stat()).size);
    const sha256 = this.#hash?.copy().digest('hex');
    return { offset: this.#position + this.#lostBytes, sha256 };
  }

  async #readOn(file: OutputFile, to: number): Promise<void> {
    if (this.#hash === undefined) {
      this.#position = to;
      return;
    }
    const buffer = Buffer.allocUnsafe(readBytes);
    while (this.#position < to) {
      const length = Math.min(readBytes, to - this.#position);
      const { bytesRead } = await file.read(buffer, 0, length, this.#position);
      if (bytesRead === 0) return;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#position += bytesRead;
    }
  }

  async #free(file: OutputFile): Promise<void> {
    if (!this.#isRecorded) await this.#options.onLoss(this.#lostBytes);
    this.#isRecorded = true;
    if (await punchHole(this.#options.path, { from: this.#freedTo, to: this.#position })) {
      this.#freedTo = this.#position;
      return;
    }
    this.#lostBytes += this.#position - this.#options.from;
    await this.#options.onLoss(this.#lostBytes);
    await file.truncate(this.#options.from);
    this.#position = this.#options.from;
    this.#freedTo = this.#options.from;
  }
}

/** SHA-256 of the first bytes of a file, hexadecimal; undefined when it has fewer. */
export async function sha256Of(file: OutputFile, bytes: number): Promise<string | undefined> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(readBytes, bytes)));
  for (let position = 0; position < bytes;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, bytes - position), position);
    if (bytesRead === 0) return undefined;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return hash.digest('hex');
}

/** False where the system or its `fallocate` (of util-linux; Node has no call for it) cannot. */
async function punchHole(file: string, range: { readonly from: number; readonly to: number }): Promise<boolean> {
  const length = range.to - range.from;
  const words = ['--punch-hole', '--keep-size', '--offset', String(range.from), '--length', String(length), file];
  return await promisify(execFile)('fallocate', words).then(
    () => true,
    () => false,
  );
}
