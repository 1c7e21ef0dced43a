import path from 'node:path';
import { createRequire } from 'node:module';
import { Kysely, Migrator } from 'kysely';
import type { Transaction } from 'kysely';
import { StartError } from '../errors.js';
import { HeldConnection } from './held-connection.js';
import type { Held } from './held-connection.js';
import { migrations } from './migrations.js';
import { sqliteDialect } from './sqlite-dialect.js';
import type { SqliteDatabase } from './sqlite-dialect.js';
import type { Tables } from './tables.js';

/** The database, or a transaction of it. */
export type Db = Kysely<Tables>;

/** One transaction. What `afterCommit` is given happens when the rows are safe, and not at all when they are not. */
export interface Work {
  readonly db: Transaction<Tables>;
  readonly afterCommit: (action: () => void) => void;
}

/** The API's truth. Every change goes through `write`; reads that need no transaction use `db`. */
export class Store {
  readonly db: Db;
  readonly #copyTo: CopyTo;
  readonly #held: HeldConnection;

  constructor(db: Db, parts: { readonly copyTo: CopyTo; readonly held: HeldConnection }) {
    this.db = db;
    this.#copyTo = parts.copyTo;
    this.#held = parts.held;
  }

  /** Writes everything that is committed into a new file, as it is at one instant; others go on writing meanwhile. */
  async copyTo(file: string): Promise<void> {
    // `node:sqlite` gives up when its first step finds a transaction open (with the error "not an error"): until that step
    // is done the connection is ours.
    const begun = new AbortController();
    const firstStep = new Promise<void>((resolve) => begun.signal.addEventListener('abort', () => resolve()));
    let copying: Promise<void> = Promise.resolve();
    await this.db.connection().execute(async () => {
      copying = this.#copyTo(file, () => begun.abort());
      await Promise.race([firstStep, copying]);
    });
    await copying;
  }

  /** Runs `work` in one transaction that takes the write lock at once. A throw leaves nothing behind. */
  async write<Answer>(work: (work: Work) => Promise<Answer>): Promise<Answer> {
    const outer = this.#held.current;
    const actions: (() => void)[] = [];
    const answer = await this.db
      .transaction()
      .execute((db) => work({ db, afterCommit: (action) => actions.push(action) }));
    if (outer === undefined) for (const action of actions) action();
    else outer.actions.push(...actions);
    return answer;
  }

  /**
   * Runs `work` so that everything it reads and writes, by whatever way, is one transaction: a `write` inside is a part of it.
   * Nobody else reads or writes meanwhile, so it must not wait for the world outside.
   */
  async whole<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const held: Held = { actions: [], last: Promise.resolve(), isOver: false };
    const answer = await this.db.transaction().execute(() => this.#held.inside(held, work));
    for (const action of held.actions) action();
    return answer;
  }

  async close(): Promise<void> {
    await this.db.destroy();
  }
}

/**
 * Opens `torcello.sqlite` in a data folder, makes or migrates its tables, and keeps every other process out of it.
 * @throws StartError DATA_IN_USE, DATA_DAMAGED, DATA_NEWER, SQLITE_MISSING.
 */
export async function openStore(dataDirectory: string): Promise<Store> {
  const file = path.join(dataDirectory, 'torcello.sqlite');
  const { database, copyTo } = openExclusively(file);
  return openStoreOn(database, file, copyTo);
}

/**
 * The store on a database that is open already. `name` is what it is called in errors, `copyTo` how it is copied into a new
 * file while it is written. @throws StartError DATA_NEWER.
 */
export async function openStoreOn(
  database: SqliteDatabase,
  name: string,
  copyTo: CopyTo = async (to) => void database.prepare('vacuum into ?').run(to),
): Promise<Store> {
  const held = new HeldConnection();
  const db: Db = new Kysely<Tables>({ dialect: sqliteDialect(database, held) });
  try {
    await inOneTransaction(db, held, () => migrate(db, name));
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return new Store(db, { copyTo, held });
}

/** Copies the database into a new file; `onStep` is called after each step of it, if it takes several. */
type CopyTo = (file: string, onStep: () => void) => Promise<void>;

interface OpenDatabase {
  readonly database: SqliteDatabase;
  readonly copyTo: CopyTo;
}

/**
 * Opens a database that no other process uses, and keeps it so until it is closed.
 * @throws StartError DATA_IN_USE, DATA_DAMAGED, SQLITE_MISSING.
 */
export function openExclusively(file: string): OpenDatabase {
  const { database, copyTo } = openSqlite(file);
  try {
    // With the exclusive lock the write-ahead log needs no shared memory, and a second API finds the door locked.
    database.exec('pragma locking_mode = exclusive');
    database.exec('pragma journal_mode = wal');
    database.exec('pragma synchronous = full');
    database.exec('pragma foreign_keys = on');
    database.exec('begin immediate; commit');
  } catch (cause) {
    database.close();
    throw openError(file, cause);
  }
  const close = (): void => {
    giveLockBack(database);
    database.close();
  };
  return { database: { exec: (sql) => database.exec(sql), prepare: (sql) => database.prepare(sql), close }, copyTo };
}

/** SQLite's primary result codes SQLITE_BUSY and SQLITE_LOCKED. */
const busyCodes: ReadonlySet<number> = new Set([5, 6]);

function openError(file: string, cause: unknown): StartError {
  const { errcode } = cause as { readonly errcode?: number };
  if (errcode === undefined || busyCodes.has(errcode & 0xff))
    return new StartError('DATA_IN_USE', `another process uses ${file}; stop it, or take another --data folder`, {
      cause,
    });
  const why = cause instanceof Error ? cause.message : 'it cannot be read';
  return new StartError('DATA_DAMAGED', `${file} cannot be used: ${why}; torcello restore FILE brings a backup back`, {
    cause,
  });
}

/** The library keeps the file until its last statement is collected as garbage; the lock must not wait for that. */
function giveLockBack(database: SqliteDatabase): void {
  database.exec('pragma journal_mode = delete');
  database.exec('pragma locking_mode = normal');
  database.prepare('select count(*) from sqlite_master').all();
}

/** Pages of one step of a copy: between two steps others may write, and the copy takes up what they wrote. */
const pagesPerStep = 500;

interface SqliteLibrary {
  readonly DatabaseSync?: new (file: string) => SqliteDatabase;
  /** In `node:sqlite` from Node 22.16 on. */
  readonly backup?: (
    database: SqliteDatabase,
    file: string,
    options: { readonly rate: number; readonly progress: () => void },
  ) => Promise<unknown>;
}

function openSqlite(file: string): OpenDatabase {
  const load = createRequire(import.meta.url);
  for (const name of ['node:sqlite', '@photostructure/sqlite']) {
    const library = tryLoad(load, name) as SqliteLibrary | undefined;
    if (library?.DatabaseSync === undefined) continue;
    const { backup } = library;
    const database = new library.DatabaseSync(file);
    const copyTo: CopyTo = async (to, onStep) => {
      if (backup !== undefined) await backup(database, to, { rate: pagesPerStep, progress: onStep });
      else database.prepare('vacuum into ?').run(to);
    };
    return { database, copyTo };
  }
  throw new StartError('SQLITE_MISSING', 'no SQLite here: use Node 22.13 or newer, or install @photostructure/sqlite');
}

function tryLoad(load: NodeJS.Require, name: string): unknown {
  try {
    return load(name);
  } catch {
    return undefined;
  }
}

/** SQLite takes back changes of tables, too: a process that ends in the middle of them leaves the tables as they were. */
async function inOneTransaction(db: Db, held: HeldConnection, work: () => Promise<void>): Promise<void> {
  const all: Held = { actions: [], last: Promise.resolve(), isOver: false };
  await db.transaction().execute(() => held.inside(all, work));
}

async function migrate(db: Db, file: string): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve({ ...migrations }) } });
  const unknown = (await appliedMigrations(db)).filter((name) => !(name in migrations));
  if (unknown.length > 0) {
    const last = unknown.at(-1);
    throw new StartError(
      'DATA_NEWER',
      `${file} was written by a newer release (${last}); start that release, or take another --data folder`,
    );
  }
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error instanceof Error ? error : new Error('the migration failed', { cause: error });
}

async function appliedMigrations(db: Db): Promise<readonly string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((table) => table.name === 'kysely_migration')) return [];
  const rows = await (db as unknown as Kysely<{ kysely_migration: { name: string } }>)
    .selectFrom('kysely_migration')
    .select('name')
    .orderBy('name')
    .execute();
  return rows.map((row) => row.name);
}
