import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { backupLineBytesMax, backupSmallFileBytesMax, parseBackupLine } from '@torcello/contracts';
import type { BackupEntry, BackupHead, BackupName } from '@torcello/contracts';
import { StartError } from '../errors.js';

const pieceBytes = 1_048_576;

/** What came out of a backup. */
export interface Unpacked {
  readonly madeAtMs: number;
  readonly names: readonly BackupName[];
}

/**
 * Takes a backup apart into a folder, each file durable and for its owner only, and checks that it is whole.
 * @throws StartError BACKUP_INVALID.
 */
export function unpackBackup(file: string, into: string): Unpacked {
  const reader = new BackupReader(file);
  try {
    const head = reader.line();
    if (head === undefined || !('torcello' in head)) throw invalid(file, 'it is no backup of Torcello');
    const names = unpackEntries(reader, file, into);
    if (!names.includes('torcello.sqlite')) throw invalid(file, 'it holds no database');
    return { madeAtMs: head.madeAtMs, names };
  } finally {
    reader.close();
  }
}

function unpackEntries(reader: BackupReader, file: string, into: string): readonly BackupName[] {
  const names: BackupName[] = [];
  for (;;) {
    const sha256 = reader.digest();
    const line = reader.line();
    if (line === undefined || 'torcello' in line) throw invalid(file, 'it is cut off or damaged');
    if ('end' in line) {
      if (line.sha256 !== sha256) throw invalid(file, 'its checksum is wrong');
      return names;
    }
    const isSmall = line.bytes <= backupSmallFileBytesMax || line.name === 'torcello.sqlite';
    if (names.includes(line.name) || !isSmall) throw invalid(file, `its entry ${line.name} cannot be`);
    if (!reader.copy(line, path.join(into, line.name))) throw invalid(file, 'it is cut off');
    names.push(line.name);
  }
}

function invalid(file: string, why: string): StartError {
  return new StartError('BACKUP_INVALID', `${file} cannot be restored: ${why}`);
}

/** Reads a file from its start, and hashes what it reads. */
class BackupReader {
  readonly #handle: number;
  readonly #hash: Hash = createHash('sha256');
  #at = 0;

  constructor(file: string) {
    try {
      this.#handle = fs.openSync(file, 'r');
    } catch (cause) {
      throw new StartError('BACKUP_INVALID', `${file} cannot be read`, { cause });
    }
  }

  /** Over everything read so far. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Undefined when there is none. */
  line(): BackupHead | ReturnType<typeof parseBackupLine> {
    const bytes = Buffer.alloc(backupLineBytesMax);
    const read = fs.readSync(this.#handle, bytes, 0, bytes.length, this.#at);
    const end = bytes.subarray(0, read).indexOf('\n');
    if (end === -1) return undefined;
    this.#took(bytes.subarray(0, end + 1));
    return parseBackupLine(bytes.subarray(0, end).toString());
  }

  /** False when there is less than the entry says. */
  copy(entry: BackupEntry, to: string): boolean {
    const out = fs.openSync(to, 'wx', 0o600);
    try {
      const piece = Buffer.alloc(Math.min(pieceBytes, entry.bytes));
      for (let left = entry.bytes; left > 0;) {
        const read = fs.readSync(this.#handle, piece, 0, Math.min(piece.length, left), this.#at);
        if (read === 0) return false;
        fs.writeSync(out, piece, 0, read);
        this.#took(piece.subarray(0, read));
        left -= read;
      }
      fs.fsyncSync(out);
      return true;
    } finally {
      fs.closeSync(out);
    }
  }

  close(): void {
    fs.closeSync(this.#handle);
  }

  #took(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#at += bytes.length;
  }
}
