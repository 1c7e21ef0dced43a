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
  if (chunk.end !== undefined) return markEnd(inbox, plan, { step, ...chunk.end });
  const isNew = !isOver && bytes.length > 0 && (await insertChunk(inbox, plan, chunk));
  const row = {
    plan_id: plan.plan_id,
    step,
    total_bytes: Math.max(known?.total_bytes ?? 0, isOver ? 0 : end),
    chunks: (known?.chunks ?? 0) + (isNew ? 1 : 0),
    is_cut: isOver ? 1 : (known?.is_cut ?? 0),
    written_bytes: known?.written_bytes ?? null,
    sha256: known?.sha256 ?? null,
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
  tellOutput(inbox, plan);
}

/** The step wrote nothing more. What it wrote beyond what is kept shows as one cut with its length and digest. */
async function markEnd(
  inbox: InboxWork,
  plan: PlanRow,
  end: { readonly step: string; readonly writtenBytes: number; readonly sha256: string | undefined },
): Promise<void> {
  const { step, writtenBytes, sha256 = null } = end;
  const { db } = inbox.work;
  const known = await db
    .selectFrom('outputs')
    .select(['is_cut', 'cut_sequence'])
    .where('plan_id', '=', plan.plan_id)
    .where('step', '=', step)
    .executeTakeFirst();
  const isCut = writtenBytes > limits.outputRunBytesMax.value || known?.is_cut === 1;
  const row = {
    written_bytes: writtenBytes,
    sha256,
    is_cut: isCut ? 1 : 0,
    cut_sequence: isCut ? (known?.cut_sequence ?? (await nextSequence(inbox))) : null,
  };
  await db
    .insertInto('outputs')
    .values({ plan_id: plan.plan_id, step, total_bytes: 0, chunks: 0, ...row })
    .onConflict((conflict) => conflict.columns(['plan_id', 'step']).doUpdateSet(row))
    .execute();
  tellOutput(inbox, plan);
}

function tellOutput({ work, context }: InboxWork, plan: PlanRow): void {
  work.afterCommit(() => context.notices.tell({ type: 'output', deploymentId: plan.deployment_id }));
}

/** Of two pieces with the same start the longer one wins: an agent that was cut off sends on with other bounds. */
async function insertChunk(inbox: InboxWork, plan: PlanRow, chunk: OutputChunk): Promise<boolean> {
  const { db } = inbox.work;
  const place = { plan_id: plan.plan_id, step: chunk.step, start: chunk.start };
  const there = await db
    .selectFrom('output_chunks')
    .select((column) => column.fn<number>('length', ['body']).as('bytes'))
    .where('plan_id', '=', place.plan_id)
    .where('step', '=', place.step)
    .where('start', '=', place.start)
    .executeTakeFirst();
  if (there !== undefined && there.bytes >= chunk.bytes.length) return false;
  const row = { ...place, body: chunk.bytes, sequence: await nextSequence(inbox) };
  await db
    .insertInto('output_chunks')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['plan_id', 'step', 'start']).doUpdateSet({ body: row.body, sequence: row.sequence }),
    )
    .execute();
  return there === undefined;
}

/** Pieces and cuts of all outputs count together: a follower that was cut off goes on behind the last that it has. */
async function nextSequence({ work: { db } }: InboxWork): Promise<number> {
  const chunk = await db
    .selectFrom('output_chunks')
    .select((column) => column.fn.max('sequence').as('last'))
    .executeTakeFirstOrThrow();
  const cut = await db
    .selectFrom('outputs')
    .select((column) => column.fn.max('cut_sequence').as('last'))
    .executeTakeFirstOrThrow();
  return Math.max(Number(chunk.last ?? 0), Number(cut.last ?? 0)) + 1;
}

async function stepsWithOutput(inbox: InboxWork, plan: PlanRow): Promise<number> {
  const { count } = await inbox.work.db
    .selectFrom('outputs')
    .select((column) => column.fn.countAll<number>().as('count'))
    .where('plan_id', '=', plan.plan_id)
    .executeTakeFirstOrThrow();
  return Number(count);
}
