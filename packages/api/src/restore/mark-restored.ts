import { tasksMailbox } from '@torcello/contracts';
import type { Store, Work } from '../database/store.js';

/**
 * Every epoch grows by so much: more than any conductor can have claimed since the backup was made, so that whoever
 * holds a lease from that time is fenced off, by the API and by the agents.
 */
export const restoredEpochStep = 1_000_000;

/**
 * Makes a database that was taken back to a backup fit for a world that has gone on: nobody holds a lease, every epoch
 * is new, mailboxes are declared again, and plans that may have been answered meanwhile are to be asked after.
 */
export async function markRestored(
  store: Store,
  at: { readonly restoredAtMs: number; readonly madeAtMs: number },
): Promise<{ readonly askedAfter: number }> {
  return store.write(async (work) => {
    const { db } = work;
    await db.insertInto('restores').values({ restored_at: at.restoredAtMs, made_at: at.madeAtMs }).execute();
    await db
      .updateTable('deployments')
      .set((column) => ({
        epoch: column('epoch', '+', restoredEpochStep),
        lease_holder: null,
        lease_nonce: null,
        vanished: 0,
      }))
      .execute();
    await db.updateTable('deployments').set({ is_parked: 0 }).where('finished_at', 'is', null).execute();
    await db.deleteFrom('outbox').where('mailbox', '=', tasksMailbox).execute();
    // The time in which nobody could come counts for no mailbox's end.
    await db.updateTable('machines').set({ is_mailbox_declared: 0, contact_at: at.restoredAtMs }).execute();
    const askedAfter = await askAgain(work);
    const detail = JSON.stringify({ madeAt: at.madeAtMs, askedAfter });
    const row = { at: at.restoredAtMs, actor: 'admin', action: 'database.restored', target: 'database', detail };
    await db.insertInto('audit').values(row).execute();
    return { askedAfter };
  });
}

/**
 * An agent that knows a plan answers its letter with the result that it has, and never starts it twice. Where somebody
 * wanted the plan to end, it is put only if the agent has it for certain: else it could come behind its own cancel.
 */
async function askAgain({ db }: Work): Promise<number> {
  await db.deleteFrom('letters_again').execute();
  const rows = await db
    .selectFrom('plans')
    .innerJoin('deployments', 'deployments.id', 'plans.deployment_id')
    .innerJoin('letters', 'letters.plan_id', 'plans.plan_id')
    .select('plans.plan_id')
    .where('plans.outcome', 'is', null)
    .where('plans.stored_at', 'is not', null)
    .where((column) =>
      column.or([
        column('plans.delivered_at', 'is not', null),
        column.and([
          column('deployments.cancel_requested_at', 'is', null),
          column('deployments.superseded_by', 'is', null),
        ]),
      ]),
    )
    .execute();
  for (const row of rows) await db.insertInto('letters_again').values(row).execute();
  return rows.length;
}
