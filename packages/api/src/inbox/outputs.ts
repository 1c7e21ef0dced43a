import { limits } from '@torcello/contracts';
import type { PlanRow } from '../database/tables.js';
import { apiLimits } from '../limits.js';
import type { OutputChunk } from './agent-message.js';
import type { InboxWork } from './inbox.js';

/**
 * Stores a piece of output at its offset; the same piece again changes nothing. Beyond the limits of a step it is
 * dropped, and the output is marked as cut.
 */
export async function storeOutput(inbox: InboxWork, plan: PlanRow, chunk: OutputChunk): Promise<void> {
  const { db } = inbox.work;
  const { step, start, bytes } = chunk;
  const known = await db
    .selectFrom('outputs')
    .selectAll()
    .where('plan_id', '=', plan.plan_id)
    .where('step', '=', step)
    .executeTakeFirst();
  if (known === undefined && (await stepsWithOutput(inbox, plan)) >= limits.planStepsMax.value) return;
  const end = start + bytes.length;
  const isOver = end > limits.outputRunBytesMax.value || (known?.chunks ?? 0) >= apiLimits.outputChunksMax.value;
  const isNew = !isOver && bytes.length > 0 && (await insertChunk(inbox, plan, chunk));
  const row = {
    plan_id: plan.plan_id,
    step,
    total_bytes: Math.max(known?.total_bytes ?? 0, isOver ? 0 : end),
    chunks: (known?.chunks ?? 0) + (isNew ? 1 : 0),
    is_cut: isOver ? 1 : (known?.is_cut ?? 0),
  };
  await db
    .insertInto('outputs')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .columns(['plan_id', 'step'])
        .doUpdateSet({ total_bytes: row.total_bytes, chunks: row.chunks, is_cut: row.is_cut }),
    )
    .execute();
}

async function insertChunk(inbox: InboxWork, plan: PlanRow, chunk: OutputChunk): Promise<boolean> {
  const inserted = await inbox.work.db
    .insertInto('output_chunks')
    .values({ plan_id: plan.plan_id, step: chunk.step, start: chunk.start, body: chunk.bytes })
    .onConflict((conflict) => conflict.doNothing())
    .returning('start')
    .executeTakeFirst();
  return inserted !== undefined;
}

async function stepsWithOutput(inbox: InboxWork, plan: PlanRow): Promise<number> {
  const { count } = await inbox.work.db
    .selectFrom('outputs')
    .select((column) => column.fn.countAll<number>().as('count'))
    .where('plan_id', '=', plan.plan_id)
    .executeTakeFirstOrThrow();
  return Number(count);
}
