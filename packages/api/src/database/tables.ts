import type { Generated, Selectable } from 'kysely';
import type { KeptLetterTable, KeptMailboxTable } from './handshake-tables.js';
import type {
  DeadLetterTable,
  EventTable,
  MailboxEndTable,
  MailboxLetterTable,
  MessageAttemptTable,
  RedeliveryTable,
} from './mailbox-tables.js';

/**
 * The API's tables as both SQLite and PostgreSQL have them: ids are text, instants whole milliseconds since 1970,
 * documents JSON in text, truth values 0 and 1.
 */
export interface Tables {
  readonly environments: EnvironmentTable;
  readonly sessions: SessionTable;
  readonly packages: PackageTable;
  readonly package_archives: PackageArchiveTable;
  readonly machines: MachineTable;
  readonly mailbox_removals: MailboxRemovalTable;
  readonly deployments: DeploymentTable;
  readonly history: HistoryTable;
  readonly letters: LetterTable;
  readonly plans: PlanTable;
  readonly steps: StepTable;
  readonly outbox: OutboxTable;
  readonly inbox: InboxTable;
  readonly reports: ReportTable;
  readonly outputs: OutputTable;
  readonly output_chunks: OutputChunkTable;
  readonly audit: AuditTable;
  readonly timers: TimerTable;
  readonly requests: RequestTable;
  readonly restores: RestoreTable;
  readonly quarantine: QuarantineTable;
  readonly letters_again: LetterAgainTable;
  readonly mailbox_ends: MailboxEndTable;
  readonly mailbox_letters: MailboxLetterTable;
  readonly redeliveries: RedeliveryTable;
  readonly events: EventTable;
  readonly message_attempts: MessageAttemptTable;
  readonly dead_letters: DeadLetterTable;
  readonly kept_mailboxes: KeptMailboxTable;
  readonly kept_letters: KeptLetterTable;
}

export interface EnvironmentTable {
  readonly id: string;
  readonly name: string;
  /** Murano's: counts finished deployments; a session of another version is stale. */
  readonly version: number;
  readonly description: string;
  /** The services as they were last deployed, JSON. */
  readonly services: string;
  /** 1 once a deployment of it was accepted: then deleting it needs a destroy. */
  readonly is_deployed: number;
  readonly created_at: number;
  readonly updated_at: number;
}

export interface SessionTable {
  readonly id: string;
  readonly environment_id: string;
  readonly state: string;
  readonly version: number;
  /** The staged services, JSON. */
  readonly services: string;
  readonly created_at: number;
  readonly updated_at: number;
}

export interface PackageTable {
  readonly id: string;
  readonly full_name: string;
  readonly version: string;
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly author: string;
  /** JSON list. */
  readonly tags: string;
  /** JSON list of MuranoPL class names. */
  readonly classes: string;
  /** SHA-256 of the archive, hexadecimal. */
  readonly digest: string;
  readonly size: number;
  /** `application.yaml` as JSON; null for packages that this release only stores. */
  readonly definition: string | null;
  readonly is_public: number;
  readonly is_enabled: number;
  readonly created_at: number;
  readonly updated_at: number;
}
export interface PackageArchiveTable {
  readonly package_id: string;
  readonly body: Uint8Array;
}

export interface MachineTable {
  readonly id: string;
  readonly environment_id: string;
  readonly name: string;
  readonly role: string;
  readonly place: number;
  readonly mailbox: string;
  /** 1 once the broker has the mailbox. */
  readonly is_mailbox_declared: number;
  readonly created_at: number;
  /** Number of the last agent that joined; 0 when none has. */
  readonly enrolment: number;
  readonly token_digest: string;
  /** Key of the agent that used the token; null while it is unused. */
  readonly token_used_by: string | null;
  /** 1 when somebody else came with a used token. */
  readonly is_token_contested: number;
  readonly public_key: string | null;
  readonly hostname: string | null;
  readonly agent_version: string | null;
  readonly joined_at: number | null;
  readonly last_heartbeat_at: number | null;
  readonly running_plan: string | null;
  /** What the agent says went wrong on the machine, JSON list; text of an agent, never trusted. */
  readonly notices: string | null;
  /** How long its mailbox lives without contact from its reader; null: as the setting says. */
  readonly lifetime_ms: number | null;
  /** Once its mailbox was closed, because nobody had read it for its lifetime. */
  readonly mailbox_closed_at: number | null;
  /** Since when its mailbox waits for contact, where there was none since: it was made or opened anew then. */
  readonly contact_at: number | null;
}

/** A mailbox and a login that the broker must forget, at the earliest at `due_at`. */
export interface MailboxRemovalTable {
  readonly mailbox: string;
  readonly machine_id: string;
  readonly due_at: number;
}

export interface DeploymentTable {
  readonly id: string;
  readonly environment_id: string;
  readonly environment_name: string;
  readonly session_id: string | null;
  readonly action: 'deploy' | 'destroy';
  /** Services and machines as they were accepted, JSON. */
  readonly model: string;
  readonly state: DeploymentState;
  readonly reason: string | null;
  readonly epoch: number;
  /** Length of the history. */
  readonly length: number;
  /** 1 when only the world can bring it on: no hint until there is news. */
  readonly is_parked: number;
  readonly lease_holder: string | null;
  readonly lease_nonce: string | null;
  readonly accepted_at: number;
  readonly finished_at: number | null;
  /** Plans that were not taken until then are expired. */
  readonly start_by_at: number | null;
  /** The key that it shares with those that it supersedes. */
  readonly supersedes: string | null;
  readonly superseded_by: string | null;
  readonly cancel_requested_at: number | null;
  /** How many holders in a row vanished within seconds of their claim. */
  readonly vanished: Generated<number>;
  /** When its output was dropped, because it was past its retention. */
  readonly output_dropped_at: number | null;
  /** When its history was dropped, all but the first event and the last. */
  readonly history_dropped_at: number | null;
}
export type DeploymentState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'superseded';

/** Append-only; `n` counts from 0 without gap in each deployment. */
export interface HistoryTable {
  readonly deployment_id: string;
  readonly n: number;
  readonly event_id: string;
  readonly epoch: number;
  readonly at: number;
  readonly type: string;
  /** The whole event, JSON. */
  readonly event: string;
}

/** The exact bytes of a plan's letter, kept beside the history. */
export interface LetterTable {
  readonly plan_id: string;
  readonly deployment_id: string;
  readonly mailbox: string;
  readonly body: Uint8Array;
}

/** Projection of history and progress, for people. */
export interface PlanTable {
  readonly plan_id: string;
  readonly deployment_id: string;
  readonly machine_id: string;
  readonly machine_name: string;
  readonly role: string;
  readonly place: number;
  readonly stage: string;
  readonly state: string;
  readonly step: string | null;
  readonly since: number;
  readonly scheduled_at: number;
  readonly stored_at: number | null;
  readonly delivered_at: number | null;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  readonly outcome: string | null;
  readonly reason: string | null;
  /** Highest progress number seen; a lower one comes too late. */
  readonly sequence: number;
  /** Counts the plans of its machine and stage, from 1: a resume makes another one. */
  readonly attempt: number;
  /** 1 when a resume gave it up: what counts is a later attempt. */
  readonly is_earlier: number;
  readonly cancel_stored_at: number | null;
  /** How the step that ran was stopped by a cancel, JSON. */
  readonly stopped: string | null;
  readonly start_by_at: number | null;
  /** The last sign that the machine works on it. */
  readonly proof_at: number | null;
}

export interface StepTable {
  readonly plan_id: string;
  readonly name: string;
  /** Order of appearance, from 0. */
  readonly place: number;
  readonly state: string;
  readonly exit_code: number | null;
  readonly started_at: number | null;
  readonly finished_at: number | null;
}

/** A letter that was decided together with other rows and is still to be confirmed by the broker. */
export interface OutboxTable {
  readonly id: Generated<number>;
  readonly mailbox: string;
  readonly message_id: string;
  /** The deployment of a hint, the plan of a receipt. */
  readonly subject: string;
  readonly headers: string;
  readonly body: string;
  /** Null: it waits until somebody reads it. */
  readonly expires_ms: number | null;
  /** How often it was tried: what cannot leave yet does not hold up the rest. */
  readonly attempts: Generated<number>;
  readonly created_at: number;
}

/** One row a result: what makes a copy a copy. */
export interface InboxTable {
  readonly plan_id: string;
  readonly body: string;
  readonly received_at: number;
}

export interface ReportTable {
  readonly id: Generated<number>;
  readonly message_id: string;
  readonly deployment_id: string;
  readonly level: string;
  readonly text: string;
  readonly entity: string;
  readonly entity_id: string;
  readonly created_at: number;
}

export interface OutputTable {
  readonly plan_id: string;
  readonly step: string;
  /** End of the last chunk that came. */
  readonly total_bytes: number;
  readonly chunks: number;
  readonly is_cut: number;
  /** All that the step wrote, also what was cut off; null until its end is told. */
  readonly written_bytes: number | null;
  /** Over all that the step wrote, hexadecimal. */
  readonly sha256: string | null;
  /** Place of the cut among the pieces of all outputs; null until the end of a cut output is told. */
  readonly cut_sequence: number | null;
}
export interface OutputChunkTable {
  readonly plan_id: string;
  readonly step: string;
  readonly start: number;
  readonly body: Uint8Array;
  /** Order in which pieces came, over all outputs: where a reader that was cut off goes on. */
  readonly sequence: number;
}

/** Something that is due at an instant; gone once it was done. */
export interface TimerTable {
  readonly id: string;
  readonly kind: 'startBy';
  /** The plan. */
  readonly subject: string;
  readonly due_at: number;
}

/** The answer to a request that carried an idempotency key. */
export interface RequestTable {
  readonly key: string;
  /** Of method, address and body. */
  readonly digest: string;
  /** Null while it is being carried out. */
  readonly status: number | null;
  readonly headers: string | null;
  readonly body: string | null;
  readonly created_at: number;
}

/** One row each time that the database was taken back to a backup. */
export interface RestoreTable {
  readonly id: Generated<number>;
  readonly restored_at: number;
  /** When the backup was made. */
  readonly made_at: number;
}

/** A result that came after a restore, of a plan that the backup does not know: kept aside, and applied to nothing. */
export interface QuarantineTable {
  readonly plan_id: string;
  /** As the agent says. */
  readonly deployment_id: string;
  readonly machine_id: string;
  readonly outcome: string;
  /** The whole result, JSON. */
  readonly body: string;
  readonly received_at: number;
}

/** A plan whose letter is to be put once more: after a restore nobody here knows what its machine has answered. */
export interface LetterAgainTable {
  readonly plan_id: string;
}

export interface AuditTable {
  readonly id: Generated<number>;
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly detail: string;
}

export type EnvironmentRow = Selectable<EnvironmentTable>;
export type SessionRow = Selectable<SessionTable>;
export type PackageRow = Selectable<PackageTable>;
export type MachineRow = Selectable<MachineTable>;
/** A deployment without its model, which may be large and is read only where it is needed. */
export type DeploymentRow = Omit<Selectable<DeploymentTable>, 'model'>;
export type PlanRow = Selectable<PlanTable>;
export type StepRow = Selectable<StepTable>;
export type OutboxRow = Selectable<OutboxTable>;
