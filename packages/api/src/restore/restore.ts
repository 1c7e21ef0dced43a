import fs from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import type { BackupName } from '@torcello/contracts';
import type { Clock } from '@torcello/platform';
import { openExclusively, openStore } from '../database/store.js';
import type { Store } from '../database/store.js';
import { StartError } from '../errors.js';
import { markRestored } from './mark-restored.js';
import { unpackBackup } from './read-backup.js';

/** What a restore did, for people. */
export interface Restored {
  readonly madeAtMs: number;
  readonly names: readonly BackupName[];
  /** Plans whose letters are put once more, because nobody knows what became of them since the backup. */
  readonly askedAfter: number;
  /** Where what was there before is kept; undefined where nothing was. */
  readonly keptIn: string | undefined;
}

const databaseName = 'torcello.sqlite';

/**
 * Puts a backup in the place of what a data folder holds, while no API uses it. Everything is prepared beside it first;
 * what was there moves into a folder of its own and is not deleted.
 * @throws StartError DATA_IN_USE, BACKUP_INVALID, DATA_NEWER, SQLITE_MISSING.
 */
export async function restoreBackup(order: {
  readonly dataDirectory: string;
  readonly from: string;
  readonly clock: Clock;
}): Promise<Restored> {
  const { dataDirectory, from, clock } = order;
  const unlock = lock(dataDirectory);
  const stamp = new Date(clock.now()).toISOString().replaceAll(':', '-');
  const fresh = path.join(dataDirectory, `restoring-${stamp}`);
  try {
    fs.mkdirSync(fresh, { mode: 0o700 });
    const { madeAtMs, names } = unpackBackup(from, fresh);
    const store = await openStore(fresh).catch((error: unknown) => {
      throw unusable(from, error);
    });
    const times = { restoredAtMs: clock.now(), madeAtMs };
    const { askedAfter } = await closing(store, async () => {
      await requireSound(store, from);
      return markRestored(store, times);
    });
    const keptIn = exchange({ dataDirectory, fresh, kept: path.join(dataDirectory, `before-restore-${stamp}`), names });
    return { madeAtMs, names, askedAfter, keptIn };
  } finally {
    fs.rmSync(fresh, { recursive: true, force: true });
    unlock();
  }
}

async function requireSound(store: Store, from: string): Promise<void> {
  const { rows } = await sql<{ quick_check: string }>`pragma quick_check(1)`.execute(store.db);
  if (rows[0]?.quick_check !== 'ok') throw unusable(from, new Error(rows[0]?.quick_check));
}

async function closing<Answer>(store: Store, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } finally {
    await store.close();
  }
}

function unusable(from: string, cause: unknown): unknown {
  if (cause instanceof StartError && (cause.code === 'DATA_NEWER' || cause.code === 'SQLITE_MISSING')) return cause;
  return new StartError('BACKUP_INVALID', `${from} cannot be restored: its database is damaged`, { cause });
}

/** Keeps an API from starting meanwhile. Answers what ends that. A database that is damaged keeps nobody. */
function lock(dataDirectory: string): () => void {
  const file = path.join(dataDirectory, databaseName);
  if (!fs.existsSync(file)) return () => undefined;
  try {
    const { database } = openExclusively(file);
    // All in one file, which is moved as it is.
    database.exec('pragma journal_mode = delete');
    database.exec('begin exclusive; commit');
    return () => database.close();
  } catch (error) {
    if (error instanceof StartError && error.code === 'DATA_DAMAGED') return () => undefined;
    throw error;
  }
}

/** The database last: with it everything else is in its place. */
function exchange(move: {
  readonly dataDirectory: string;
  readonly fresh: string;
  readonly kept: string;
  readonly names: readonly BackupName[];
}): string | undefined {
  const { dataDirectory, fresh, kept } = move;
  const names = move.names.toSorted((a, b) => Number(a === databaseName) - Number(b === databaseName));
  const there = [...names, ...leftovers].filter((name) => fs.existsSync(path.join(dataDirectory, name)));
  if (there.length > 0) fs.mkdirSync(kept, { mode: 0o700 });
  for (const name of there) fs.linkSync(path.join(dataDirectory, name), path.join(kept, name));
  for (const name of leftovers) fs.rmSync(path.join(dataDirectory, name), { force: true });
  for (const name of names) fs.renameSync(path.join(fresh, name), path.join(dataDirectory, name));
  syncFolder(dataDirectory);
  return there.length > 0 ? kept : undefined;
}

/** What a damaged database may have beside it; it must not be taken for the new one's. */
const leftovers = [`${databaseName}-wal`, `${databaseName}-shm`, `${databaseName}-journal`] as const;

function syncFolder(folder: string): void {
  const handle = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}
