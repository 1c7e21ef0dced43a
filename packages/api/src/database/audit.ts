import type { Context } from '../context.js';
import type { Work } from './store.js';

/** Who did what to what: written in the transaction of the change itself. */
export interface AuditEntry {
  /** `admin`, or `agent:<machine id>` for what an agent asked for. */
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export async function writeAudit(context: Context, work: Work, entry: AuditEntry): Promise<void> {
  const { actor, action, target } = entry;
  const detail = JSON.stringify(entry.detail ?? {});
  await work.db.insertInto('audit').values({ at: context.clock.now(), actor, action, target, detail }).execute();
}
