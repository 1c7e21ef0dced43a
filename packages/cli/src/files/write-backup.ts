import { createHash } from 'node:crypto';
import { open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import {
  backupMadeAtHeader,
  backupNames,
  backupSmallFileBytesMax,
  formatBackupLine,
  type BackupLine,
  type BackupName,
} from '@torcello/contracts';
import { CliError, systemCode } from '../cli-error.js';
import { exitCodes } from '../exit-codes.js';

export interface WrittenBackup {
  readonly file: string;
  readonly bytes: number;
  readonly madeAtMs: number;
  readonly holds: readonly BackupName[];
}

/**
 * Writes a backup: the database as the API sends it, and the small files of a data folder. The file is there whole, synced
 * and for its owner only, or not at all.
 * @throws CliError `file_exists`, `backup_failed`.
 */
export async function writeBackup(order: {
  readonly file: string;
  readonly database: Response;
  /** Undefined: only the database. */
  readonly dataFolder: string | undefined;
}): Promise<WrittenBackup> {
  const { file, database, dataFolder } = order;
  const madeAtMs = Number(database.headers.get(backupMadeAtHeader) ?? Number.NaN);
  const bytes = Number(database.headers.get('content-length') ?? Number.NaN);
  if (!Number.isSafeInteger(madeAtMs) || !Number.isSafeInteger(bytes) || database.body === null)
    throw failed('the API sent no backup; is it older than this command?');
  const part = `${file}.part`;
  const smalls = dataFolder === undefined ? [] : await smallFiles(dataFolder);
  const writer = await BackupWriter.open(part);
  try {
    await writer.line({ torcello: 'backup', format: 1, madeAtMs });
    for (const { name, body } of smalls) {
      await writer.line({ name, bytes: body.length });
      await writer.bytes(body);
    }
    await writer.line({ name: 'torcello.sqlite', bytes });
    const before = writer.size;
    for await (const piece of database.body) await writer.bytes(piece as Uint8Array);
    if (writer.size - before !== bytes) throw failed('the API stopped sending in the middle');
    await writer.line({ end: true, sha256: writer.digest() });
    await writer.sync();
    if (await isThere(file)) throw exists(file);
    await rename(part, file);
  } catch (error) {
    throw error instanceof CliError ? error : failed(`${file} could not be written`, error);
  } finally {
    await writer.close();
    await rm(part, { force: true });
  }
  return { file, bytes: writer.size, madeAtMs, holds: [...smalls.map(({ name }) => name), 'torcello.sqlite'] };
}

/** @throws CliError `file_exists`: a backup never takes the place of another one. */
export async function requireFreshFile(file: string): Promise<void> {
  if (await isThere(file)) throw exists(file);
}

function exists(file: string): CliError {
  return new CliError('file_exists', `${file} is there already`, { cure: 'name another file, or move that one away' });
}

function failed(message: string, cause?: unknown): CliError {
  return new CliError('backup_failed', message, { exitCode: exitCodes.allFailed, cause });
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

async function smallFiles(folder: string): Promise<readonly { readonly name: BackupName; readonly body: Buffer }[]> {
  const found: { name: BackupName; body: Buffer }[] = [];
  for (const name of backupNames) {
    if (name === 'torcello.sqlite') continue;
    try {
      const body = await readFile(path.join(folder, name));
      if (body.length <= backupSmallFileBytesMax) found.push({ name, body });
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw failed(`${path.join(folder, name)} cannot be read`, error);
    }
  }
  return found;
}

class BackupWriter {
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  size = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async open(file: string): Promise<BackupWriter> {
    await rm(file, { force: true });
    return new BackupWriter(await open(file, 'wx', 0o600));
  }

  line(line: BackupLine): Promise<void> {
    return this.bytes(Buffer.from(formatBackupLine(line)));
  }

  async bytes(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.size += bytes.length;
    await this.#handle.writeFile(bytes);
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
