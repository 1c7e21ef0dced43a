import fs from 'node:fs';
import path from 'node:path';
import { hexId } from '@torcello/platform';
import type { Context } from '../context.js';
import { Refusal } from '../errors.js';

const prefix = 'snapshot-';

/** A copy of the database in a file of its own, for its owner only. */
export interface Snapshot {
  readonly file: string;
  readonly bytes: number;
  readonly madeAtMs: number;
  /** Takes the file away. */
  readonly remove: () => void;
}

/** Copies of the database for backups: beside the database, gone when they were fetched. */
export class Snapshots {
  readonly #context: Context;
  readonly #folder: string;
  #isCopying = false;

  constructor(context: Context, folder: string) {
    this.#context = context;
    this.#folder = folder;
    // What a process that was killed had begun.
    for (const name of fs.readdirSync(folder)) if (name.startsWith(prefix)) fs.rmSync(path.join(folder, name));
  }

  /** One at a time: two would only slow each other down. @throws Refusal overloaded, not_ready. */
  async make(): Promise<Snapshot> {
    if (this.#isCopying) throw new Refusal('overloaded', 'another backup is being made', { cure: 'try again later' });
    this.#isCopying = true;
    const file = path.join(this.#folder, `${prefix}${hexId(this.#context.random)}.sqlite`);
    const remove = (): void => fs.rmSync(file, { force: true });
    try {
      fs.writeFileSync(file, '', { mode: 0o600, flag: 'wx' });
      await this.#context.store.copyTo(file);
      return { file, bytes: fs.statSync(file).size, madeAtMs: this.#context.clock.now(), remove };
    } catch (cause) {
      remove();
      throw new Refusal('not_ready', 'the database could not be copied', {
        cause,
        cure: 'see whether there is room in the data folder, and the log of the API',
      });
    } finally {
      this.#isCopying = false;
    }
  }
}
