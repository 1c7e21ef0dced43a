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

export interface MuranoDocumentTables {
  readonly murano_documents: MuranoDocumentRow;
}

/** One small table. */
export class MuranoDocuments {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async all(kind: MuranoDocumentKind): Promise<readonly MuranoDocumentRow[]> {
    return this.#db.selectFrom('murano_documents').selectAll().where('kind', '=', kind).orderBy('name').execute();
  }

  async find(kind: MuranoDocumentKind, id: string): Promise<MuranoDocumentRow | undefined> {
    return this.#db
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
    return this.#store.write(async (work) => {
      const db = work.db as unknown as Kysely<MuranoDocumentTables>;
      const all = await db.selectFrom('murano_documents').selectAll().where('kind', '=', kind).execute();
      const row = await change(all, work);
      await db.deleteFrom('murano_documents').where('kind', '=', kind).where('id', '=', id).execute();
      if (row !== undefined) await db.insertInto('murano_documents').values(row).execute();
      return row;
    });
  }

  get #db(): Kysely<MuranoDocumentTables> {
    return this.#store.db as unknown as Kysely<MuranoDocumentTables>;
  }
}
