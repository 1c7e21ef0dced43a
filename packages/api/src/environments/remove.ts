import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Work } from '../database/store.js';

/**
 * Takes an environment away with its sessions and machines. Deployments and their histories stay. The broker forgets
 * mailboxes and logins after `graceMs`, through the reconciler.
 */
export async function removeEnvironment(
  context: Context,
  work: Work,
  removal: { readonly environmentId: string; readonly graceMs: number },
): Promise<void> {
  const { environmentId, graceMs } = removal;
  const machines = await work.db
    .selectFrom('machines')
    .select(['id', 'mailbox'])
    .where('environment_id', '=', environmentId)
    .execute();
  for (const machine of machines)
    await removeMailbox(context, work, { machineId: machine.id, mailbox: machine.mailbox, graceMs });
  await work.db.deleteFrom('machines').where('environment_id', '=', environmentId).execute();
  await work.db.deleteFrom('sessions').where('environment_id', '=', environmentId).execute();
  await work.db.deleteFrom('environments').where('id', '=', environmentId).execute();
  await writeAudit(context, work, { actor: 'api', action: 'environment.removed', target: environmentId });
}

/** Notes a mailbox and its machine's login for removal. */
export async function removeMailbox(
  context: Context,
  work: Work,
  removal: { readonly machineId: string; readonly mailbox: string; readonly graceMs: number },
): Promise<void> {
  const { machineId, mailbox, graceMs } = removal;
  const row = { mailbox, machine_id: machineId, due_at: context.clock.now() + graceMs };
  await work.db
    .insertInto('mailbox_removals')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  work.afterCommit(() => context.notices.tell({ type: 'mailboxes' }));
}
