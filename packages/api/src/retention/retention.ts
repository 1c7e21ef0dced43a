import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Work } from '../database/store.js';
import { apiLimits } from '../limits.js';
import { Rounds } from '../rounds.js';

export interface RetentionSettings {
  /** Output of a deployment is kept so long after its end. */
  readonly keepOutputMs: number;
  /** Its history, reports and results. */
  readonly keepHistoryMs: number;
}

export interface RetentionOptions extends RetentionSettings {
  readonly context: Context;
  /** Between two sweeps. */
  readonly sweepMs: number;
}

/**
 * Drops what is past its retention: first the output of a deployment, much later its history. Only of deployments that have
 * ended and have no open question; what they were, and how each plan ended, stays. In small transactions, so that nobody waits.
 */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #rounds: Rounds;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { context, sweepMs } = options;
    this.#rounds = new Rounds({
      clock: context.clock,
      intervalMs: sweepMs,
      round: async () => {
        await this.sweep();
        return 'later';
      },
      onFailure: (error) =>
        context.logger.error('a sweep of the retention failed, the next one tries again', { error }),
    });
  }

  get settings(): RetentionSettings {
    return this.#options;
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One sweep; answers of how many deployments something was dropped. */
  async sweep(): Promise<{ readonly outputs: number; readonly histories: number }> {
    const { keepOutputMs, keepHistoryMs } = this.#options;
    const outputs = await this.#dropAll('output_dropped_at', keepOutputMs, (id) => this.#dropOutput(id));
    const histories = await this.#dropAll('history_dropped_at', keepHistoryMs, (id) => this.#dropHistory(id));
    return { outputs, histories };
  }

  async #dropAll(
    mark: 'output_dropped_at' | 'history_dropped_at',
    keepMs: number,
    drop: (deploymentId: string) => Promise<void>,
  ): Promise<number> {
    const { context } = this.#options;
    const due = await context.store.db
      .selectFrom('deployments')
      .select('id')
      .where('finished_at', '<=', context.clock.now() - keepMs)
      .where(mark, 'is', null)
      .where('id', 'not in', (inner) => inner.selectFrom('plans').select('deployment_id').where('outcome', 'is', null))
      .orderBy('finished_at')
      .execute();
    for (const { id } of due) {
      if (this.#rounds.signal.aborted) return 0;
      await drop(id);
    }
    return due.length;
  }

  async #dropOutput(deploymentId: string): Promise<void> {
    const { context, keepOutputMs } = this.#options;
    while (!this.#rounds.signal.aborted && (await this.#dropPieces(deploymentId)));
    await context.store.write(async (work) => {
      // A resume may have come in between: then it is kept, with what is left of it.
      if (!(await isStillDue(work, deploymentId, context.clock.now() - keepOutputMs))) return;
      const now = context.clock.now();
      await work.db.updateTable('deployments').set({ output_dropped_at: now }).where('id', '=', deploymentId).execute();
      await writeAudit(context, work, { actor: 'api', action: 'output.dropped', target: deploymentId });
    });
  }

  /** False when none was left. */
  async #dropPieces(deploymentId: string): Promise<boolean> {
    const { context, keepOutputMs } = this.#options;
    return context.store.write(async (work) => {
      const { db } = work;
      if (!(await isStillDue(work, deploymentId, context.clock.now() - keepOutputMs))) return false;
      const rows = await db
        .selectFrom('output_chunks')
        .innerJoin('plans', 'plans.plan_id', 'output_chunks.plan_id')
        .select('output_chunks.sequence')
        .where('plans.deployment_id', '=', deploymentId)
        .limit(apiLimits.piecesDroppedAtOnceMax.value)
        .execute();
      if (rows.length === 0) return false;
      const sequences = rows.map((row) => row.sequence);
      await db.deleteFrom('output_chunks').where('sequence', 'in', sequences).execute();
      return true;
    });
  }

  /** The first event and the last stay: what it was, and how it ended. */
  async #dropHistory(deploymentId: string): Promise<void> {
    const { context, keepHistoryMs } = this.#options;
    await context.store.write(async (work) => {
      const { db } = work;
      if (!(await isStillDue(work, deploymentId, context.clock.now() - keepHistoryMs))) return;
      await db
        .deleteFrom('history')
        .where('deployment_id', '=', deploymentId)
        .where('n', '>', 0)
        .where('type', '!=', 'finished')
        .execute();
      await db.deleteFrom('reports').where('deployment_id', '=', deploymentId).execute();
      const plans = db.selectFrom('plans').select('plan_id').where('deployment_id', '=', deploymentId);
      await db.deleteFrom('steps').where('plan_id', 'in', plans).execute();
      // The rows stay: a copy of a result that comes late still gets its receipt.
      await db.updateTable('inbox').set({ body: '{}' }).where('plan_id', 'in', plans).execute();
      await db
        .updateTable('letters')
        .set({ body: new Uint8Array() })
        .where('deployment_id', '=', deploymentId)
        .execute();
      const now = context.clock.now();
      await db.updateTable('deployments').set({ history_dropped_at: now }).where('id', '=', deploymentId).execute();
      await writeAudit(context, work, { actor: 'api', action: 'history.dropped', target: deploymentId });
    });
  }
}

async function isStillDue({ db }: Work, deploymentId: string, untilMs: number): Promise<boolean> {
  const row = await db
    .selectFrom('deployments')
    .select('id')
    .where('id', '=', deploymentId)
    .where('finished_at', '<=', untilMs)
    .executeTakeFirst();
  return row !== undefined;
}
