import { sql } from 'kysely';
import type { CreateTableBuilder, Kysely } from 'kysely';

/** Columns as `name:kind name:kind`, as `createTable` takes them. */
export async function addColumns(db: Kysely<unknown>, table: string, columns: string): Promise<void> {
  for (const entry of columns.split(' ')) {
    const [column = '', kind = ''] = entry.split(':');
    const type = kind.startsWith('text') ? 'text' : 'bigint';
    await db.schema
      .alterTable(table)
      .addColumn(column, type, (made) => (kind === 'count' ? made.notNull().defaultTo(0) : made))
      .execute();
  }
}

/** Columns as `name:kind`; kinds are `id` (text, primary key), `serial`, `text`, `int`, `bytes`, `count` (from 0), and with `?` the empty is allowed. */
export async function createTable(db: Kysely<unknown>, table: string, columns: string): Promise<void> {
  let builder: CreateTableBuilder<string> = db.schema.createTable(table);
  for (const entry of columns.split(' ')) {
    const [column = '', kind = ''] = entry.split(':');
    if (kind === 'id') builder = builder.addColumn(column, 'text', (made) => made.primaryKey());
    else if (kind === 'serial')
      builder = builder.addColumn(column, 'integer', (made) => made.primaryKey().autoIncrement());
    else if (kind.startsWith('bytes'))
      builder = builder.addColumn(column, sql`blob`, (made) => (kind.endsWith('?') ? made : made.notNull()));
    else if (kind === 'count') builder = builder.addColumn(column, 'integer', (made) => made.notNull().defaultTo(0));
    else {
      const type = kind.startsWith('text') ? 'text' : 'bigint';
      builder = builder.addColumn(column, type, (made) => (kind.endsWith('?') ? made : made.notNull()));
    }
  }
  await builder.execute();
}

/** No two rows with the same values in these columns. */
export async function unique(db: Kysely<unknown>, table: string, columns: readonly string[]): Promise<void> {
  const name = `${table}_by_${columns.join('_')}`;
  await db.schema
    .createIndex(name)
    .on(table)
    .columns([...columns])
    .unique()
    .execute();
}
