import type { DeploymentRow } from '../database/tables.js';
import type { PlanView, StageView } from '../deployments/view.js';
import type { Presence } from '../machines/presence.js';
import { why } from './why.js';
import type { Why } from './why.js';
import { poisonReason, vanishedMax } from '../deployments/poison.js';

export interface DeploymentFacts {
  readonly row: DeploymentRow;
  readonly plans: readonly PlanView[];
  readonly stages: readonly StageView[];
  readonly presence: Presence;
  readonly isHeld: boolean;
  /** Letters that wait for the broker. */
  readonly letters: number;
}

/** With so many letters waiting, the way to the broker itself is what it waits for. */
const lettersManyMin = 1_000;

/** How a deployment is shown: `running` only with the proof of a machine that runs a step of it. */
export function whyDeployment(facts: DeploymentFacts): {
  readonly state: string;
  readonly why?: Why;
  readonly evidence?: Why['evidence'];
} {
  const { row, plans } = facts;
  if (row.finished_at !== null) return { state: row.state, ...whyEnded(facts) };
  if (row.state === 'queued') return { state: 'queued', why: whyQueued(facts) };
  const running = plans.find((plan) => plan.state === 'running');
  if (running?.why !== undefined)
    return {
      state: 'running',
      why: running.why,
      ...(running.evidence === undefined ? {} : { evidence: running.evidence }),
    };
  return { state: 'waiting', why: whyWaiting(facts) };
}

function whyQueued({ row, presence, letters, isHeld }: DeploymentFacts): Why {
  const names = { deployment: row.id, letters };
  const downMs = presence.linkDownSinceMs;
  if (downMs !== undefined) return why('queued-broker-unreachable', { sinceMs: downMs, names });
  if (letters >= lettersManyMin) return why('outbox-backed-up', { sinceMs: row.accepted_at, names });
  if (row.cancel_requested_at !== null) return why('cancel-not-sent', { sinceMs: row.cancel_requested_at, names });
  return why(isHeld ? 'conductor-at-work' : 'queued-no-conductor', { sinceMs: row.accepted_at, names });
}

/** The oldest thing that holds it up. */
function whyWaiting(facts: DeploymentFacts): Why {
  const { row, plans, stages, isHeld } = facts;
  const names = { deployment: row.id };
  if (row.cancel_requested_at !== null && !isHeld)
    return why('cancel-not-sent', { sinceMs: row.cancel_requested_at, names });
  const found = plans.flatMap((plan) => (plan.why === undefined ? [] : [plan.why]));
  const oldest = found.toSorted((a, b) => (a.since < b.since ? -1 : 1))[0];
  if (oldest !== undefined) return oldest;
  if (isHeld) return why('conductor-at-work', { sinceMs: row.accepted_at, names });
  const stage = stages.find((candidate) => candidate.why !== undefined);
  return stage?.why ?? why('waiting-for-conductor-takeover', { sinceMs: row.accepted_at, names });
}

/** An end that leaves questions says so; one that can be mended says how. */
function whyEnded({ row, plans, stages }: DeploymentFacts): { readonly why?: Why } {
  const open = plans.find((plan) => plan.why !== undefined)?.why;
  if (open !== undefined) return { why: open };
  const sinceMs = row.finished_at ?? row.accepted_at;
  const names = { deployment: row.id, reason: row.reason ?? '', times: vanishedMax };
  if (row.state !== 'failed') return {};
  if (row.reason === poisonReason) return { why: why('poison', { sinceMs, names }) };
  if (row.reason !== null) return { why: why('rejected', { sinceMs, names }) };
  const stopped = stages.find((stage) => stage.why?.code === 'stopped-at-failures');
  return stopped?.why === undefined ? {} : { why: stopped.why };
}
