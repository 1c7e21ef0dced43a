import { apply, decide } from '@torcello/contracts';
import type { DeploymentEvent, Result } from '@torcello/contracts';
import { hexId } from '@torcello/platform';
import type { Context } from '../context.js';
import { writeHint } from '../database/outbox.js';
import type { Work } from '../database/store.js';
import type { DeploymentRow, HistoryTable } from '../database/tables.js';
import { finishDeployment } from './finish.js';
import type { FoldedDeployments } from './folded.js';
import type { Leases } from './leases.js';
import { project } from './projection.js';

const rowsPerInsert = 500;

export interface HistoryOptions {
  readonly context: Context;
  readonly folded: FoldedDeployments;
  readonly leases: Leases;
  /** A hint lives as long as a sweep: the next sweep brings another. */
  readonly hintExpiresMs: number;
  /** How long a mailbox stays after its environment was destroyed, so that its agent can fetch the last receipts. */
  readonly mailboxGraceMs: number;
}

/** The one place where a history grows. Both writers come here: the lease holder, and the API for the world outside. */
export class History {
  readonly #options: HistoryOptions;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** Appends what users, agents or timers brought, and makes somebody look at it if there is anything to do. */
  async appendByApi(work: Work, row: DeploymentRow, events: readonly DeploymentEvent[]): Promise<DeploymentRow> {
    const { context, leases, hintExpiresMs } = this.#options;
    const entries = events.map((event) => ({ id: hexId(context.random), event }));
    const { row: after, hasWork } = await this.append(work, { row, entries, byApi: true });
    if (after.finished_at !== null || leases.isLive(row.id)) return after;
    await work.db
      .updateTable('deployments')
      .set({ is_parked: hasWork ? 0 : 1 })
      .where('id', '=', row.id)
      .execute();
    if (hasWork && !(await hintWaits(work, row.id)))
      await writeHint(context, work, { deploymentId: row.id, expiresMs: hintExpiresMs });
    return { ...after, is_parked: hasWork ? 0 : 1 };
  }

  /** Appends at the row's length. The caller has checked epoch and length in this transaction. */
  async append(
    work: Work,
    news: {
      readonly row: DeploymentRow;
      readonly entries: readonly { readonly id: string; readonly event: DeploymentEvent }[];
      readonly byApi: boolean;
    },
  ): Promise<{ readonly row: DeploymentRow; readonly hasWork: boolean }> {
    const { context, folded } = this.#options;
    const { row, entries } = news;
    const atMs = context.clock.now();
    const before = await folded.at(work.db, row);
    const events = entries.map((entry) => entry.event);
    const after = { ...before, state: events.reduce(apply, before.state), length: row.length + entries.length };
    await insertEvents(
      work,
      row,
      entries.map(({ id, event }) => ({ id, event, atMs })),
    );
    const planIds = await project(work, { deploymentId: row.id, model: before.model, events, atMs });
    const changes = rowChanges(row, events, atMs);
    const changed = { ...row, ...changes, length: after.length };
    await work.db
      .updateTable('deployments')
      .set({ ...changes, length: changed.length })
      .where('id', '=', row.id)
      .execute();
    work.afterCommit(() => {
      folded.keep(row.id, after);
      context.notices.tell({ type: 'plans', deploymentId: row.id, planIds });
      const told = events.map((event, place) => ({ n: row.length + place, atMs, event }));
      context.notices.tell({ type: 'history', deploymentId: row.id, entries: told, byApi: news.byApi });
    });
    const { result } = after.state;
    if (result === undefined || row.finished_at !== null)
      return { row: changed, hasWork: decide(after.state).length > 0 };
    const finished = await this.#finish(work, changed, result);
    return { row: await this.#settleNeverStarted(work, finished), hasWork: false };
  }

  /** Of a cancelled deployment: a machine that never joined has not started anything, and its cancel letter waits for it. */
  async #settleNeverStarted(work: Work, row: DeploymentRow): Promise<DeploymentRow> {
    if (row.state !== 'cancelled') return row;
    const plans = await work.db
      .selectFrom('plans')
      .innerJoin('machines', 'machines.id', 'plans.machine_id')
      .select('plans.plan_id')
      .where('plans.deployment_id', '=', row.id)
      .where('plans.outcome', 'is', null)
      .where('plans.delivered_at', 'is', null)
      .where('machines.enrolment', '=', 0)
      .execute();
    if (plans.length === 0) return row;
    const events = plans.map(({ plan_id: planId }): DeploymentEvent => ({
      type: 'planEnded',
      planId,
      outcome: 'cancelled',
      reason: 'never started',
    }));
    return this.appendByApi(work, row, events);
  }

  async #finish(work: Work, row: DeploymentRow, result: Result): Promise<DeploymentRow> {
    const { context, folded, leases, mailboxGraceMs } = this.#options;
    const finished = await finishDeployment(context, work, { row, result, mailboxGraceMs });
    work.afterCommit(() => {
      leases.end(row.id);
      folded.forget(row.id);
    });
    return finished;
  }
}

/** What events say of the deployment as a whole. */
function rowChanges(
  row: DeploymentRow,
  events: readonly DeploymentEvent[],
  atMs: number,
): Pick<DeploymentRow, 'reason' | 'cancel_requested_at' | 'superseded_by'> {
  let { reason, cancel_requested_at, superseded_by } = row;
  for (const event of events) {
    if (event.type === 'rejected') reason ??= event.reason;
    if (event.type === 'cancelRequested') cancel_requested_at ??= atMs;
    if (event.type === 'supersedeRequested') superseded_by ??= event.by;
  }
  return { reason, cancel_requested_at, superseded_by };
}

/** Whether a hint for this deployment already waits for the broker. */
async function hintWaits(work: Work, deploymentId: string): Promise<boolean> {
  const row = await work.db
    .selectFrom('outbox')
    .select('id')
    .where('subject', '=', deploymentId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

async function insertEvents(
  work: Work,
  row: DeploymentRow,
  entries: readonly { readonly id: string; readonly event: DeploymentEvent; readonly atMs: number }[],
): Promise<void> {
  const rows = entries.map(({ id, event, atMs }, place): HistoryTable => ({
    deployment_id: row.id,
    n: row.length + place,
    event_id: id,
    epoch: row.epoch,
    at: atMs,
    type: event.type,
    event: JSON.stringify(event),
  }));
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    await work.db
      .insertInto('history')
      .values(rows.slice(from, from + rowsPerInsert))
      .execute();
  }
}
