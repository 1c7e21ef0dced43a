import { operator } from '../access/principal.js';
import { requester } from '../access/requester.js';
import type { Context } from '../context.js';
import type { Work } from './store.js';

/** Who did what to what: written in the transaction of the change itself. */
export interface AuditEntry {
  /**
   * `admin` for what a request asked for: written is the user whose token it had, and in the detail the tenant and the
   * user's name where Keystone told it. `agent:<machine id>` for what an agent asked for.
   */
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export async function writeAudit(context: Context, work: Work, entry: AuditEntry): Promise<void> {
  const { action, target } = entry;
  const by = entry.actor === operator.userId ? requester() : undefined;
  const actor = by?.actor ?? entry.actor;
  const detail = JSON.stringify({ ...entry.detail, ...by?.detail });
  await work.db.insertInto('audit').values({ at: context.clock.now(), actor, action, target, detail }).execute();
}
