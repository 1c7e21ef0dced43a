import type { Context } from '../context.js';
import type { Work } from '../database/store.js';
import type { History } from '../deployments/history.js';
import { leaveLost } from '../deployments/leave-lost.js';
import { deploymentRow } from '../deployments/rows.js';
import { apiLimits } from '../limits.js';
import type { Presence } from '../machines/presence.js';
import { Rounds } from '../rounds.js';

/** How often it is looked for what is due: with the lateness below, well within the 5 s that are promised. */
const lookMs = 1_000;
/** An agent whose clock is a little behind takes a plan as much later. */
const latenessMs = 1_000;

/** Carries out what is due. Timers are rows: those that passed while the API was away are carried out at its start. */
export class Timers {
  readonly #parts: { readonly context: Context; readonly history: History; readonly presence: Presence };
  readonly #rounds: Rounds;

  constructor(parts: { readonly context: Context; readonly history: History; readonly presence: Presence }) {
    this.#parts = parts;
    const { clock, logger } = parts.context;
    this.#rounds = new Rounds({
      clock,
      intervalMs: lookMs,
      round: async () => {
        const hasMore = await this.fire();
        await leaveLost(parts);
        return hasMore ? 'now' : 'later';
      },
      onFailure: (error) => logger.error('a timer failed, the next look tries again', { error }),
    });
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One look; true when more is due. */
  async fire(): Promise<boolean> {
    const { context } = this.#parts;
    const limit = apiLimits.timersAtOnceMax.value;
    const due = await context.store.db
      .selectFrom('timers')
      .select(['id', 'subject'])
      .where('due_at', '<=', context.clock.now() - latenessMs)
      .orderBy('due_at')
      .limit(limit)
      .execute();
    if (due.length === 0) return false;
    await context.store.write(async (work) => {
      for (const { id, subject } of due) {
        await work.db.deleteFrom('timers').where('id', '=', id).execute();
        await this.#startByPassed(work, subject);
      }
    });
    return due.length === limit;
  }

  /** `not delivered` is said only where nobody can have read the mailbox; else the plan is unknown until it settles. */
  async #startByPassed(work: Work, planId: string): Promise<void> {
    const { history } = this.#parts;
    const plan = await work.db.selectFrom('plans').selectAll().where('plan_id', '=', planId).executeTakeFirst();
    if (plan === undefined || plan.outcome !== null || plan.delivered_at !== null) return;
    const row = await deploymentRow(work.db, plan.deployment_id);
    if (row === undefined) return;
    if (await this.#hadReader(work, plan)) {
      work.afterCommit(() =>
        this.#parts.context.notices.tell({ type: 'plans', deploymentId: row.id, planIds: [planId] }),
      );
      return;
    }
    await history.appendByApi(work, row, [{ type: 'planEnded', planId, outcome: 'expired', reason: 'not delivered' }]);
  }

  async #hadReader(work: Work, plan: { readonly machine_id: string; readonly scheduled_at: number }): Promise<boolean> {
    const machine = await work.db
      .selectFrom('machines')
      .select(['enrolment', 'joined_at', 'last_heartbeat_at'])
      .where('id', '=', plan.machine_id)
      .executeTakeFirst();
    if (machine === undefined || machine.enrolment === 0) return false;
    const contactMs = Math.max(machine.joined_at ?? 0, machine.last_heartbeat_at ?? 0);
    return contactMs >= plan.scheduled_at || !this.#parts.presence.hasListenedSince(plan.scheduled_at);
  }
}
