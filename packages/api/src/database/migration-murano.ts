import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { muranoSendsColumns } from '../murano-agents/sends.js';
import { createTable } from './make-tables.js';
import type { MuranoDocumentTables } from './murano-documents.js';

/** What Murano's API keeps beside ours, and how plans for real muranoagents are on their way. */
export async function murano(db: Kysely<unknown>): Promise<void> {
  await createDocuments(db as Kysely<MuranoDocumentTables>);
  await createTable(db, 'murano_sends', muranoSendsColumns);
  await db.schema.createIndex('murano_sends_machine').on('murano_sends').column('machine_id').execute();
}

/** Earlier releases made this table when it was first used: there it stays as it is. */
async function createDocuments(db: Kysely<MuranoDocumentTables>): Promise<void> {
  await db.schema
    .createTable('murano_documents')
    .ifNotExists()
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('created_at', sql`bigint`, (column) => column.notNull())
    .addColumn('updated_at', sql`bigint`, (column) => column.notNull())
    .addPrimaryKeyConstraint('murano_documents_key', ['kind', 'id'])
    .execute();
  const marker = await db.selectFrom('murano_documents').select('id').where('kind', '=', 'seeded').executeTakeFirst();
  if (marker !== undefined) return;
  const rows = firstCategories.map((name) => {
    const id = createHash('sha256').update(name).digest('hex').slice(0, 32);
    return { kind: 'category', id, name, body: '{}', created_at: 0, updated_at: 0 } as const;
  });
  await db.insertInto('murano_documents').values(rows).execute();
}

/** The categories that Murano's own database begins with. */
const firstCategories = [
  'Application Servers',
  'Big Data',
  'Databases',
  'Key-Value Storage',
  'Load Balancers',
  'Message Queue',
  'Microsoft Services',
  'SAP',
  'Web',
];
