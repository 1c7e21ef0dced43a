import { writeAudit } from '../database/audit.js';
import type { MailboxEndTable, MailboxLetterTable } from '../database/mailbox-tables.js';
import type { Work } from '../database/store.js';
import type { MachineRow } from '../database/tables.js';
import { contactAtMs, lifetimeOf, wasNeverRead } from './contact.js';
import type { EndParts } from './end-parts.js';
import { endPlans } from './end-plans.js';

const rowsPerInsert = 500;

/**
 * The end of a mailbox begins: its plans are written down, nothing is put into it any more, its join line is void. Where
 * nobody ever joined nobody can have read it, so its plans end in the same transaction, whether the broker is there or not.
 */
export async function beginEnd(
  parts: EndParts,
  work: Work,
  end: { readonly machine: MachineRow; readonly reason: 'lifetime' | 'deleted' },
): Promise<void> {
  const { context, lifetimeMs, settleMs } = parts;
  const { machine, reason } = end;
  const now = context.clock.now();
  const environment = await work.db
    .selectFrom('environments')
    .select('name')
    .where('id', '=', machine.environment_id)
    .executeTakeFirst();
  const row: Omit<MailboxEndTable, 'is_reopening'> & { readonly is_reopening: 0 } = {
    mailbox: machine.mailbox,
    machine_id: machine.id,
    machine_name: machine.name,
    environment_id: machine.environment_id,
    environment_name: environment?.name ?? '',
    reason,
    state: 'closing',
    is_reopening: 0,
    lifetime_ms: lifetimeOf(machine, lifetimeMs),
    last_contact_at: machine.enrolment === 0 ? null : contactAtMs(machine),
    began_at: now,
    closed_at: null,
    settle_at: now + settleMs,
  };
  await work.db.deleteFrom('mailbox_ends').where('mailbox', '=', machine.mailbox).execute();
  await work.db.deleteFrom('mailbox_letters').where('mailbox', '=', machine.mailbox).execute();
  await work.db.insertInto('mailbox_ends').values(row).execute();
  await work.db.updateTable('machines').set({ mailbox_closed_at: now }).where('id', '=', machine.id).execute();
  // Whoever comes back sends its results again, and gets new receipts.
  await work.db.deleteFrom('outbox').where('mailbox', '=', machine.mailbox).execute();
  await work.db.deleteFrom('redeliveries').where('mailbox', '=', machine.mailbox).execute();
  const plans = await listPlans(work, machine);
  if (wasNeverRead(machine)) await endPlans(parts, work, { end: row, planIds: plans });
  const detail = { name: machine.name, mailbox: machine.mailbox, reason, plans: plans.length };
  const actor = reason === 'lifetime' ? 'api' : 'admin';
  await writeAudit(context, work, { actor, action: 'mailbox.closing', target: machine.id, detail });
  work.afterCommit(() => context.notices.tell({ type: 'mailboxes' }));
}

/** Writes down the plans that lie in it as far as we know: scheduled, and never said to be with the machine. */
async function listPlans(work: Work, machine: MachineRow): Promise<readonly string[]> {
  const plans = await work.db
    .selectFrom('plans')
    .innerJoin('letters', 'letters.plan_id', 'plans.plan_id')
    .select('plans.plan_id')
    .select((column) => column.fn<number>('length', ['letters.body']).as('bytes'))
    .where('plans.machine_id', '=', machine.id)
    .where('plans.outcome', 'is', null)
    .where('plans.delivered_at', 'is', null)
    .execute();
  const rows = plans.map(({ plan_id, bytes }): Omit<MailboxLetterTable, 'is_in_broker' | 'is_redelivered'> => ({
    mailbox: machine.mailbox,
    letter_id: plan_id,
    kind: 'plan',
    plan_id,
    bytes: Number(bytes),
    body: null,
  }));
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    await work.db
      .insertInto('mailbox_letters')
      .values(rows.slice(from, from + rowsPerInsert))
      .execute();
  }
  return rows.map((row) => row.letter_id);
}
