/** What the API answers, as far as the command line reads it. Instants are ISO 8601 unless said otherwise. */

export interface EnvironmentView {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly version: number;
  readonly created: string;
  readonly updated: string;
  readonly services?: readonly ServiceView[];
}

export interface ServiceView {
  readonly '?': { readonly id: string; readonly type: string; readonly name?: string };
  readonly [property: string]: unknown;
}

export interface SessionView {
  readonly id: string;
  readonly environment_id: string;
  readonly state: string;
  readonly created: string;
  /** In lists: whether something is staged in it. */
  readonly hasChanges?: boolean;
}

export interface PackageView {
  readonly id: string;
  readonly name: string;
  readonly fully_qualified_name: string;
  readonly version: string;
  readonly type: string;
  readonly description: string;
  readonly author: string;
  readonly created: string;
  readonly digest: string;
  readonly size: number;
}

export interface MachineView {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly index: number;
  readonly environmentId: string;
  readonly state: string;
  /** Only where one was made by this request. */
  readonly joinLine?: string;
}

export interface AgentView {
  readonly machineId: string;
  readonly machineName: string;
  readonly environment: string;
  readonly hostname: string | null;
  readonly agentVersion: string | null;
  readonly joinedAt: string | null;
  readonly lastHeartbeatAt: string | null;
  readonly state: string;
  readonly runningPlan?: string | null;
  readonly evidence?: { readonly at: string; readonly becomesUnknownAt: string } | null;
}

/** Murano's row in lists. Instants without a zone are UTC. */
export interface DeploymentRow {
  readonly id: string;
  readonly environment_id: string;
  readonly environment_name?: string;
  readonly state: string;
  readonly started: string | null;
  readonly finished: string | null;
  readonly action?: unknown;
}

export interface DeploymentView {
  readonly id: string;
  readonly environmentId: string;
  readonly environmentName: string;
  readonly action: string;
  readonly state: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly reason?: string | null;
  readonly acceptedAt: string;
  readonly finishedAt?: string | null;
  /** What it waits for and which command changes that. */
  readonly waitsFor?: string | null;
  readonly plans: readonly PlanRow[];
}

export interface PlanRow {
  readonly planId: string;
  readonly machine: { readonly id: string; readonly name: string; readonly role: string; readonly index: number };
  readonly stage: string;
  /** `scheduled`, `stored`, `delivered`, `running`, or how the plan ended. */
  readonly state: string;
  readonly step?: string | null;
  readonly since: string;
  readonly storedAt?: string | null;
  readonly deliveredAt?: string | null;
  readonly startedAt?: string | null;
  readonly finishedAt?: string | null;
  readonly reason?: string | null;
  readonly steps?: readonly StepRow[];
}

export interface StepRow {
  readonly name: string;
  readonly state: string;
  readonly exitCode?: number | null;
  readonly startedAt?: string | null;
  readonly finishedAt?: string | null;
}

export interface HistoryEntry {
  readonly n: number;
  readonly at: string;
  readonly event: { readonly type: string; readonly [field: string]: unknown };
}

export interface OutputView {
  readonly planId: string;
  readonly machine: string;
  readonly stage: string;
  readonly step: string;
  readonly text: string;
  readonly fromOffset: number;
  readonly totalBytes: number;
  readonly isCut: boolean;
  readonly outcome?: string | null;
}
