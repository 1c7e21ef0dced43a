import type { AgentMessageKind, HeartbeatMessage, ProgressMessage, ResultMessage } from '@torcello/contracts';
import { limits, outputHeaders } from '@torcello/contracts';
import type { Delivery } from '@torcello/messaging';
import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';

/**
 * A message of an agent after the checks that need no database. `machineId` comes from the routing key, whose prefix
 * the broker enforces by the agent's login; everything else is only what somebody says.
 */
export type AgentMessage =
  | { readonly kind: 'result'; readonly machineId: string; readonly body: ResultMessage; readonly text: string }
  | { readonly kind: 'progress'; readonly machineId: string; readonly body: ProgressMessage }
  | { readonly kind: 'heartbeat'; readonly machineId: string; readonly body: HeartbeatMessage }
  | { readonly kind: 'output'; readonly machineId: string; readonly body: OutputChunk };

export interface OutputChunk {
  readonly deploymentId: string;
  readonly planId: string;
  readonly step: string;
  readonly start: number;
  readonly bytes: Uint8Array;
  /** Of the last message of a step, which is empty: everything that the step wrote. */
  readonly end: { readonly writtenBytes: number; readonly sha256: string | undefined } | undefined;
}

const id = Type.String({ pattern: '^[0-9a-f]{32}$' });
const instantMs = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 });
const stepName = Type.String({ minLength: 1, maxLength: 64 });
const exitCode = Type.Union([Type.Integer({ minimum: -2_147_483_648, maximum: 4_294_967_295 }), Type.Null()]);
const line = Type.String({ maxLength: 4_096 });
const outcome = Type.Union(
  ['succeeded', 'failed', 'expired', 'cancelled', 'superseded', 'interrupted', 'refused'].map((name) =>
    Type.Literal(name),
  ),
);

const stepResult = Type.Object({
  name: stepName,
  outcome: Type.Union(
    ['succeeded', 'failed', 'interrupted', 'timedOut', 'cancelled'].map((name) => Type.Literal(name)),
  ),
  exitCode,
  signal: Type.Optional(Type.String({ maxLength: 32 })),
  startedAtMs: instantMs,
  finishedAtMs: instantMs,
  outputBytes: Type.Integer({ minimum: 0 }),
});

const notice = Type.Object({
  code: Type.String({ maxLength: 64 }),
  detail: line,
  count: Type.Integer({ minimum: 0 }),
  lastAtMs: instantMs,
});

const schemas: Readonly<Record<Exclude<AgentMessageKind, 'output'>, TSchema>> = {
  result: Type.Object({
    deploymentId: id,
    planId: id,
    outcome,
    reason: Type.Optional(line),
    receivedAtMs: instantMs,
    startedAtMs: Type.Optional(instantMs),
    finishedAtMs: instantMs,
    steps: Type.Array(stepResult, { maxItems: limits.planStepsMax.value }),
    stopped: Type.Optional(
      Type.Object({ exitCode, signal: Type.Optional(Type.String({ maxLength: 32 })), atMs: instantMs }),
    ),
  }),
  progress: Type.Object({
    deploymentId: id,
    planId: id,
    sequence: Type.Integer({ minimum: 0, maximum: 2 ** 31 }),
    what: Type.Union(['received', 'stepStarted', 'stepEnded'].map((name) => Type.Literal(name))),
    step: Type.Optional(stepName),
    exitCode: Type.Optional(exitCode),
    atMs: instantMs,
  }),
  heartbeat: Type.Object({
    machineId: id,
    enrolment: Type.Integer({ minimum: 1 }),
    agentVersion: Type.String({ maxLength: 64 }),
    processStartedAtMs: instantMs,
    runningPlan: Type.Optional(id),
    waitingPlans: Type.Integer({ minimum: 0 }),
    notices: Type.Optional(Type.Array(notice, { maxItems: 10 })),
    intervalMs: Type.Integer({ minimum: 1, maximum: 3_600_000 }),
    atMs: instantMs,
  }),
};

/** Why a message is refused: a code for the log, nothing that the agent wrote. */
export type AgentMessageFlaw = 'routing_key' | 'too_large' | 'not_json' | 'schema' | 'headers' | 'foreign_machine';

/** Reads a message of an agent, or says what is wrong with it. Never throws. */
export function readAgentMessage(delivery: Delivery): AgentMessage | AgentMessageFlaw {
  const [, machineId, kind] =
    /^([0-9a-f]{32})\.(result|progress|heartbeat|output)$/.exec(delivery.destination.routingKey) ?? [];
  if (machineId === undefined || kind === undefined) return 'routing_key';
  const { body, headers } = delivery.message;
  if (body.length > limits.agentMessageBytesMax.value) return 'too_large';
  if (kind === 'output') return readOutput(machineId, headers, body);
  const text = decode(body);
  const document = text === undefined ? undefined : parse(text);
  if (text === undefined || document === undefined) return 'not_json';
  if (!Value.Check(schemas[kind as 'result' | 'progress' | 'heartbeat'], document)) return 'schema';
  if (kind === 'heartbeat' && (document as HeartbeatMessage).machineId !== machineId) return 'foreign_machine';
  return { kind, machineId, body: document, text } as unknown as AgentMessage;
}

function readOutput(
  machineId: string,
  headers: Readonly<Record<string, unknown>>,
  body: Uint8Array,
): AgentMessage | AgentMessageFlaw {
  if (body.length > limits.outputChunkBytesMax.value) return 'too_large';
  const deploymentId = headers[outputHeaders.deploymentId];
  const planId = headers[outputHeaders.planId];
  const step = headers[outputHeaders.step];
  const offset = headers[outputHeaders.offset];
  const start = typeof offset === 'bigint' ? Number(offset) : offset;
  const areIds = isId(deploymentId) && isId(planId);
  const isStep = typeof step === 'string' && step !== '' && step.length <= 64;
  const isOffset = typeof start === 'number' && Number.isSafeInteger(start) && start >= 0;
  if (!areIds || !isStep || !isOffset) return 'headers';
  const sha256 = headers[outputHeaders.sha256];
  const isDigest = typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
  const isLast = headers[outputHeaders.last] === true && body.length === 0;
  const end = isLast ? { writtenBytes: start, sha256: isDigest ? sha256 : undefined } : undefined;
  return { kind: 'output', machineId, body: { deploymentId, planId, step, start, bytes: body, end } };
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

function decode(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
