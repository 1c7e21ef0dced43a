/*
 * The deployment program as it was before the event `leftAlone`: the version that may run beside this one while conductors are
 * replaced one by one. Kept as it was; never edited.
 */

/**
 * A deployment is its history. `apply` folds one event into the state, `decide` says what to do next; neither reads a
 * clock, a socket or a random number. The conductor's loop around them is short:
 *
 *   for the intents of decide(state): append their events (compare-and-set), then do the effects, then append the outcomes.
 *   nothing to do: give the lease back and forget. A result, a timer or a user makes the API call somebody again.
 *
 * So every effect was an event first. Whoever takes over replays the events and finds, in the state, the letters that
 * were written and perhaps never posted: it posts them again, byte for byte, and the agent's journal drops the double.
 */
export type DeploymentEvent =
  | { readonly type: 'accepted'; readonly action: DeploymentAction; readonly stages: readonly Stage[] }
  | { readonly type: 'planScheduled'; readonly plan: PlanLetter }
  | { readonly type: 'planStored'; readonly planId: string; readonly storedAtMs: number }
  | {
      readonly type: 'planEnded';
      readonly planId: string;
      readonly outcome: Outcome;
      readonly reason?: string;
      /** The step that it did not get past; where a resume goes on. */
      readonly failedStep?: string;
    }
  /** Somebody wants it to end: running steps get this long to end by themselves. */
  | { readonly type: 'cancelRequested'; readonly graceMs: number }
  | { readonly type: 'cancelStored'; readonly planId: string }
  /** A newer deployment took over what has not started yet. */
  | { readonly type: 'supersedeRequested'; readonly by: string }
  /** Failed and never started machines get another attempt; `fixes` name the packages that were corrected meanwhile. */
  | { readonly type: 'resumed'; readonly fixes: readonly PackageFix[] }
  | { readonly type: 'rejected'; readonly reason: string }
  | { readonly type: 'finished'; readonly result: Result };

/** What a deployment does with the applications of its environment. */
export type DeploymentAction = 'deploy' | 'destroy';

/**
 * How a plan ended. `unknown` is no outcome: it is how an open plan of a silent machine is shown. `interrupted`: the
 * machine died in the middle and the step's policy is to fail. `replaced`: another agent took the machine's place.
 */
export type Outcome =
  | 'succeeded'
  | 'failed'
  | 'expired'
  | 'cancelled'
  | 'superseded'
  | 'interrupted'
  | 'refused'
  | 'replaced';
export type Result = 'succeeded' | 'failed' | 'cancelled' | 'superseded';

/** A package whose newer version is used from a resume on. */
export interface PackageFix {
  readonly serviceId: string;
  readonly packageId: string;
}

/** What goes into the mailbox, signed once; `digest` (SHA-256, hexadecimal) names the exact bytes. */
export interface PlanLetter {
  readonly planId: string;
  /** Id of the machine, not its name. */
  readonly machine: string;
  readonly stage: string;
  readonly digest: string;
  /** The step it begins with, where an earlier attempt had done the steps before. */
  readonly fromStep?: string;
}

/**
 * One role's part of a deployment: every machine of it gets one plan with all its steps inside. A roll-out in batches is
 * a row of stages of one group, each needing the one before.
 */
export interface Stage {
  /** `<service id>/<stage of the application>`, with `#<number>` behind it for a batch; unique in the deployment. */
  readonly name: string;
  readonly needs: readonly string[];
  /** Ids of machines. */
  readonly machines: readonly string[];
  /** So many machines of the group may fail before its stages count as failed. */
  readonly failuresMax: number;
  /** Stages whose failures count together; absent: the stage by itself. */
  readonly group?: string;
}

export interface PlanRecord extends PlanLetter {
  readonly isStored: boolean;
  readonly isCancelStored: boolean;
  /** Undefined while the plan is open. */
  readonly outcome: Outcome | undefined;
  readonly failedStep: string | undefined;
}

/** Where another attempt of a machine begins. */
export interface ResumePoint {
  readonly machine: string;
  readonly stage: string;
  readonly step: string;
}

export interface DeploymentState {
  readonly stages: readonly Stage[];
  /** Every plan ever scheduled, oldest first. An ended plan that a resume gave up is gone from here, not from the history. */
  readonly plans: readonly PlanRecord[];
  /** Undefined unless somebody wants it to end. */
  readonly cancelGraceMs: number | undefined;
  /** The newer deployment, where one took over. */
  readonly supersededBy: string | undefined;
  readonly resumePoints: readonly ResumePoint[];
  /** Packages corrected since it was accepted; of several for one service the last counts. */
  readonly fixes: readonly PackageFix[];
  /** Why nothing of it can be carried out: a plan that cannot be made from the package. */
  readonly rejection: string | undefined;
  readonly result: Result | undefined;
}

export type Intent =
  | { readonly do: 'schedule'; readonly machine: string; readonly stage: string; readonly fromStep?: string }
  | { readonly do: 'post'; readonly plan: PlanLetter }
  | { readonly do: 'postCancel'; readonly planId: string; readonly machine: string; readonly graceMs: number }
  | { readonly do: 'finish'; readonly result: Result };

export const emptyDeployment: DeploymentState = {
  stages: [],
  plans: [],
  cancelGraceMs: undefined,
  supersededBy: undefined,
  resumePoints: [],
  fixes: [],
  rejection: undefined,
  result: undefined,
};

/** Folds one event into the state. @throws UnknownEventError for an event of a newer release. */
export function apply(state: DeploymentState, event: DeploymentEvent): DeploymentState {
  switch (event.type) {
    case 'accepted':
      return { ...state, stages: event.stages };
    case 'planScheduled':
      return { ...state, plans: [...state.plans, newRecord(event.plan)] };
    case 'planStored':
      return change(state, event.planId, (plan) => ({ ...plan, isStored: true }));
    case 'planEnded':
      // The first end stays: a late or doubled answer must not turn an expired plan into a succeeded one.
      return change(state, event.planId, (plan) =>
        isOpen(plan) ? { ...plan, outcome: event.outcome, failedStep: event.failedStep } : plan,
      );
    case 'cancelRequested':
      return { ...state, cancelGraceMs: state.cancelGraceMs ?? event.graceMs };
    case 'cancelStored':
      return change(state, event.planId, (plan) => ({ ...plan, isCancelStored: true }));
    case 'supersedeRequested':
      return { ...state, supersededBy: state.supersededBy ?? event.by };
    case 'resumed':
      return resume(state, event.fixes);
    case 'rejected':
      return { ...state, rejection: state.rejection ?? event.reason };
    case 'finished':
      return { ...state, result: event.result };
    default:
      // Written by a newer release. Guessing would fork the truth, so the conductor leaves the deployment to one that knows.
      throw new UnknownEventError((event as { type: string }).type);
  }
}

/** An empty answer means: nothing until the world answers. */
export function decide(state: DeploymentState): readonly Intent[] {
  if (state.result !== undefined) return [];
  if (state.cancelGraceMs !== undefined)
    return [...cancels(state, state.cancelGraceMs), { do: 'finish', result: 'cancelled' }];
  if (state.supersededBy !== undefined) return [{ do: 'finish', result: 'superseded' }];
  const next = state.rejection === undefined ? [...unposted(state), ...readyStages(state)] : unposted(state);
  if (next.length > 0 || state.plans.some(isOpen)) return next;
  const everyStageHolds = state.rejection === undefined && state.stages.every((stage) => holds(state, stage));
  return [{ do: 'finish', result: everyStageHolds ? 'succeeded' : 'failed' }];
}

function newRecord(plan: PlanLetter): PlanRecord {
  return { ...plan, isStored: false, isCancelStored: false, outcome: undefined, failedStep: undefined };
}

/** Plans that are open or succeeded stay as they are; the others make room for another attempt. */
function resume(state: DeploymentState, fixes: readonly PackageFix[]): DeploymentState {
  const givenUp = state.plans.filter((plan) => !isOpen(plan) && plan.outcome !== 'succeeded');
  const points = givenUp.flatMap(({ machine, stage, failedStep, fromStep }) => {
    const step = failedStep ?? fromStep;
    return step === undefined ? [] : [{ machine, stage, step }];
  });
  return {
    ...state,
    plans: state.plans.filter((plan) => !givenUp.includes(plan)),
    resumePoints: [...state.resumePoints.filter((old) => !points.some((point) => isSamePlace(old, point))), ...points],
    fixes: [...state.fixes.filter((old) => !fixes.some((fix) => fix.serviceId === old.serviceId)), ...fixes],
    cancelGraceMs: undefined,
    supersededBy: undefined,
    rejection: undefined,
    result: undefined,
  };
}

function unposted(state: DeploymentState): readonly Intent[] {
  return state.plans.filter((plan) => isOpen(plan) && !plan.isStored).map((plan) => ({ do: 'post', plan }) as const);
}

/** Also for plans that were never posted as far as the history knows: the put may have happened all the same. */
function cancels(state: DeploymentState, graceMs: number): readonly Intent[] {
  return state.plans
    .filter((plan) => isOpen(plan) && !plan.isCancelStored)
    .map(({ planId, machine }) => ({ do: 'postCancel', planId, machine, graceMs }) as const);
}

/** Where the needs hold: the machines that have no plan of the stage yet. One machine's failure stops no other. */
function readyStages(state: DeploymentState): readonly Intent[] {
  return state.stages
    .filter((stage) => stage.needs.every((need) => holds(state, stageNamed(state, need))))
    .flatMap((stage) => {
      const planned = new Set(plansOf(state, stage).map((plan) => plan.machine));
      return stage.machines
        .filter((machine) => !planned.has(machine))
        .map((machine) => schedule(state, machine, stage));
    });
}

function schedule(state: DeploymentState, machine: string, stage: Stage): Intent {
  const point = state.resumePoints.find((candidate) => isSamePlace(candidate, { machine, stage: stage.name }));
  const intent = { do: 'schedule', machine, stage: stage.name } as const;
  return point === undefined ? intent : { ...intent, fromStep: point.step };
}

/** A stage holds when every machine of it ended, and no more of its group without success than it allows. */
function holds(state: DeploymentState, stage: Stage): boolean {
  const hasEnded = plansOf(state, stage).filter((plan) => !isOpen(plan)).length === stage.machines.length;
  const group = stage.group === undefined ? [stage] : state.stages.filter((other) => other.group === stage.group);
  // A machine that failed in its batch fails the gate after it as well: that is one failure.
  const failed = group.flatMap((member) =>
    plansOf(state, member)
      .filter(hasFailed)
      .map(({ machine }) => machine),
  );
  return hasEnded && new Set(failed).size <= stage.failuresMax;
}

function plansOf(state: DeploymentState, stage: Stage): readonly PlanRecord[] {
  return state.plans.filter((plan) => plan.stage === stage.name);
}

function stageNamed(state: DeploymentState, name: string): Stage {
  const stage = state.stages.find((candidate) => candidate.name === name);
  if (stage === undefined) throw new TypeError(`stage ${name} is needed and not declared`);
  return stage;
}

function change(state: DeploymentState, planId: string, edit: (plan: PlanRecord) => PlanRecord): DeploymentState {
  return { ...state, plans: state.plans.map((plan) => (plan.planId === planId ? edit(plan) : plan)) };
}

const isOpen = (plan: PlanRecord): boolean => plan.outcome === undefined;
const hasFailed = (plan: PlanRecord): boolean => !isOpen(plan) && plan.outcome !== 'succeeded';

function isSamePlace(a: Omit<ResumePoint, 'step'>, b: Omit<ResumePoint, 'step'>): boolean {
  return a.machine === b.machine && a.stage === b.stage;
}

/** The event types that this release can fold; a conductor that lacks one declines the deployment. */
export const knownEventTypes: readonly DeploymentEvent['type'][] = [
  'accepted',
  'planScheduled',
  'planStored',
  'planEnded',
  'cancelRequested',
  'cancelStored',
  'supersedeRequested',
  'resumed',
  'rejected',
  'finished',
];

export class UnknownEventError extends Error {
  readonly code = 'UNKNOWN_EVENT';
  readonly eventType: string;
  constructor(eventType: string) {
    super(`this release does not know the history event "${eventType}"; a newer conductor must take the deployment`);
    this.eventType = eventType;
  }
}
