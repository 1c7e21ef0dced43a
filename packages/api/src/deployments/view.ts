import type { CarrierKind, DeploymentEvent, Stage } from '@torcello/contracts';
import type { Clock } from '@torcello/platform';
import type { Db } from '../database/store.js';
import type { DeploymentRow, PlanRow, StepRow } from '../database/tables.js';
import type { Presence } from '../machines/presence.js';
import { isoTime } from '../times.js';
import { cancelOf, displayPlan, stoppedOf } from '../why/plan-display.js';
import type { MachineFacts, PlanDisplay } from '../why/plan-display.js';
import { displayStages } from '../why/stage-display.js';
import { whyDeployment } from '../why/deployment-display.js';
import type { Why } from '../why/why.js';
import type { Leases } from './leases.js';
import { deploymentRow, loadModel } from './rows.js';

/** One plan as people see it; instants are ISO texts. */
export interface PlanView {
  readonly planId: string;
  readonly machine: { readonly id: string; readonly name: string; readonly role: string; readonly index: number };
  readonly stage: string;
  readonly state: string;
  readonly since: string;
  readonly steps: readonly StepView[];
  readonly step?: string;
  readonly storedAt?: string;
  /** Where it is stored, while nobody has taken it: in the mailbox at the broker, or in the API's database. */
  readonly waitsIn?: 'mailbox' | 'database';
  readonly deliveredAt?: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly reason?: string;
  /** Counts the plans of this machine in this stage, from 1. */
  readonly attempt: number;
  /** A resume gave it up; what counts is a later attempt. */
  readonly isEarlierAttempt?: true;
  /** When an agent refuses it as expired. */
  readonly startBy?: string;
  /** The last proof of what is shown. */
  readonly evidence?: Why['evidence'];
  /** While it is open. */
  readonly why?: Why;
  /** Once somebody wanted its deployment to end. */
  readonly cancel?: 'neverStarted' | 'stopped' | 'finishedBefore' | 'unknown';
  readonly stopped?: { readonly exitCode: number | null; readonly signal?: string; readonly at: string };
}

export interface StageView {
  readonly name: string;
  readonly needs: readonly string[];
  /** How many. */
  readonly machines: number;
  /** `waiting`: not all of its machines have a plan. `open`: they have, and not all have ended. */
  readonly state: 'waiting' | 'open' | 'ended';
  /** Names of the machines without a plan. */
  readonly notStarted?: readonly string[];
  readonly why?: Why;
}

export interface MachineOfModel {
  readonly name: string;
}

export interface StepView {
  readonly name: string;
  readonly state: string;
  readonly exitCode?: number;
  readonly startedAt?: string;
  readonly finishedAt?: string;
}

export interface DeploymentView {
  readonly id: string;
  readonly environmentId: string;
  readonly environmentName: string;
  readonly action: string;
  /**
   * `queued`: nobody has taken it yet. `running`: a machine runs a step of it, and `evidence` is the last proof.
   * `waiting`: none does, `why` says for what it waits. Else how it ended.
   */
  readonly state: string;
  readonly acceptedAt: string;
  readonly plans: readonly PlanView[];
  readonly stages: readonly StageView[];
  readonly why?: Why;
  readonly evidence?: Why['evidence'];
  readonly cancelRequestedAt?: string;
  readonly supersededBy?: string;
  readonly supersedes?: string;
  readonly startBy?: string;
  /** Machines of a destroy that were not asked, with the reason. */
  readonly leftAlone?: readonly string[];
  readonly reason?: string;
  readonly finishedAt?: string;
  /** Only while it is not finished: who has to act next. */
  readonly waitsFor?: string;
}

export interface ViewsOptions {
  readonly db: Db;
  readonly presence: Presence;
  readonly leases: Leases;
  readonly clock: Clock;
  /** How plans get to agents; undefined until the broker was reached. */
  readonly carrier: () => CarrierKind | undefined;
}

/** Rows as people see them, judged at the instant of the question. */
export class Views {
  readonly #options: ViewsOptions;

  constructor(options: ViewsOptions) {
    this.#options = options;
  }

  async deployment(row: DeploymentRow): Promise<DeploymentView> {
    const { db, presence, leases } = this.#options;
    const rows = await planRows(db, row.id);
    const plans = await this.#plans(row, rows);
    const { stages, names, leftAlone } = await acceptedOf(db, row);
    const stageViews = displayStages({ stages, plans: rows, machines: names, deployment: row });
    const letters = row.state === 'queued' ? await lettersWaiting(db) : 0;
    const isHeld = leases.isLive(row.id);
    const found = whyDeployment({ row, plans, stages: stageViews, presence, isHeld, letters });
    return {
      id: row.id,
      environmentId: row.environment_id,
      environmentName: row.environment_name,
      action: row.action,
      acceptedAt: isoTime(row.accepted_at),
      ...instant('finishedAt', row.finished_at),
      ...(row.reason === null ? {} : { reason: row.reason }),
      ...instant('cancelRequestedAt', row.cancel_requested_at),
      ...instant('startBy', row.start_by_at),
      ...(row.supersedes === null ? {} : { supersedes: row.supersedes }),
      ...(row.superseded_by === null ? {} : { supersededBy: row.superseded_by }),
      ...(leftAlone.length === 0 ? {} : { leftAlone }),
      ...found,
      ...(row.finished_at === null && found.why !== undefined ? { waitsFor: found.why.endsWith } : {}),
      stages: stageViews,
      plans,
    };
  }

  /** The plans of a deployment, or those of them that are named. */
  async plans(deploymentId: string, planIds?: readonly string[]): Promise<readonly PlanView[]> {
    if (planIds?.length === 0) return [];
    const { db } = this.#options;
    const row = await deploymentRow(db, deploymentId);
    return row === undefined ? [] : this.#plans(row, await planRows(db, deploymentId, planIds), planIds);
  }

  async #plans(
    deployment: DeploymentRow,
    plans: readonly PlanRow[],
    planIds?: readonly string[],
  ): Promise<readonly PlanView[]> {
    const { db, presence, leases, clock, carrier } = this.#options;
    const wanted = planIds === undefined ? undefined : new Set(planIds);
    const shown = plans.filter((plan) => wanted === undefined || wanted.has(plan.plan_id));
    const steps = await stepsOf(db, deployment.id, planIds);
    const open = shown.filter((plan) => plan.outcome === null);
    const machines = await machinesOf(db, deployment, open);
    const inFront = await plansInFront(db, deployment, open);
    const [isHeld, nowMs, isByHandshake] = [leases.isLive(deployment.id), clock.now(), carrier() === 'handshake'];
    return shown.map((plan) => {
      const machine = machines.get(plan.machine_id);
      const planInFront = inFront.get(plan.plan_id);
      const facts = { plan, deployment, machine, planInFront, presence, isHeld, nowMs, isByHandshake };
      const display = plan.outcome === null ? displayPlan(facts) : undefined;
      return viewPlan({ row: plan, deployment, display, steps: steps.get(plan.plan_id) ?? [], isByHandshake });
    });
  }
}

async function planRows(db: Db, deploymentId: string, planIds?: readonly string[]): Promise<readonly PlanRow[]> {
  return db
    .selectFrom('plans')
    .selectAll()
    .where('deployment_id', '=', deploymentId)
    .$if(planIds !== undefined && planIds.length <= fewPlans, (query) => query.where('plan_id', 'in', planIds ?? []))
    .orderBy('scheduled_at')
    .orderBy('stage')
    .orderBy('role')
    .orderBy('place')
    .execute();
}

async function machinesOf(
  db: Db,
  deployment: DeploymentRow,
  open: readonly PlanRow[],
): Promise<ReadonlyMap<string, MachineFacts>> {
  if (open.length === 0) return new Map();
  const rows = await db
    .selectFrom('machines')
    .select([
      'id',
      'name',
      'mailbox',
      'enrolment',
      'joined_at',
      'last_heartbeat_at',
      'running_plan',
      'is_mailbox_declared',
      'mailbox_closed_at',
      'notices',
    ])
    .where('environment_id', '=', deployment.environment_id)
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

/** Agents take one plan at a time, in the order of their mailbox: of each open plan the one right before it. */
async function plansInFront(
  db: Db,
  deployment: DeploymentRow,
  open: readonly PlanRow[],
): Promise<ReadonlyMap<string, string>> {
  if (open.length === 0) return new Map();
  const rows = await db
    .selectFrom('plans')
    .innerJoin('deployments', 'deployments.id', 'plans.deployment_id')
    .select(['plans.plan_id', 'plans.machine_id'])
    .where('deployments.environment_id', '=', deployment.environment_id)
    .where('plans.outcome', 'is', null)
    .where('plans.stored_at', 'is not', null)
    .orderBy('plans.stored_at')
    .orderBy('plans.plan_id')
    .execute();
  const last = new Map<string, string>();
  const inFront = new Map<string, string>();
  for (const { plan_id, machine_id } of rows) {
    const before = last.get(machine_id);
    if (before !== undefined) inFront.set(plan_id, before);
    last.set(machine_id, plan_id);
  }
  return inFront;
}

/** What it was accepted with. */
async function acceptedOf(
  db: Db,
  row: DeploymentRow,
): Promise<{
  readonly stages: readonly Stage[];
  readonly names: ReadonlyMap<string, MachineOfModel>;
  readonly leftAlone: readonly string[];
}> {
  const first = await db
    .selectFrom('history')
    .select('event')
    .where('deployment_id', '=', row.id)
    .where('n', '=', 0)
    .executeTakeFirst();
  const accepted = first === undefined ? undefined : (JSON.parse(first.event) as DeploymentEvent);
  const { machines, leftAlone = [] } = await loadModel(db, row.id);
  const left = row.action === 'destroy' ? await leftAloneSince(db, row.id) : [];
  return {
    stages: accepted?.type === 'accepted' ? accepted.stages : [],
    names: new Map(machines.map((machine) => [machine.id, machine])),
    leftAlone: [...leftAlone, ...left],
  };
}

/** Machines that became lost, or were taken away, while the destroy ran. */
async function leftAloneSince(db: Db, deploymentId: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('history')
    .select('event')
    .where('deployment_id', '=', deploymentId)
    .where('type', '=', 'leftAlone')
    .execute();
  const ids = rows.map(({ event }) => (JSON.parse(event) as { readonly planId: string }).planId);
  if (ids.length === 0) return [];
  const plans = await db
    .selectFrom('plans')
    .select(['machine_name', 'reason'])
    .where('deployment_id', '=', deploymentId)
    .where('plan_id', 'in', ids.slice(0, fewPlans))
    .orderBy('role')
    .orderBy('place')
    .execute();
  return plans.map((plan) => `${plan.machine_name} (${(plan.reason ?? '').replace(/^left alone: /, '')})`);
}

async function lettersWaiting(db: Db): Promise<number> {
  const { count } = await db
    .selectFrom('outbox')
    .select((column) => column.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Above this many named plans all of the deployment are read: a statement takes only so many parameters. */
const fewPlans = 500;

async function stepsOf(
  db: Db,
  deploymentId: string,
  planIds: readonly string[] | undefined,
): Promise<ReadonlyMap<string, readonly StepRow[]>> {
  const rows = await db
    .selectFrom('steps')
    .selectAll()
    .$if(planIds !== undefined && planIds.length <= fewPlans, (query) => query.where('plan_id', 'in', planIds ?? []))
    .$if(planIds === undefined || planIds.length > fewPlans, (query) =>
      query.where('plan_id', 'in', (inner) =>
        inner.selectFrom('plans').select('plan_id').where('deployment_id', '=', deploymentId),
      ),
    )
    .orderBy('place')
    .execute();
  const byPlan = new Map<string, StepRow[]>();
  for (const row of rows) byPlan.set(row.plan_id, [...(byPlan.get(row.plan_id) ?? []), row]);
  return byPlan;
}

function viewPlan(of: {
  readonly row: PlanRow;
  readonly deployment: DeploymentRow;
  readonly display: PlanDisplay | undefined;
  readonly steps: readonly StepRow[];
  readonly isByHandshake: boolean;
}): PlanView {
  const { row, deployment, display, steps, isByHandshake } = of;
  const isWaiting = row.outcome === null && row.stored_at !== null && row.delivered_at === null;
  const cancel = cancelOf(row, deployment);
  const stopped = stoppedOf(row);
  return {
    planId: row.plan_id,
    machine: { id: row.machine_id, name: row.machine_name, role: row.role, index: row.place },
    stage: row.stage,
    state: display?.state ?? row.state,
    ...(row.step === null ? {} : { step: row.step }),
    since: isoTime(row.since),
    ...instant('storedAt', row.stored_at),
    ...(isWaiting ? { waitsIn: isByHandshake ? 'database' : 'mailbox' } : {}),
    ...instant('deliveredAt', row.delivered_at),
    ...instant('startedAt', row.started_at),
    ...instant('finishedAt', row.finished_at),
    ...(row.reason === null ? {} : { reason: row.reason }),
    attempt: row.attempt,
    ...(row.is_earlier === 1 ? { isEarlierAttempt: true } : {}),
    ...instant('startBy', row.start_by_at),
    ...(display?.evidence === undefined ? {} : { evidence: display.evidence }),
    ...(display === undefined ? {} : { why: display.why }),
    ...(cancel === undefined ? {} : { cancel }),
    ...(stopped === undefined ? {} : { stopped }),
    steps: steps.map(viewStep),
  };
}

function viewStep(row: StepRow): StepView {
  return {
    name: row.name,
    state: row.state,
    ...(row.exit_code === null ? {} : { exitCode: row.exit_code }),
    ...instant('startedAt', row.started_at),
    ...instant('finishedAt', row.finished_at),
  };
}

function instant<Key extends string>(key: Key, ms: number | null): { readonly [Name in Key]?: string } {
  return (ms === null ? {} : { [key]: isoTime(ms) }) as { readonly [Name in Key]?: string };
}
