import type { Kysely } from 'kysely';
import type { Db, Work } from '../database/store.js';

/** How a plan for a real muranoagent is on its way. The first time it is sent by a conductor, later times by the API. */
export interface MuranoSendRow {
  readonly plan_id: string;
  readonly machine_id: string;
  /** How often it was sent, or is to be sent. */
  readonly nth: number;
  /** Stamp of the last time. */
  readonly stamp: number;
  /** Null between the decision to send it again and the broker's confirm. */
  readonly sent_at: number | null;
  /** It was answered, or taken out of the queue. */
  readonly settled_at: number | null;
}

/** Columns of the table, as migrations write them. */
export const muranoSendsColumns = 'plan_id:id machine_id:text nth:int stamp:int sent_at:int? settled_at:int?';

interface SendTables {
  readonly murano_sends: MuranoSendRow;
}

/** The table beside the others, which only this folder reads. */
export function sendTables(db: Db | Work['db']): Kysely<SendTables> {
  return db as unknown as Kysely<SendTables>;
}

export async function findSend(db: Db | Work['db'], planId: string): Promise<MuranoSendRow | undefined> {
  return sendTables(db).selectFrom('murano_sends').selectAll().where('plan_id', '=', planId).executeTakeFirst();
}

export async function putSend(work: Work, row: MuranoSendRow): Promise<void> {
  const { plan_id: _, ...changes } = row;
  await sendTables(work.db)
    .insertInto('murano_sends')
    .values(row)
    .onConflict((conflict) => conflict.column('plan_id').doUpdateSet(changes))
    .execute();
}

/** The plan needs to be sent no more. */
export async function settleSend(
  work: Work,
  end: { readonly planId: string; readonly machineId: string; readonly atMs: number },
): Promise<void> {
  const row = await findSend(work.db, end.planId);
  const blank = { plan_id: end.planId, machine_id: end.machineId, nth: 1, stamp: 0, sent_at: end.atMs };
  await putSend(work, { ...(row ?? blank), settled_at: row?.settled_at ?? end.atMs });
}

/** The highest Stamp that a machine was sent, as far as it is known. */
export async function stampsOf(
  db: Db | Work['db'],
  machineIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  if (machineIds.length === 0) return new Map();
  const rows = await sendTables(db)
    .selectFrom('murano_sends')
    .select((column) => ['machine_id', column.fn.max('stamp').as('stamp')])
    .where('machine_id', 'in', [...machineIds])
    .groupBy('machine_id')
    .execute();
  return new Map(rows.map((row) => [row.machine_id, Number(row.stamp)]));
}
