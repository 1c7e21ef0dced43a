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
  /** How it ended, where it has. */
  readonly outcome?: string | null;
  readonly started: string | null;
  readonly finished: string | null;
  readonly action?: unknown;
}

export interface DeploymentView {
  readonly id: string;
  readonly environmentId: string;
  readonly environmentName: string;
  readonly action: string;
  /** While it is open `queued`, `running` (a machine runs a step of it) or `waiting` (`why` says for what). */
  readonly state: 'queued' | 'running' | 'waiting' | 'succeeded' | 'failed' | 'cancelled' | 'superseded';
  readonly reason?: string | null;
  readonly acceptedAt: string;
  readonly finishedAt?: string | null;
  /** What it waits for and which command changes that. */
  readonly waitsFor?: string | null;
  readonly why?: WhyView | null;
  readonly evidence?: EvidenceView | null;
  readonly supersededBy?: string | null;
  /** Machines of a destroy that were not there to be asked. */
  readonly leftAlone?: readonly string[] | null;
  readonly stages?: readonly StageRow[];
  readonly plans: readonly PlanRow[];
}

export interface StageRow {
  readonly name: string;
  readonly state: string;
  /** Names of its machines without a plan. */
  readonly notStarted?: readonly string[];
  readonly why?: WhyView | null;
}

export interface PlanRow {
  readonly planId: string;
  readonly machine: { readonly id: string; readonly name: string; readonly role: string; readonly index: number };
  readonly stage: string;
  /** `scheduled`, `stored`, `delivered`, `running`, `unknown`, `lost`, or how the plan ended. */
  readonly state: string;
  readonly step?: string | null;
  readonly since: string;
  readonly storedAt?: string | null;
  /** Where it is stored until its machine takes it. */
  readonly waitsIn?: 'mailbox' | 'database' | null;
  readonly deliveredAt?: string | null;
  readonly startedAt?: string | null;
  readonly finishedAt?: string | null;
  readonly reason?: string | null;
  readonly steps?: readonly StepRow[];
  /** The last sign of life of what is shown as running, `unknown` or `lost`. */
  readonly evidence?: EvidenceView | null;
  /** While it waits. */
  readonly why?: WhyView | null;
  /** Once somebody wanted its deployment to end. */
  readonly cancel?: 'neverStarted' | 'stopped' | 'finishedBefore' | 'unknown' | null;
  /** How the step that ran was stopped. */
  readonly stopped?: {
    readonly exitCode?: number | null;
    readonly signal?: string | null;
    readonly at?: string;
  } | null;
  /** Which attempt of its machine and stage it is, from 1; higher after a resume. */
  readonly attempt?: number;
}

/** When something was last heard of, and when it becomes `unknown` without another sign. */
export interface EvidenceView {
  readonly at: string;
  readonly becomesUnknownAt?: string | null;
}

/** What something waits for. */
export interface WhyView {
  readonly code: string;
  readonly text: string;
  readonly since?: string | null;
  readonly until?: string | null;
  readonly evidence?: unknown;
  /** The command that changes it. */
  readonly cure?: string | null;
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

export interface EndedPlanView {
  readonly planId: string;
  readonly deploymentId: string;
  readonly stage: string;
  /** What it was before. */
  readonly state: string;
  readonly becomes: 'neverStarted' | 'unknown';
}

export interface HistoryAnswer {
  readonly events: readonly HistoryEntry[];
  /** Why not all of them are there any more. */
  readonly past?: string;
  readonly quarantined?: readonly QuarantinedView[];
}

/** A result of a plan that a restored database does not know. */
export interface QuarantinedView {
  readonly planId: string;
  readonly deploymentId: string;
  readonly machineId: string;
  readonly machine?: string;
  readonly outcome: string;
  readonly receivedAt: string;
}

export interface OutputAnswer {
  readonly outputs: readonly OutputView[];
  /** Why there is none any more. */
  readonly past?: string;
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
  /** Once its step has ended: how much it wrote in all, and the SHA-256 of that. */
  readonly cut?: { readonly atBytes: number; readonly writtenBytes: number; readonly sha256?: string | null } | null;
  readonly outcome?: string | null;
}

/** What waits behind an id, whatever it names. */
export interface WhyAnswer {
  readonly id?: string;
  /** `deployment`, `plan`, `machine`, `mailbox`, `environment`, … */
  readonly kind?: string;
  readonly name?: string | null;
  readonly state?: string | null;
  readonly why?: WhyView | readonly WhyView[] | null;
  /** Of a deployment: what its plans wait for, a row a cause. */
  readonly plans?: readonly WaitingPlans[];
}

export interface WaitingPlans {
  /** One of them. */
  readonly machine: string;
  readonly machines: number;
  readonly why: WhyView;
}

/** What a deployment would do: the stages in their order, with who is in each. */
export interface RolloutView {
  /** A plan that was not fetched by then would expire. */
  readonly startBy?: string | null;
  readonly stages: readonly RolloutStage[];
}

export interface RolloutStage {
  readonly name: string;
  readonly needs?: readonly string[];
  /** A health check of the batch before, which no machine installs anything in. */
  readonly isGate?: boolean;
  readonly failuresMax?: number;
  readonly machines: readonly RolloutMachine[];
}

export interface RolloutMachine {
  readonly id?: string;
  readonly name: string;
  /** `online`, `unknown`, `lost`, `never joined`. */
  readonly state?: string | null;
  readonly evidence?: EvidenceView | null;
  /** When its mailbox ends, and the plans in it, unless the machine is heard of. */
  readonly mailboxExpiresAt?: string | null;
  readonly isMailboxEnded?: boolean;
}

/** A token of the API's own, without itself. */
export interface TokenView {
  readonly id: string;
  readonly tenant: string;
  readonly user: string;
  readonly admin: boolean;
  readonly createdAt: string;
}
