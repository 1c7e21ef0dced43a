import type { ResultMessage, StepResult } from '@torcello/contracts/agent';
import { agentLimits } from './limits.js';
import type { EndingRecord, JournalRecord, Purpose, ReceivedRecord } from './records.js';

/** Everything the agent knows about one plan: the journal's records of it, folded. */
export interface KnownPlan {
  readonly received: ReceivedRecord;
  /** Undefined once the plan has a result. */
  letter: Uint8Array | undefined;
  readonly steps: Map<number, StepState>;
  /** Somebody wants it to end. */
  ending: EndingRecord | undefined;
  result: ResultMessage | undefined;
  receiptAtMs: number | undefined;
  /** Nothing of it is left on this machine but its id and its end. */
  isCleared: boolean;
}

export interface StepState {
  attempt: number;
  purpose: Purpose;
  /** Of the attempt. */
  bootId: string;
  attemptAtMs: number;
  /** Of the first attempt. */
  startedAtMs: number;
  isTimedOut: boolean;
  /** Folder of the attempt's control group. */
  group: string | undefined;
  /** When it asked for a restart of the machine. */
  rebootingAtMs: number | undefined;
  result: StepResult | undefined;
  outputSentBytes: number;
  /** Where the chunk that may be on its way ends; not above `outputSentBytes` when there is none. */
  outputSendingEnd: number;
  isOutputComplete: boolean;
  /** Undefined while everything that the step wrote is on the disk. */
  outputLostBytes: number | undefined;
}

/** The state of the agent: what its journal says. Changed by nothing but the records. */
export class PlanBook {
  readonly #plans = new Map<string, KnownPlan>();
  readonly #lost = new Set<string>();
  /** Plans that were superseded before they came, and by which. */
  readonly #replaced = new Map<string, string>();
  /** The highest epoch of a deployment's stage. */
  readonly #epochs = new Map<string, number>();

  plan(planId: string): KnownPlan | undefined {
    return this.#plans.get(planId);
  }

  /** Whether damage took the letter of this plan. */
  isLost(planId: string): boolean {
    return this.#lost.has(planId);
  }

  /** Which plan took the place of this one before it came. */
  replacedBy(planId: string): string | undefined {
    return this.#replaced.get(planId);
  }

  /** The plan that runs or is next: one that began already, else the oldest that nobody wants to end. */
  next(): KnownPlan | undefined {
    const open = this.open();
    return open.find((plan) => plan.steps.size > 0) ?? open.find((plan) => plan.ending === undefined);
  }

  /** To be ended before any of it was done. */
  toDrop(): readonly KnownPlan[] {
    return this.open().filter((plan) => plan.ending !== undefined && plan.steps.size === 0);
  }

  /** Without a result, oldest first: the one that runs or is next, and those that wait. */
  open(): readonly KnownPlan[] {
    return [...this.#plans.values()].filter((plan) => plan.result === undefined);
  }

  /** With a result that the control plane has not confirmed, oldest first. */
  unconfirmed(): readonly ResultMessage[] {
    return [...this.#plans.values()].flatMap(({ result, receiptAtMs }) =>
      result === undefined || receiptAtMs !== undefined ? [] : [result],
    );
  }

  all(): readonly KnownPlan[] {
    return [...this.#plans.values()];
  }

  highestEpoch(deploymentId: string, stage: string): number {
    return this.#epochs.get(`${deploymentId} ${stage}`) ?? 0;
  }

  apply(record: JournalRecord, attachment: Uint8Array): void {
    if (record.type === 'received') return this.#receive(record, attachment);
    if (record.type === 'replaced') return void this.#replaced.set(record.planId, record.by);
    const plan = this.#plans.get(record.planId);
    if (record.type === 'lost' || plan === undefined) return void this.#lost.add(record.planId);
    changePlan(plan, record);
  }

  /** The shortest journal that leads to this state; of the plans that are over only the newest `limits` allows. */
  *records(): Generator<{ readonly record: JournalRecord; readonly attachment: Uint8Array }> {
    const none = new Uint8Array();
    for (const planId of this.#lost) yield { record: { type: 'lost', planId }, attachment: none };
    const replaced = [...this.#replaced].slice(-agentLimits.clearedPlansMax.value);
    for (const [planId, by] of replaced) yield { record: { type: 'replaced', planId, by }, attachment: none };
    for (const plan of this.#remembered()) {
      yield { record: plan.received, attachment: plan.letter ?? none };
      for (const record of remaining(plan)) yield { record, attachment: none };
    }
  }

  #remembered(): readonly KnownPlan[] {
    const over = this.all().filter((plan) => plan.isCleared);
    const forgotten = new Set(over.slice(0, Math.max(0, over.length - agentLimits.clearedPlansMax.value)));
    return this.all().filter((plan) => !forgotten.has(plan));
  }

  #receive(received: ReceivedRecord, letter: Uint8Array): void {
    const { planId, deploymentId, stage, epoch } = received;
    const kept = letter.length > 0 ? letter : undefined;
    this.#plans.set(planId, { received, letter: kept, steps: new Map(), ...unfinished });
    this.#epochs.set(`${deploymentId} ${stage}`, Math.max(epoch, this.highestEpoch(deploymentId, stage)));
  }
}

const unfinished = { ending: undefined, result: undefined, receiptAtMs: undefined, isCleared: false } as const;

type PlanChange = Exclude<JournalRecord, { readonly type: 'received' | 'lost' | 'replaced' }>;
type StepChange = Extract<PlanChange, { readonly step: number }>;

function changePlan(plan: KnownPlan, record: PlanChange): void {
  switch (record.type) {
    case 'ending':
      // A cancel counts more than a newer plan, and the first of its kind stays.
      if (plan.ending?.how !== 'cancelled') plan.ending = record;
      return;
    case 'finished':
      plan.result = record.result;
      plan.letter = undefined;
      return;
    case 'receipt':
      plan.receiptAtMs = record.atMs;
      return;
    case 'cleared':
      plan.isCleared = true;
      plan.steps.clear();
      plan.ending = undefined;
      if (plan.result !== undefined) plan.result = { ...plan.result, steps: [] };
      return;
    default:
      changeStep(plan, record);
  }
}

function changeStep(plan: KnownPlan, record: StepChange): void {
  if (record.type === 'stepStarting') {
    const earlier = plan.steps.get(record.step);
    plan.steps.set(record.step, startedStep(record, earlier));
    return;
  }
  const step = plan.steps.get(record.step);
  if (step === undefined) return;
  if (record.type === 'stepTimeout') step.isTimedOut = true;
  if (record.type === 'rebooting') step.rebootingAtMs = record.atMs;
  if (record.type === 'outputCut') step.outputLostBytes = record.lostBytes;
  if (record.type === 'stepEnded') step.result = record.result;
  if (record.type === 'outputSending') step.outputSendingEnd = record.end;
  if (record.type === 'outputSent') {
    step.outputSentBytes = record.offset;
    step.isOutputComplete = record.isLast;
  }
}

function startedStep(
  record: Extract<JournalRecord, { readonly type: 'stepStarting' }>,
  earlier: StepState | undefined,
): StepState {
  const { attempt, purpose, bootId, atMs, group } = record;
  return {
    attempt,
    purpose,
    bootId,
    attemptAtMs: atMs,
    startedAtMs: earlier?.startedAtMs ?? atMs,
    isTimedOut: false,
    group,
    rebootingAtMs: undefined,
    result: undefined,
    outputSentBytes: earlier?.outputSentBytes ?? 0,
    outputSendingEnd: earlier?.outputSendingEnd ?? 0,
    isOutputComplete: false,
    outputLostBytes: earlier?.outputLostBytes,
  };
}

function* remaining(plan: KnownPlan): Generator<JournalRecord> {
  const { planId } = plan.received;
  for (const [step, state] of plan.steps) yield* remainingOfStep(planId, step, state);
  if (plan.ending !== undefined) yield plan.ending;
  if (plan.result !== undefined) yield { type: 'finished', planId, result: plan.result };
  if (plan.receiptAtMs !== undefined) yield { type: 'receipt', planId, atMs: plan.receiptAtMs };
  if (plan.isCleared) yield { type: 'cleared', planId };
}

function* remainingOfStep(planId: string, step: number, state: StepState): Generator<JournalRecord> {
  const { attempt, purpose, bootId, startedAtMs, attemptAtMs } = state;
  const group = state.group === undefined ? {} : { group: state.group };
  const starting = { type: 'stepStarting', planId, step, attempt, purpose, bootId, ...group } as const;
  yield { ...starting, atMs: startedAtMs };
  if (attemptAtMs !== startedAtMs) yield { ...starting, atMs: attemptAtMs };
  if (state.rebootingAtMs !== undefined) yield { type: 'rebooting', planId, step, atMs: state.rebootingAtMs };
  if (state.outputLostBytes !== undefined) {
    yield { type: 'outputCut', planId, step, lostBytes: state.outputLostBytes };
  }
  if (state.isTimedOut) yield { type: 'stepTimeout', planId, step };
  if (state.result !== undefined) yield { type: 'stepEnded', planId, step, result: state.result };
  if (state.outputSendingEnd > state.outputSentBytes) {
    yield { type: 'outputSending', planId, step, end: state.outputSendingEnd };
  }
  if (state.outputSentBytes > 0 || state.isOutputComplete) {
    yield { type: 'outputSent', planId, step, offset: state.outputSentBytes, isLast: state.isOutputComplete };
  }
}
