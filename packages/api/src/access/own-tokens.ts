import type { Kysely } from 'kysely';
import { hexId } from '@torcello/platform';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import { Refusal } from '../errors.js';
import { digestOf } from '../secrets.js';
import type { Secrets } from '../secrets.js';
import { operator } from './principal.js';
import type { Principal, TokenProvider } from './principal.js';

/** Columns of the table, as migrations write them. */
export const tokensColumns = 'id:id digest:text tenant_id:text user_id:text is_admin:int created_at:int';

export interface TokenRow {
  readonly id: string;
  readonly digest: string;
  readonly tenant_id: string;
  readonly user_id: string;
  readonly is_admin: number;
  readonly created_at: number;
}

interface TokenTables {
  readonly tokens: TokenRow;
}

/** The API's own tokens: the one of its data folder, and those that its holder made for others. */
export class OwnTokens implements TokenProvider {
  readonly #context: Context;
  readonly #secrets: Secrets;

  constructor(context: Context, secrets: Secrets) {
    this.#context = context;
    this.#secrets = secrets;
  }

  async check(token: string): Promise<Principal | undefined> {
    if (this.#secrets.isAdmin(token)) return operator;
    if (!token.startsWith(prefix)) return undefined;
    const row = await this.#db
      .selectFrom('tokens')
      .selectAll()
      .where('digest', '=', digestOf(token))
      .executeTakeFirst();
    return row === undefined
      ? undefined
      : { userId: row.user_id, tenantId: row.tenant_id, isAdmin: row.is_admin === 1 };
  }

  /** Makes a token; only the answer ever holds it. */
  async make(principal: Principal): Promise<{ readonly id: string; readonly token: string }> {
    const { random, clock, store } = this.#context;
    const token = `${prefix}${Buffer.from(random.bytes(32)).toString('base64url')}`;
    const id = hexId(random);
    await store.write(async (work) => {
      const row: TokenRow = {
        id,
        digest: digestOf(token),
        tenant_id: principal.tenantId,
        user_id: principal.userId,
        is_admin: principal.isAdmin ? 1 : 0,
        created_at: clock.now(),
      };
      await (work.db as unknown as Kysely<TokenTables>).insertInto('tokens').values(row).execute();
      const detail = { tenant: principal.tenantId, user: principal.userId, admin: principal.isAdmin };
      await writeAudit(this.#context, work, { actor: 'admin', action: 'token.made', target: id, detail });
    });
    return { id, token };
  }

  async list(): Promise<readonly TokenRow[]> {
    return this.#db.selectFrom('tokens').selectAll().orderBy('created_at').execute();
  }

  /** @throws Refusal not_found. */
  async revoke(id: string): Promise<void> {
    await this.#context.store.write(async (work) => {
      const db = work.db as unknown as Kysely<TokenTables>;
      const gone = await db.deleteFrom('tokens').where('id', '=', id).returning('id').executeTakeFirst();
      if (gone === undefined) throw new Refusal('not_found', `no token ${id}`);
      await writeAudit(this.#context, work, { actor: 'admin', action: 'token.revoked', target: id });
    });
  }

  get #db(): Kysely<TokenTables> {
    return this.#context.store.db as unknown as Kysely<TokenTables>;
  }
}

const prefix = 'tcuser1_';
