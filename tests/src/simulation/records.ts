import type { DeploymentEvent } from '@torcello/contracts';
import type { SimulatedDatabase } from './database.js';
import type { Ledger } from './ledger.js';

/** What the database says, read behind the API's back. */
export interface DeploymentRecord {
  readonly id: string;
  readonly state: string;
  readonly finished_at: number | null;
}
export interface PlanRecord {
  readonly plan_id: string;
  readonly deployment_id: string;
  readonly machine_id: string;
  readonly outcome: string | null;
}
export interface HistoryRecord {
  readonly epoch: number;
  readonly event: DeploymentEvent;
}

export function deploymentsOf(database: SimulatedDatabase): readonly DeploymentRecord[] {
  return database.rows('select id, state, finished_at from deployments order by rowid');
}

export function plansOf(database: SimulatedDatabase): readonly PlanRecord[] {
  return database.rows('select plan_id, deployment_id, machine_id, outcome from plans order by rowid');
}

export function historyOf(database: SimulatedDatabase, deploymentId: string): readonly HistoryRecord[] {
  return database
    .rows<{ epoch: number; event: string }>(
      `select epoch, event from history where deployment_id = '${deploymentId}' order by n`,
    )
    .map(({ epoch, event }) => ({ epoch: Number(epoch), event: JSON.parse(event) as DeploymentEvent }));
}

/** Every deployment has ended, and so has every plan that somebody can still tell about. */
export function isSettled(
  database: SimulatedDatabase,
  { away, ledger }: { readonly away: ReadonlySet<string>; readonly ledger: Ledger },
): boolean {
  const deployments = deploymentsOf(database);
  if (deployments.some(({ finished_at }) => finished_at === null)) return false;
  const superseded = new Set(deployments.filter(({ state }) => state === 'superseded').map(({ id }) => id));
  return plansOf(database).every(
    ({ plan_id, deployment_id, machine_id, outcome }) =>
      outcome !== null || away.has(machine_id) || (superseded.has(deployment_id) && !ledger.hasStarted(plan_id)),
  );
}
