import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Store, Work } from './store.js';

/** What Murano's API keeps and Torcello has no other use for: templates of environments, categories of packages. */
export interface MuranoDocumentRow {
  readonly kind: MuranoDocumentKind;
  readonly id: string;
  /** Unique among documents of a kind. */
  readonly name: string;
  /** JSON. */
  readonly body: string;
  readonly created_at: number;
  readonly updated_at: number;
}
/** `packageCategories` has the id of a package, and a list of names as its body. */
export type MuranoDocumentKind = 'template' | 'category' | 'packageCategories' | 'seeded';

interface MuranoTables {
  readonly murano_documents: MuranoDocumentRow;
}

/** One small table; it is made when it is first asked for. */
export class MuranoDocuments {
  readonly #store: Store;
  #isThere: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  async all(kind: MuranoDocumentKind): Promise<readonly MuranoDocumentRow[]> {
    const db = await this.#db();
    return db.selectFrom('murano_documents').selectAll().where('kind', '=', kind).orderBy('name').execute();
  }

  async find(kind: MuranoDocumentKind, id: string): Promise<MuranoDocumentRow | undefined> {
    const db = await this.#db();
    return db
      .selectFrom('murano_documents')
      .selectAll()
      .where('kind', '=', kind)
      .where('id', '=', id)
      .executeTakeFirst();
  }

  /**
   * Puts in, changes or takes away one document in one transaction with looking at the others of its kind: `change` is
   * given them all, and answers the document as it shall be, or undefined to take away the one of this id.
   */
  async change(
    kind: MuranoDocumentKind,
    id: string,
    change: (all: readonly MuranoDocumentRow[], work: Work) => Promise<MuranoDocumentRow | undefined>,
  ): Promise<MuranoDocumentRow | undefined> {
    await this.#db();
    return this.#store.write(async (work) => {
      const db = work.db as unknown as Kysely<MuranoTables>;
      const all = await db.selectFrom('murano_documents').selectAll().where('kind', '=', kind).execute();
      const row = await change(all, work);
      await db.deleteFrom('murano_documents').where('kind', '=', kind).where('id', '=', id).execute();
      if (row !== undefined) await db.insertInto('murano_documents').values(row).execute();
      return row;
    });
  }

  async #db(): Promise<Kysely<MuranoTables>> {
    const db = this.#store.db as unknown as Kysely<MuranoTables>;
    await (this.#isThere ??= createTable(db));
    return db;
  }
}

async function createTable(db: Kysely<MuranoTables>): Promise<void> {
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
  await seed(db);
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

/** Once: who deletes them does not get them again. */
async function seed(db: Kysely<MuranoTables>): Promise<void> {
  const seeded = { kind: 'seeded', id: '-', name: '-', body: '{}', created_at: 0, updated_at: 0 } as const;
  const marker = await db.selectFrom('murano_documents').select('id').where('kind', '=', 'seeded').executeTakeFirst();
  if (marker !== undefined) return;
  const rows = firstCategories.map((name) => {
    const id = createHash('sha256').update(name).digest('hex').slice(0, 32);
    return { kind: 'category', id, name, body: '{}', created_at: 0, updated_at: 0 } as const;
  });
  await db
    .insertInto('murano_documents')
    .values([...rows, seeded])
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
