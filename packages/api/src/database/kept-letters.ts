import type { KeptLetter, LetterStore } from '@torcello/messaging';
import type { Selectable } from 'kysely';
import type { Context } from '../context.js';
import type { KeptLetterTable } from './handshake-tables.js';
import type { Db } from './store.js';

/** Mailboxes in the API's database: a letter is there when the promise resolves, and survives whatever happens then. */
export function databaseLetterStore({ store, clock }: Pick<Context, 'store' | 'clock'>): LetterStore {
  const change = (sequence: number) => ({
    markHandedOut: (): Promise<void> =>
      store.write(async ({ db }) => {
        await db.updateTable('kept_letters').set({ is_handed_out: 1 }).where('id', '=', sequence).execute();
      }),
    remove: (): Promise<void> =>
      store.write(async ({ db }) => {
        await db.deleteFrom('kept_letters').where('id', '=', sequence).execute();
      }),
  });
  return {
    open: (name) =>
      store.write(async ({ db }) => {
        await db
          .insertInto('kept_mailboxes')
          .values({ name })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }),
    add: (mailbox, { id, body, contentType = null, headers, expiresAtMs = null }) =>
      store.write(async ({ db }) => {
        if (!(await isOpen(db, mailbox))) return false;
        // Nobody gets what is past its time; without this an absent conductor's hints would stay for ever.
        const nowMs = clock.now();
        await db.deleteFrom('kept_letters').where('mailbox', '=', mailbox).where('expires_at', '<=', nowMs).execute();
        const row = { mailbox, letter_id: id, content_type: contentType, headers: JSON.stringify(headers), body };
        await db
          .insertInto('kept_letters')
          .values({ ...row, expires_at: expiresAtMs, created_at: nowMs })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        return true;
      }),
    next: async (mailbox, inHand, nowMs) => {
      const row = await fresh(store.db, mailbox, nowMs)
        .selectAll()
        .$if(inHand.length > 0, (query) => query.where('id', 'not in', inHand))
        .orderBy('id')
        .limit(1)
        .executeTakeFirst();
      return row === undefined ? undefined : letterOf(row);
    },
    markHandedOut: (sequence) => change(sequence).markHandedOut(),
    remove: (sequence) => change(sequence).remove(),
    count: async (mailbox, nowMs) => {
      if (!(await isOpen(store.db, mailbox))) return undefined;
      const { letters } = await fresh(store.db, mailbox, nowMs)
        .select((column) => column.fn.countAll<number>().as('letters'))
        .executeTakeFirstOrThrow();
      return Number(letters);
    },
    delete: (name) =>
      store.write(async ({ db }) => {
        await db.deleteFrom('kept_letters').where('mailbox', '=', name).execute();
        await db.deleteFrom('kept_mailboxes').where('name', '=', name).execute();
      }),
  };
}

async function isOpen(db: Db, name: string): Promise<boolean> {
  const row = await db.selectFrom('kept_mailboxes').select('name').where('name', '=', name).executeTakeFirst();
  return row !== undefined;
}

function fresh(db: Db, mailbox: string, nowMs: number) {
  return db
    .selectFrom('kept_letters')
    .where('mailbox', '=', mailbox)
    .where((column) => column.or([column('expires_at', 'is', null), column('expires_at', '>', nowMs)]));
}

function letterOf(row: Selectable<KeptLetterTable>): KeptLetter {
  return {
    sequence: row.id,
    id: row.letter_id,
    body: row.body,
    contentType: row.content_type ?? undefined,
    headers: JSON.parse(row.headers) as Readonly<Record<string, unknown>>,
    expiresAtMs: row.expires_at ?? undefined,
    wasHandedOut: row.is_handed_out === 1,
  };
}
