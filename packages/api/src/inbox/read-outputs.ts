import type { Db } from '../database/store.js';

export interface OutputQuery {
  readonly deploymentId: string;
  /** Name of a machine. */
  readonly machine: string | undefined;
  readonly step: string | undefined;
  readonly tailBytes: number;
}

/** The last output of one step on one machine. Text of an agent: never trusted, shown as text only. */
export interface OutputView {
  readonly planId: string;
  readonly machine: string;
  readonly stage: string;
  readonly step: string;
  readonly text: string;
  /** Where in the output `text` begins. */
  readonly fromOffset: number;
  readonly totalBytes: number;
  /** More was written than is kept. */
  readonly isCut: boolean;
  /** Where it is cut, once its step has ended: how much the step wrote in all, and the SHA-256 of that, hexadecimal. */
  readonly cut?: { readonly atBytes: number; readonly writtenBytes: number; readonly sha256?: string };
  /** The state of the step. */
  readonly outcome: string;
}

/** Outputs in one answer; a narrower question shows the rest. */
const outputsMax = 2_000;
/** All texts of one answer together. */
const answerBytesMax = 33_554_432;

export async function readOutputs(db: Db, query: OutputQuery): Promise<readonly OutputView[]> {
  const rows = await db
    .selectFrom('outputs')
    .innerJoin('plans', 'plans.plan_id', 'outputs.plan_id')
    .leftJoin('steps', (join) =>
      join.onRef('steps.plan_id', '=', 'outputs.plan_id').onRef('steps.name', '=', 'outputs.step'),
    )
    .select([
      'outputs.plan_id',
      'plans.machine_name',
      'plans.stage',
      'outputs.step',
      'outputs.total_bytes',
      'outputs.is_cut',
      'outputs.written_bytes',
      'outputs.sha256',
      'steps.state',
    ])
    .where('plans.deployment_id', '=', query.deploymentId)
    .$if(query.machine !== undefined, (narrowed) => narrowed.where('plans.machine_name', '=', query.machine ?? ''))
    .$if(query.step !== undefined, (narrowed) => narrowed.where('outputs.step', '=', query.step ?? ''))
    .orderBy('plans.stage')
    .orderBy('plans.role')
    .orderBy('plans.place')
    .orderBy('steps.place')
    .limit(outputsMax)
    .execute();
  const tailBytes = Math.min(query.tailBytes, Math.floor(answerBytesMax / Math.max(1, rows.length)));
  const outputs: OutputView[] = [];
  for (const row of rows) {
    const tail = await readTail(db, { planId: row.plan_id, step: row.step, totalBytes: row.total_bytes, tailBytes });
    outputs.push({
      planId: row.plan_id,
      machine: row.machine_name,
      stage: row.stage,
      step: row.step,
      ...tail,
      totalBytes: row.total_bytes,
      isCut: row.is_cut === 1,
      ...cutOf(row),
      outcome: row.state ?? 'running',
    });
  }
  return outputs;
}

function cutOf(row: {
  readonly is_cut: number;
  readonly total_bytes: number;
  readonly written_bytes: number | null;
  readonly sha256: string | null;
}): Pick<OutputView, 'cut'> {
  if (row.is_cut === 0 || row.written_bytes === null) return {};
  const digest = row.sha256 === null ? {} : { sha256: row.sha256 };
  return { cut: { atBytes: row.total_bytes, writtenBytes: row.written_bytes, ...digest } };
}

async function readTail(
  db: Db,
  of: { readonly planId: string; readonly step: string; readonly totalBytes: number; readonly tailBytes: number },
): Promise<{ readonly text: string; readonly fromOffset: number }> {
  const wantedFrom = Math.max(0, of.totalBytes - of.tailBytes);
  const chunks = await db
    .selectFrom('output_chunks')
    .select(['start', 'body'])
    .where('plan_id', '=', of.planId)
    .where('step', '=', of.step)
    .where('start', '>=', wantedFrom - chunkBytesMax)
    .orderBy('start')
    .execute();
  const parts: Uint8Array[] = [];
  let at = wantedFrom;
  for (const { start, body } of chunks) {
    const end = start + body.length;
    if (end <= at) continue;
    // A chunk that was lost leaves a gap, which is shown rather than hidden.
    if (start > at) parts.push(Buffer.from(`[${start - at} bytes are missing]\n`));
    parts.push(start < at ? body.subarray(at - start) : body);
    at = end;
  }
  return { text: new TextDecoder().decode(Buffer.concat(parts)), fromOffset: wantedFrom };
}

const chunkBytesMax = 65_536;
