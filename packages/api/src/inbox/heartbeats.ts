import type { HeartbeatMessage } from '@torcello/contracts';
import type { InboxWork } from './inbox.js';
import { adoptAgent } from './quarantine.js';

/** Notes that an agent lives: only of the one that joined last, and by our own clock. */
export async function storeHeartbeat(inbox: InboxWork, heartbeat: HeartbeatMessage): Promise<void> {
  const updated = await inbox.work.db
    .updateTable('machines')
    .set({
      last_heartbeat_at: inbox.context.clock.now(),
      running_plan: heartbeat.runningPlan ?? null,
      agent_version: heartbeat.agentVersion,
      notices: heartbeat.notices === undefined ? null : JSON.stringify(heartbeat.notices),
    })
    .where('id', '=', heartbeat.machineId)
    .where('enrolment', '=', heartbeat.enrolment)
    .returning('id')
    .executeTakeFirst();
  if (updated === undefined) await adoptAgent(inbox, heartbeat);
}
