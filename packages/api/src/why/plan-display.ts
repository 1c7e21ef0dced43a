import type { AgentNotice } from '@torcello/contracts/agent';
import { isoTime } from '../times.js';
import type { DeploymentRow, PlanRow } from '../database/tables.js';
import type { Presence } from '../machines/presence.js';
import { why } from './why.js';
import type { Why } from './why.js';
import type { CauseCode } from './causes.js';

/** What is known of a plan's machine; undefined when it was taken away. */
export interface MachineFacts {
  readonly id: string;
  readonly name: string;
  readonly mailbox: string;
  readonly enrolment: number;
  readonly joined_at: number | null;
  readonly last_heartbeat_at: number | null;
  readonly running_plan: string | null;
  readonly is_mailbox_declared: number;
  readonly mailbox_closed_at: number | null;
  /** What its agent says went wrong, JSON list. */
  readonly notices: string | null;
}

export interface PlanFacts {
  readonly plan: PlanRow;
  readonly deployment: DeploymentRow;
  readonly machine: MachineFacts | undefined;
  /** Another open plan of this machine that came before. */
  readonly planInFront: string | undefined;
  readonly presence: Presence;
  readonly isHeld: boolean;
  readonly nowMs: number;
  /** The broker keeps no mailboxes: what is stored waits in the database. */
  readonly isByHandshake: boolean;
}

/** How an open plan is shown: its state as far as there is proof, and what it waits for. */
export interface PlanDisplay {
  readonly state: string;
  readonly evidence?: Why['evidence'];
  readonly why: Why;
}

/** Nothing is shown as running without the time of its last proof. */
export function displayPlan(facts: PlanFacts): PlanDisplay {
  const judged = judge(facts);
  const state = stateOf(facts, judged.state);
  const found = causeOf(facts, judged.state, state);
  const code = facts.isByHandshake ? (handshakeCauses[found] ?? found) : found;
  const isSeen = facts.plan.delivered_at !== null || judged.state !== 'never joined';
  const evidence = isSeen ? judged.evidence : undefined;
  return {
    state,
    ...(evidence === undefined ? {} : { evidence }),
    why: why(code, {
      sinceMs: code === 'queued-broker-unreachable' ? sinceLinkDown(facts) : sinceOf(facts, code, judged.lastMs),
      untilMs: facts.plan.delivered_at === null ? (facts.plan.start_by_at ?? undefined) : undefined,
      evidence,
      names: namesOf(facts),
    }),
  };
}

/** The same waiting, where the plan does not lie at the broker. */
const handshakeCauses: Readonly<Partial<Record<CauseCode, CauseCode>>> = {
  'waiting-machine-never-joined': 'waiting-handshake-never-joined',
  'waiting-machine-offline': 'waiting-handshake-offline',
  'waiting-delivery': 'waiting-handshake-call',
};

type Judged = ReturnType<Presence['judge']>['state'];

function judge({ plan, machine, presence }: PlanFacts): ReturnType<Presence['judge']> & { readonly lastMs: number } {
  const lastMs = Math.max(machine?.last_heartbeat_at ?? 0, plan.proof_at ?? 0);
  const joinedAtMs = machine?.joined_at ?? plan.proof_at;
  return {
    ...presence.judge({ joinedAtMs, lastHeartbeatAtMs: lastMs }),
    lastMs: Math.max(lastMs, joinedAtMs ?? 0),
  };
}

function stateOf({ plan, nowMs, machine }: PlanFacts, judged: Judged): string {
  const isTaken = plan.state === 'running' || plan.state === 'delivered';
  const hasEnded = machine !== undefined && machine.mailbox_closed_at !== null;
  if (hasEnded && plan.state === 'stored') return 'unknown';
  if (isTaken && (judged === 'unknown' || judged === 'lost')) return judged;
  if (!isTaken && plan.start_by_at !== null && plan.start_by_at <= nowMs) return 'unknown';
  return plan.state;
}

function causeOf(facts: PlanFacts, judged: Judged, state: string): CauseCode {
  const { plan, deployment, presence, nowMs } = facts;
  const isDown = presence.linkDownSinceMs !== undefined;
  if (deployment.cancel_requested_at !== null)
    return plan.cancel_stored_at === null && deployment.finished_at === null ? 'cancel-not-sent' : 'cancel-unsettled';
  if (deployment.superseded_by !== null)
    return plan.started_at === null ? 'superseded-unsettled' : 'superseded-too-late';
  if (plan.delivered_at === null && (facts.machine?.mailbox_closed_at ?? null) !== null)
    return plan.state === 'scheduled' ? 'mailbox-ended' : 'mailbox-ended-unsettled';
  if (state === 'lost') return 'lost';
  if (plan.state === 'running') return state === 'running' ? 'running-step' : 'unknown-silent';
  if (plan.state === 'delivered') return state === 'delivered' ? inLine(facts, 'waiting-to-start') : 'unknown-silent';
  if (plan.start_by_at !== null && plan.start_by_at <= nowMs) return 'expired-unsettled';
  if (plan.state === 'scheduled') return causeOfUnstored(facts, isDown);
  if (judged === 'never joined') return 'waiting-machine-never-joined';
  if (isDown) return 'queued-broker-unreachable';
  if (judged !== 'online') return 'waiting-machine-offline';
  return refusedSince(facts) === undefined ? inLine(facts, 'waiting-delivery') : 'letter-refused';
}

function causeOfUnstored({ machine, isHeld }: PlanFacts, isDown: boolean): CauseCode {
  if (isDown) return 'queued-broker-unreachable';
  if (machine !== undefined && machine.is_mailbox_declared === 0) return 'mailbox-not-declared';
  return isHeld ? 'conductor-at-work' : 'waiting-for-conductor-takeover';
}

function inLine({ machine, plan, planInFront }: PlanFacts, otherwise: CauseCode): CauseCode {
  const running = machine?.running_plan ?? null;
  return planInFront !== undefined || (running !== null && running !== plan.plan_id)
    ? 'waiting-in-line-behind-plan'
    : otherwise;
}

/** What the agent said of a letter that it threw away after this plan was put into its mailbox. */
function refusedSince({ machine, plan }: PlanFacts): string | undefined {
  const notices = JSON.parse(machine?.notices ?? '[]') as readonly AgentNotice[];
  return notices.find(({ code, lastAtMs }) => code === 'LETTER_REFUSED' && lastAtMs >= (plan.stored_at ?? Infinity))
    ?.detail;
}

function sinceLinkDown({ presence, plan }: PlanFacts): number {
  return presence.linkDownSinceMs ?? plan.since;
}

function sinceOf({ plan, deployment }: PlanFacts, code: CauseCode, lastMs: number): number {
  if (code === 'cancel-unsettled' || code === 'cancel-not-sent') return deployment.cancel_requested_at ?? plan.since;
  if (code === 'expired-unsettled') return plan.start_by_at ?? plan.since;
  return code === 'lost' || code === 'unknown-silent' ? Math.max(lastMs, plan.scheduled_at) : plan.since;
}

function namesOf(facts: PlanFacts): Readonly<Record<string, string>> {
  const { plan, deployment, machine, planInFront } = facts;
  return {
    machine: plan.machine_name,
    machineId: plan.machine_id,
    deployment: plan.deployment_id,
    plan: planInFront ?? machine?.running_plan ?? plan.plan_id,
    step: plan.step ?? '(between two steps)',
    by: deployment.superseded_by ?? '',
    mailbox: machine?.mailbox ?? '',
    reason: refusedSince(facts) ?? 'it was not read for too long, or was deleted',
  };
}

/** What a cancel found on the machine; undefined when nobody asked for one. */
export function cancelOf(
  plan: PlanRow,
  deployment: DeploymentRow,
): 'neverStarted' | 'stopped' | 'finishedBefore' | 'unknown' | undefined {
  if (deployment.cancel_requested_at === null || plan.is_earlier === 1) return undefined;
  if (plan.outcome === null) return 'unknown';
  if (plan.outcome !== 'cancelled') return 'finishedBefore';
  return plan.started_at === null && plan.stopped === null ? 'neverStarted' : 'stopped';
}

export function stoppedOf(
  plan: PlanRow,
): { readonly exitCode: number | null; readonly signal?: string; readonly at: string } | undefined {
  if (plan.stopped === null) return undefined;
  const { exitCode, signal, atMs } = JSON.parse(plan.stopped) as {
    readonly exitCode: number | null;
    readonly signal?: string;
    readonly atMs: number;
  };
  return { exitCode, ...(signal === undefined ? {} : { signal }), at: isoTime(atMs) };
}
