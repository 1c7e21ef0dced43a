import { SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import type {
  CompiledQuery,
  DatabaseConnection,
  DatabaseIntrospector,
  Dialect,
  DialectAdapter,
  Driver,
  Kysely,
  QueryCompiler,
  QueryResult,
} from 'kysely';
import { HeldConnection } from './held-connection.js';

/** What this dialect needs of a SQLite library: the interface of `node:sqlite`. */
export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}
export interface SqliteStatement {
  all(...parameters: readonly SqliteValue[]): readonly unknown[];
  run(...parameters: readonly SqliteValue[]): {
    readonly changes: number | bigint;
    readonly lastInsertRowid: number | bigint;
  };
  columns(): readonly unknown[];
}
export type SqliteValue = null | number | bigint | string | Uint8Array;

/** Prepared statements kept by their text; batch inserts of many sizes must not fill the memory. */
const statementsMax = 300;

/**
 * Kysely over one SQLite connection. Statements run synchronously; a queue gives the connection to one transaction (or
 * single query) at a time, and a transaction takes the write lock at once, so that none fails half-way for want of it.
 */
export function sqliteDialect(database: SqliteDatabase, held: HeldConnection = new HeldConnection()): Dialect {
  return {
    createAdapter: (): DialectAdapter => new SqliteAdapter(),
    createDriver: (): Driver => new SqliteDriver(database, held),
    // oxlint-disable-next-line typescript/no-explicit-any -- Kysely's own signature
    createIntrospector: (kysely: Kysely<any>): DatabaseIntrospector => new SqliteIntrospector(kysely),
    createQueryCompiler: (): QueryCompiler => new SqliteQueryCompiler(),
  };
}

interface Queue {
  last: Promise<void>;
}

class SqliteDriver implements Driver {
  readonly #database: SqliteDatabase;
  readonly #held: HeldConnection;
  readonly #connection: SqliteConnection;
  readonly #queue: Queue = { last: Promise.resolve() };
  readonly #releases: (() => void)[] = [];
  /** Savepoints that are open, in the order in which they were made. */
  readonly #savepoints: string[] = [];
  #made = 0;

  constructor(database: SqliteDatabase, held: HeldConnection) {
    this.#database = database;
    this.#held = held;
    this.#connection = new SqliteConnection(database);
  }

  init(): Promise<void> {
    return Promise.resolve();
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const queue = this.#held.current ?? this.#queue;
    const before = queue.last;
    let release: () => void = () => undefined;
    queue.last = new Promise<void>((resolve) => (release = resolve));
    await before;
    this.#releases.push(release);
    return this.#connection;
  }

  async beginTransaction(): Promise<void> {
    if (this.#held.current === undefined) return this.#database.exec('begin immediate');
    const name = `inner_${(this.#made += 1)}`;
    this.#database.exec(`savepoint ${name}`);
    this.#savepoints.push(name);
  }

  async commitTransaction(): Promise<void> {
    const name = this.#savepoints.pop();
    this.#database.exec(name === undefined ? 'commit' : `release ${name}`);
  }

  async rollbackTransaction(): Promise<void> {
    const name = this.#savepoints.pop();
    this.#database.exec(name === undefined ? 'rollback' : `rollback to ${name}; release ${name}`);
  }

  /** Who is inside gives back before who is outside. */
  async releaseConnection(): Promise<void> {
    this.#releases.pop()?.();
  }

  async destroy(): Promise<void> {
    this.#connection.forget();
    this.#database.close();
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #database: SqliteDatabase;
  readonly #statements = new Map<string, SqliteStatement>();

  constructor(database: SqliteDatabase) {
    this.#database = database;
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const statement = this.#statement(query.sql);
    const parameters = query.parameters.map(toSqliteValue);
    if (statement.columns().length > 0) return { rows: statement.all(...parameters) as Row[] };
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  async *streamQuery<Row>(query: CompiledQuery): AsyncIterableIterator<QueryResult<Row>> {
    yield await this.executeQuery<Row>(query);
  }

  forget(): void {
    this.#statements.clear();
  }

  #statement(sql: string): SqliteStatement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const [oldest] = this.#statements.keys();
    if (oldest !== undefined && this.#statements.size >= statementsMax) this.#statements.delete(oldest);
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function toSqliteValue(value: unknown): SqliteValue {
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string') return value;
  if (value instanceof Uint8Array) return value;
  throw new TypeError('a query parameter is neither null, boolean, number, text nor bytes');
}
