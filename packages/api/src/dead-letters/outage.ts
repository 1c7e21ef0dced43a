/** Primary result codes of SQLite that say that the database is not there just now, and nothing about what is written. */
const sqliteOutages: ReadonlySet<number> = new Set([
  5, // SQLITE_BUSY
  6, // SQLITE_LOCKED
  7, // SQLITE_NOMEM
  8, // SQLITE_READONLY
  9, // SQLITE_INTERRUPT
  10, // SQLITE_IOERR
  11, // SQLITE_CORRUPT
  13, // SQLITE_FULL
  14, // SQLITE_CANTOPEN
  15, // SQLITE_PROTOCOL
  22, // SQLITE_NOLFS
  26, // SQLITE_NOTADB
]);

/** Whether a failure is the database's own trouble: whatever was being handled then has no part in it. */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { errcode, code } = error as Error & { readonly errcode?: unknown; readonly code?: unknown };
  if (typeof errcode === 'number') return sqliteOutages.has(errcode & 0xff);
  // The database was closed: the API ends.
  return code === 'ERR_INVALID_STATE';
}
