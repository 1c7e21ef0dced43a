import type { Outcome } from './deployment.js';

/** Instants in this file are milliseconds since 1970 by the agent's clock. Bodies are JSON in UTF-8. */

/** Kind `progress`. `sequence` rises within a plan, so that a late one can be dropped. */
export interface ProgressMessage {
  readonly deploymentId: string;
  readonly planId: string;
  readonly sequence: number;
  /** `received`: journalled on the machine. The two others name a step. */
  readonly what: 'received' | 'stepStarted' | 'stepEnded';
  readonly step?: string;
  readonly exitCode?: number | null;
  readonly atMs: number;
}

/** Kind `result`: how a plan ended. Sent again until a receipt comes. */
export interface ResultMessage {
  readonly deploymentId: string;
  readonly planId: string;
  readonly outcome: Outcome;
  /** One line for people when it did not succeed. */
  readonly reason?: string;
  readonly receivedAtMs: number;
  readonly startedAtMs?: number;
  readonly finishedAtMs: number;
  readonly steps: readonly StepResult[];
  /** Of a cancelled plan that was running: how its step ended. Without `startedAtMs` it never started. */
  readonly stopped?: { readonly exitCode: number | null; readonly signal?: string; readonly atMs: number };
}

export interface StepResult {
  readonly name: string;
  readonly outcome: 'succeeded' | 'failed' | 'interrupted' | 'timedOut' | 'cancelled';
  readonly exitCode: number | null;
  readonly signal?: string;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  /** How much the step wrote in all; what is stored may be cut. */
  readonly outputBytes: number;
}

/** Kind `heartbeat`: the agent lives. Expires in the broker after one interval. */
export interface HeartbeatMessage {
  readonly machineId: string;
  readonly enrolment: number;
  readonly agentVersion: string;
  /** When the agent's process started. */
  readonly processStartedAtMs: number;
  readonly runningPlan?: string;
  readonly waitingPlans: number;
  /** What went wrong on the machine and belongs to no plan; the newest of each kind. Absent when nothing did. */
  readonly notices?: readonly AgentNotice[];
  readonly intervalMs: number;
  readonly atMs: number;
}

/**
 * A trouble of an agent. `LETTER_REFUSED`: a letter in its mailbox was not certainly meant for it, and was not run.
 * `JOURNAL_FULL`: there was no room on the machine to take a plan, or to write down what happened, which waits.
 */
export interface AgentNotice {
  readonly code: 'LETTER_REFUSED' | 'JOURNAL_DAMAGED' | 'JOURNAL_FULL';
  /** One line for people; written by the agent, so never trusted. */
  readonly detail: string;
  /** How often since the agent's process started. */
  readonly count: number;
  readonly lastAtMs: number;
}

/** Letter of kind `receipt`: the control plane has the result of the plan; the agent may forget it. */
export interface ReceiptLetter {
  readonly planId: string;
}

/** What the agent tells when it trades its join token, `POST /v1/join`. */
export interface JoinRequest {
  readonly machine: string;
  readonly token: string;
  /** SPKI of the agent's own Ed25519 key, PEM. The same key and token again get the same answer. */
  readonly publicKey: string;
  readonly agentVersion: string;
  readonly hostname: string;
}

/** What it gets, and keeps in a file of mode 0600. */
export interface JoinAnswer {
  readonly machineId: string;
  readonly machineName: string;
  readonly enrolment: number;
  readonly mailbox: string;
  /** Transport URL with the agent's own login. */
  readonly transportUrl: string;
  /** SPKI of the plan signing key, PEM. */
  readonly planKey: string;
  readonly heartbeatMs: number;
}

/** One string for people to carry: where the API is, which machine this is, and the one-time token. */
export interface JoinLine {
  readonly api: string;
  readonly machine: string;
  readonly token: string;
}

const joinPrefix = 'tcjoin1.';

export function formatJoinLine(line: JoinLine): string {
  return joinPrefix + Buffer.from(JSON.stringify(line)).toString('base64url');
}

/** Undefined when the text is no join line. */
export function parseJoinLine(text: string): JoinLine | undefined {
  if (!text.startsWith(joinPrefix)) return undefined;
  try {
    const line = JSON.parse(Buffer.from(text.slice(joinPrefix.length), 'base64url').toString()) as Partial<JoinLine>;
    const { api, machine, token } = line;
    return typeof api === 'string' && typeof machine === 'string' && typeof token === 'string'
      ? { api, machine, token }
      : undefined;
  } catch {
    return undefined;
  }
}
