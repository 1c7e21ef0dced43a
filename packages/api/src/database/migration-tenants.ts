import type { Kysely } from 'kysely';
import { ownersColumns } from '../access/owners.js';
import { tokensColumns } from '../access/own-tokens.js';
import { createTable, unique } from './make-tables.js';

/** Tenants: who owns what, and tokens for them. Names are unique in a tenant from here on, which the code holds. */
export async function tenants(db: Kysely<unknown>): Promise<void> {
  await createTable(db, 'owners', ownersColumns);
  await createTable(db, 'tokens', tokensColumns);
  await unique(db, 'tokens', ['digest']);
  await db.schema.dropIndex('environments_by_name').execute();
  await db.schema.dropIndex('packages_by_full_name_version').execute();
  await db.schema.createIndex('environments_named').on('environments').column('name').execute();
  await db.schema.createIndex('packages_named').on('packages').column('full_name').execute();
}
