import type { Db } from '../database/store.js';
import type { DeploymentRow, PlanRow, StepRow } from '../database/tables.js';
import { isoTime } from '../times.js';

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
  readonly deliveredAt?: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly reason?: string;
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
  readonly state: string;
  readonly acceptedAt: string;
  readonly plans: readonly PlanView[];
  readonly reason?: string;
  readonly finishedAt?: string;
  /** Only while it is not finished: who has to act next. */
  readonly waitsFor?: string;
}

export async function viewDeployment(db: Db, row: DeploymentRow, isBrokerUp: boolean): Promise<DeploymentView> {
  const plans = await viewPlans(db, row.id);
  const waitsFor = row.finished_at === null ? describeWait(row, plans, isBrokerUp) : undefined;
  return {
    id: row.id,
    environmentId: row.environment_id,
    environmentName: row.environment_name,
    action: row.action,
    state: row.state,
    acceptedAt: isoTime(row.accepted_at),
    ...(row.finished_at === null ? {} : { finishedAt: isoTime(row.finished_at) }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(waitsFor === undefined ? {} : { waitsFor }),
    plans,
  };
}

/** The plans of a deployment, or those of them that are named. */
export async function viewPlans(
  db: Db,
  deploymentId: string,
  planIds?: readonly string[],
): Promise<readonly PlanView[]> {
  if (planIds?.length === 0) return [];
  const plans = await db
    .selectFrom('plans')
    .selectAll()
    .where('deployment_id', '=', deploymentId)
    .$if(planIds !== undefined && planIds.length <= fewPlans, (query) => query.where('plan_id', 'in', planIds ?? []))
    .orderBy('scheduled_at')
    .orderBy('stage')
    .orderBy('role')
    .orderBy('place')
    .execute();
  const wanted = new Set(planIds ?? plans.map((plan) => plan.plan_id));
  const steps = await stepsOf(db, deploymentId, planIds);
  return plans.filter((plan) => wanted.has(plan.plan_id)).map((plan) => viewPlan(plan, steps.get(plan.plan_id) ?? []));
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

function viewPlan(row: PlanRow, steps: readonly StepRow[]): PlanView {
  return {
    planId: row.plan_id,
    machine: { id: row.machine_id, name: row.machine_name, role: row.role, index: row.place },
    stage: row.stage,
    state: row.state,
    ...(row.step === null ? {} : { step: row.step }),
    since: isoTime(row.since),
    ...instant('storedAt', row.stored_at),
    ...instant('deliveredAt', row.delivered_at),
    ...instant('startedAt', row.started_at),
    ...instant('finishedAt', row.finished_at),
    ...(row.reason === null ? {} : { reason: row.reason }),
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

/** Who has to act next, in one line. */
function describeWait(row: DeploymentRow, plans: readonly PlanView[], isBrokerUp: boolean): string {
  if (!isBrokerUp) return 'the broker, which is away';
  if (row.state === 'queued') return 'a conductor to take it';
  const unread = plans.filter((plan) => plan.state === 'stored');
  const running = plans.filter((plan) => plan.state === 'running' || plan.state === 'delivered');
  const parts = [
    ...(running.length === 0 ? [] : [`${countOf(running)} at work (${names(running)})`]),
    ...(unread.length === 0 ? [] : [`the agents of ${countOf(unread)} to fetch their plans (${names(unread)})`]),
  ];
  return parts.length === 0 ? 'the conductor' : parts.join(', ');
}

const namesShown = 5;

function countOf(plans: readonly PlanView[]): string {
  return plans.length === 1 ? '1 machine' : `${plans.length} machines`;
}

function names(plans: readonly PlanView[]): string {
  const shown = plans.slice(0, namesShown).map((plan) => plan.machine.name);
  return plans.length > namesShown ? `${shown.join(', ')}, …` : shown.join(', ');
}
