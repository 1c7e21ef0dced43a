import { isMuranoQueue } from '@torcello/contracts';
import type { Context } from '../context.js';
import type { MailboxLetterTable } from '../database/mailbox-tables.js';
import type { Work } from '../database/store.js';

/**
 * The machine gets a fresh mailbox under the same name, as soon as the old one has ended. What was in it and was neither
 * ended nor answered is put again, under its own ids: cancels too.
 */
export async function reopenMailbox(
  context: Context,
  work: Work,
  machine: { readonly id: string; readonly mailbox: string },
): Promise<void> {
  const now = context.clock.now();
  await work.db
    .updateTable('machines')
    .set({ mailbox_closed_at: null, contact_at: now })
    .where('id', '=', machine.id)
    .execute();
  await work.db.updateTable('mailbox_ends').set({ is_reopening: 1 }).where('mailbox', '=', machine.mailbox).execute();
  await work.db
    .updateTable('mailbox_ends')
    .set({ state: 'reopened' })
    .where('mailbox', '=', machine.mailbox)
    .where('state', '=', 'settled')
    .execute();
  const letters = await work.db
    .selectFrom('mailbox_letters')
    .innerJoin('plans', 'plans.plan_id', 'mailbox_letters.plan_id')
    .selectAll('mailbox_letters')
    .where('mailbox', '=', machine.mailbox)
    .where('plans.outcome', 'is', null)
    .execute();
  for (const letter of letters) await putAgain(context, work, letter);
  work.afterCommit(() => context.notices.tell({ type: 'mailboxes' }));
}

/** Notes a letter to be put once more. False where its bytes are not known, or where the plan is sent again by itself. */
export async function putAgain(
  context: Context,
  work: Work,
  letter: Pick<MailboxLetterTable, 'mailbox' | 'letter_id' | 'kind' | 'plan_id' | 'body'>,
): Promise<boolean> {
  if (isMuranoQueue(letter.mailbox)) return false;
  const body = letter.body ?? (await planBytes(work, letter.plan_id ?? letter.letter_id));
  if (body === undefined) return false;
  const { mailbox, letter_id, kind } = letter;
  await work.db
    .insertInto('redeliveries')
    .values({ mailbox, letter_id, kind, body, created_at: context.clock.now() })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return true;
}

async function planBytes(work: Work, planId: string): Promise<Uint8Array | undefined> {
  const row = await work.db.selectFrom('letters').select('body').where('plan_id', '=', planId).executeTakeFirst();
  return row?.body;
}
