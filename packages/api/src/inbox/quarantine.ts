import type { HeartbeatMessage, ResultMessage } from '@torcello/contracts';
import { writeAudit } from '../database/audit.js';
import { writeReceipt } from '../database/outbox.js';
import type { Db } from '../database/store.js';
import type { RestoreTable } from '../database/tables.js';
import { endPlansOfMachine, replacedReason } from '../deployments/abandon.js';
import { apiLimits } from '../limits.js';
import type { InboxWork } from './inbox.js';

/** The last time that the database was taken back to a backup; undefined when it never was. */
export async function lastRestore(db: Db): Promise<Pick<RestoreTable, 'restored_at' | 'made_at'> | undefined> {
  return db.selectFrom('restores').select(['restored_at', 'made_at']).orderBy('id', 'desc').limit(1).executeTakeFirst();
}

/**
 * Keeps aside a result of a plan that the restored database does not know, and sends its receipt: the agent has done
 * its part. It changes nothing else. False when there was no restore, or there are too many already.
 */
export async function quarantineResult(
  inbox: InboxWork,
  message: { readonly machineId: string; readonly body: ResultMessage; readonly text: string },
): Promise<boolean> {
  const { context, work } = inbox;
  const { db } = work;
  const { planId, deploymentId, outcome } = message.body;
  if ((await lastRestore(db)) === undefined) return false;
  const known = await db.selectFrom('plans').select('plan_id').where('plan_id', '=', planId).executeTakeFirst();
  // A plan of another machine, or of another deployment: no result, a forgery.
  if (known !== undefined) return false;
  const { count } = await db
    .selectFrom('quarantine')
    .select((column) => column.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) >= apiLimits.quarantinedResultsMax.value) return false;
  await db
    .insertInto('quarantine')
    .values({
      plan_id: planId,
      deployment_id: deploymentId,
      machine_id: message.machineId,
      outcome,
      body: message.text,
      received_at: context.clock.now(),
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const machine = await db
    .selectFrom('machines')
    .select('mailbox')
    .where('id', '=', message.machineId)
    .executeTakeFirst();
  if (machine !== undefined) await writeReceipt(context, work, { planId, mailbox: machine.mailbox });
  return true;
}

/**
 * An agent of a later enrolment than the database knows has joined after the backup was made. Its login proves the
 * machine, so it is taken as what it says; what was open for its predecessor ends.
 */
export async function adoptAgent(inbox: InboxWork, heartbeat: HeartbeatMessage): Promise<void> {
  const { context, history, work } = inbox;
  const { machineId, enrolment } = heartbeat;
  const machine = await work.db
    .selectFrom('machines')
    .select('enrolment')
    .where('id', '=', machineId)
    .executeTakeFirst();
  if (machine === undefined || machine.enrolment >= enrolment || (await lastRestore(work.db)) === undefined) return;
  if (machine.enrolment > 0) {
    const reason = `${replacedReason}, after the backup was made`;
    await endPlansOfMachine(work, history, { machineId, outcome: 'replaced', reason });
  }
  const now = context.clock.now();
  await work.db
    .updateTable('machines')
    .set({ enrolment, joined_at: now, last_heartbeat_at: now, agent_version: heartbeat.agentVersion })
    .where('id', '=', machineId)
    .execute();
  await writeAudit(context, work, {
    actor: `agent:${machineId}`,
    action: 'machine.adopted',
    target: machineId,
    detail: { enrolment },
  });
}
