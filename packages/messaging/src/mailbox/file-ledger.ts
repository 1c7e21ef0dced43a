import { open, readFile, rename, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { LedgerBook, ledgerOver, type LedgerChange } from './ledger-book.js';
import type { MailboxLedger } from './ledger.js';

/** A ledger in a file. Close it when the program ends; nothing is lost by a crash. */
export interface FileLedger extends MailboxLedger, AsyncDisposable {
  /** Resolves when everything is on the disk and the file is closed. Safe to call twice. */
  close(): Promise<void>;
}

/** Changes in the file for each record that is alive, before it is written anew. */
const staleChangesMax = 8;
const changesMin = 1_000;

/**
 * Opens a ledger that one program keeps in a file: a line of JSON for each change, synced before its promise settles.
 * A line that was cut off by a crash is dropped (nobody was told that it was written); a damaged one inside the file is an
 * error. The file is written anew when most of it is out of date.
 * @throws Error with `cause` when the file cannot be read; SyntaxError that names the damaged line.
 */
export async function fileLedger(file: string): Promise<FileLedger> {
  const book = new LedgerBook();
  for (const change of await readChanges(file)) book.apply(change);
  const log = new ChangeLog(file, book);
  await log.rewrite();
  const close = (): Promise<void> => log.close();
  return { ...ledgerOver(book, (change) => log.append(change)), close, [Symbol.asyncDispose]: close };
}

/** Appends changes, several with one sync when they come together. */
class ChangeLog {
  readonly #file: string;
  readonly #book: LedgerBook;
  #handle: FileHandle | undefined;
  #waiting: { readonly line: string; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  #writing: Promise<void> | undefined;
  #lines = 0;
  #failure: unknown;

  constructor(file: string, book: LedgerBook) {
    this.#file = file;
    this.#book = book;
  }

  append(change: LedgerChange): Promise<void> {
    if (this.#failure !== undefined)
      return Promise.reject(new Error('the ledger failed earlier', { cause: this.#failure }));
    const line = `${JSON.stringify(change, encodeBytes)}\n`;
    const written = new Promise<void>((resolve, reject) => this.#waiting.push({ line, resolve, reject }));
    this.#writing ??= this.#writeAll();
    return written;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#handle?.close();
    this.#handle = undefined;
    this.#failure ??= new Error('the ledger was closed');
  }

  /** Writes the book as it is beside the old file and puts it in its place. */
  async rewrite(): Promise<void> {
    const changes = this.#book.changes();
    const fresh = `${this.#file}.new`;
    const handle = await open(fresh, 'w', 0o600);
    await handle.writeFile(changes.map((change) => `${JSON.stringify(change, encodeBytes)}\n`).join(''));
    await handle.datasync();
    await rename(fresh, this.#file);
    await syncFolder(path.dirname(this.#file));
    await this.#handle?.close();
    this.#handle = handle;
    this.#lines = changes.length;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#handle?.appendFile(batch.map(({ line }) => line).join(''));
        await this.#handle?.datasync();
        this.#lines += batch.length;
        for (const { resolve } of batch) resolve();
        if (this.#lines > changesMin + this.#book.size * staleChangesMax) await this.rewrite();
      } catch (error) {
        // What is on the disk now is not known: nothing more is promised.
        this.#failure = error;
        for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(error);
      }
    }
    this.#writing = undefined;
  }
}

async function readChanges(file: string): Promise<readonly LedgerChange[]> {
  const lines = (await textOf(file)).split('\n');
  // Behind the last line feed is nothing, or a line that was cut off.
  lines.pop();
  return lines.map((line, at) => {
    try {
      return JSON.parse(line, decodeBytes) as LedgerChange;
    } catch (cause) {
      throw new SyntaxError(`line ${at + 1} of the ledger ${file} is damaged`, { cause });
    }
  });
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw new Error(`the ledger ${file} cannot be read`, { cause: error });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Bytes as base64 and big integers as text, each in an object with a name that no record has. */
function encodeBytes(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  // A Buffer has made an object of itself by now; its holder still has it.
  const raw = this[key];
  if (raw instanceof Uint8Array) return { $bytes: Buffer.from(raw).toString('base64') };
  return typeof raw === 'bigint' ? { $integer: String(raw) } : value;
}

function decodeBytes(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { $bytes, $integer } = value as { readonly $bytes?: unknown; readonly $integer?: unknown };
  if (typeof $bytes === 'string') return new Uint8Array(Buffer.from($bytes, 'base64'));
  return typeof $integer === 'string' ? BigInt($integer) : value;
}
