import type { Kysely } from 'kysely';
import type { Store, Work } from '../database/store.js';
import { homeTenant } from './principal.js';
import type { Principal } from './principal.js';

interface OwnerRow {
  readonly id: string;
  readonly tenant_id: string;
  readonly user_id: string;
}

/** Columns of the table, as migrations write them. */
export const ownersColumns = 'id:id tenant_id:text user_id:text';

interface OwnerTables {
  readonly owners: OwnerRow;
}

/**
 * Which tenant an environment, a package or a template belongs to. What is not in the table belongs to the home tenant. A
 * row stays when its thing is gone: deployments outlive their environment. The one API process holds all of it in memory.
 */
export class Owners {
  readonly #tenants: Map<string, string>;

  private constructor(rows: readonly OwnerRow[]) {
    this.#tenants = new Map(rows.map((row) => [row.id, row.tenant_id]));
  }

  /** Everything belongs to the home tenant. */
  static none(): Owners {
    return new Owners([]);
  }

  static async load(store: Store): Promise<Owners> {
    return new Owners(await tablesOf(store.db).selectFrom('owners').selectAll().execute());
  }

  tenantOf(id: string): string {
    return this.#tenants.get(id) ?? homeTenant;
  }

  /** True where the principal may see what belongs to a tenant and to nobody else. */
  isVisible(id: string, principal: Principal): boolean {
    return principal.isAdmin || this.tenantOf(id) === principal.tenantId;
  }

  /** Notes who made something, in the transaction that makes it. */
  async note(work: Work, id: string, principal: Principal): Promise<void> {
    const { tenantId, userId } = principal;
    if (tenantId === homeTenant) return;
    await tablesOf(work.db).insertInto('owners').values({ id, tenant_id: tenantId, user_id: userId }).execute();
    // At once: the answer of the same request shows it. Where the transaction fails, nothing ever has this id.
    this.#tenants.set(id, tenantId);
  }
}

function tablesOf(db: unknown): Kysely<OwnerTables> {
  return db as Kysely<OwnerTables>;
}
