import { limits, readMuranoPlanId } from '@torcello/contracts';
import type { Outcome, ResultMessage, StepResult } from '@torcello/contracts';
import type { Delivery } from '@torcello/messaging';
import type { PlanRow } from '../database/tables.js';

/** What a real muranoagent says about a plan (Murano section 1.5), after the checks that need no database. */
export interface MuranoAnswer {
  /** From the routing key; the broker enforces it by the agent's login. */
  readonly machineId: string;
  readonly planId: string;
  /** Which time the plan was sent. */
  readonly nth: number;
  readonly errorCode: number;
  readonly body: unknown;
}

export type MuranoAnswerFlaw = 'routing_key' | 'too_large' | 'not_json' | 'unknown_id';

/** What a step wrote. Where it was much, a line says how much is left out, and its end follows. */
export interface StepOutput {
  readonly step: string;
  readonly bytes: Uint8Array;
}

/** Reads an answer, or says what is wrong with it. Never throws. */
export function readMuranoAnswer(delivery: Delivery): MuranoAnswer | MuranoAnswerFlaw {
  const [, machineId] = /^([0-9a-f]{32})\.murano$/.exec(delivery.destination.routingKey) ?? [];
  if (machineId === undefined) return 'routing_key';
  const { body, properties } = delivery.message;
  if (body.length > limits.agentMessageBytesMax.value) return 'too_large';
  const document = parse(body);
  if (document === undefined) return 'not_json';
  // Without SourceID the message id says it, as Murano's engine reads it.
  const plan = readMuranoPlanId(document['SourceID'] ?? properties.messageId);
  if (plan === undefined) return 'unknown_id';
  const code = document['ErrorCode'];
  const errorCode = typeof code === 'number' && Number.isInteger(code) ? code : 0;
  return { machineId, ...plan, errorCode, body: document['Body'] };
}

/** The answer as a result of ours, and what the steps wrote. */
export function resultOf(
  answer: MuranoAnswer,
  plan: PlanRow,
  nowMs: number,
): { readonly result: ResultMessage; readonly outputs: readonly StepOutput[] } {
  const told = answer.errorCode === 0 ? stepsOf(answer.body, nowMs) : [];
  const end = answer.errorCode === 0 ? endOf(told) : endOfError(answer);
  const started = told.map(({ result }) => result.startedAtMs);
  const result: ResultMessage = {
    deploymentId: plan.deployment_id,
    planId: plan.plan_id,
    outcome: end.outcome,
    ...(end.reason === undefined ? {} : { reason: end.reason.slice(0, reasonCharsMax) }),
    receivedAtMs: plan.delivered_at ?? plan.stored_at ?? plan.scheduled_at,
    ...(started.length === 0 || end.outcome === 'expired' ? {} : { startedAtMs: Math.min(...started) }),
    finishedAtMs: nowMs,
    steps: end.outcome === 'expired' ? [] : told.map((step) => step.result),
  };
  return { result, outputs: told.flatMap(({ output }) => (output === undefined ? [] : [output])) };
}

const reasonCharsMax = 2_000;

interface End {
  readonly outcome: Outcome;
  readonly reason?: string;
}

/** ErrorCode 0 means that `Body` returned; what it returned tells how the steps went. Without that it did all it could. */
function endOf(told: readonly ToldStep[]): End {
  const last = told.at(-1);
  if (last === undefined) return { outcome: 'succeeded' };
  if (last.isTooLate) return { outcome: 'expired', reason: 'the plan reached the machine later than it may start' };
  const { name, outcome, exitCode } = last.result;
  if (outcome === 'succeeded') return { outcome: 'succeeded' };
  if (outcome === 'interrupted')
    return { outcome, reason: `step "${name}" was interrupted, and its policy is to fail` };
  if (outcome === 'timedOut') return { outcome: 'failed', reason: `step "${name}" took longer than it may` };
  return { outcome: 'failed', reason: `step "${name}" ended with exit code ${String(exitCode)}` };
}

/** 2: the plan does not validate, 9 (3 in the first agents): its format is too new. 100: a script failed. Else: `Body` did. */
function endOfError({ errorCode, body }: MuranoAnswer): End {
  const { Message, AdditionalInfo } = asObject(body);
  const message = typeof Message === 'string' && Message !== '' ? Message : 'no message';
  const said = `muranoagent answers error ${errorCode}: ${message}`;
  if (errorCode === 2 || errorCode === 3 || errorCode === 9) return { outcome: 'refused', reason: said };
  const { exitCode, stderr } = asObject(AdditionalInfo);
  const more = [
    ...(typeof exitCode === 'number' ? [`exit code ${exitCode}`] : []),
    ...(typeof stderr === 'string' ? [stderr.slice(-500)] : []),
  ];
  return { outcome: 'failed', reason: more.length === 0 ? said : `${said} (${more.join(', ')})` };
}

interface ToldStep {
  readonly result: StepResult;
  readonly isTooLate: boolean;
  readonly output: StepOutput | undefined;
}

function stepsOf(body: unknown, nowMs: number): readonly ToldStep[] {
  const { steps } = asObject(body);
  if (!Array.isArray(steps)) return [];
  return steps.slice(0, limits.planStepsMax.value).flatMap((step) => stepOf(asObject(step), nowMs) ?? []);
}

function stepOf(step: Readonly<Record<string, unknown>>, nowMs: number): ToldStep | undefined {
  const { name, exitCode, stdout, stderr } = step;
  if (typeof name !== 'string' || name === '' || name.length > 64) return undefined;
  const [line = '', ...rest] = typeof stdout === 'string' ? stdout.split('\n') : [];
  const told =
    /^torcello (succeeded|failed|timedOut|interrupted|expired) (\d{1,10}) (\d{1,11}) (\d{1,11}) (\d{1,15})$/.exec(line);
  if (told === null) return brokenStep({ name, exitCode, said: typeof stderr === 'string' ? stderr : line }, nowMs);
  const [, outcome = 'failed', code, since, until, size] = told;
  const writtenBytes = Number(size);
  const bytes = Buffer.from(rest.join(''), 'base64');
  const result: StepResult = {
    name,
    outcome: outcome === 'expired' ? 'failed' : (outcome as StepResult['outcome']),
    exitCode: outcome === 'interrupted' || outcome === 'timedOut' ? null : Number(code),
    startedAtMs: Number(since) * 1000,
    finishedAtMs: Math.max(Number(since), Number(until)) * 1000,
    outputBytes: writtenBytes,
  };
  const output = bytes.length === 0 ? undefined : { step: name, bytes: marked(bytes, writtenBytes) };
  return { result, isTooLate: outcome === 'expired', output };
}

function marked(bytes: Uint8Array, writtenBytes: number): Uint8Array {
  const left = writtenBytes - bytes.length;
  if (left <= 0) return bytes;
  return Buffer.concat([Buffer.from(`torcello: ${left} bytes before this stayed on the machine\n`), bytes]);
}

/** The shell program of the step itself did not get to its end. */
function brokenStep(
  step: { readonly name: string; readonly exitCode: unknown; readonly said: string },
  nowMs: number,
): ToldStep {
  const { name, exitCode, said } = step;
  const code = typeof exitCode === 'number' && Number.isInteger(exitCode) ? exitCode : null;
  const bytes = Buffer.from(said);
  const times = { startedAtMs: nowMs, finishedAtMs: nowMs };
  return {
    result: { name, outcome: 'failed', exitCode: code, ...times, outputBytes: bytes.length },
    isTooLate: false,
    output: bytes.length === 0 ? undefined : { step: name, bytes },
  };
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as Readonly<Record<string, unknown>>) : {};
}

function parse(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const document: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    const isObject = typeof document === 'object' && document !== null && !Array.isArray(document);
    return isObject ? (document as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
