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
  | { readonly type: 'planEnded'; readonly planId: string; readonly outcome: Outcome; readonly reason?: string }
  | { readonly type: 'rejected'; readonly reason: string }
  | { readonly type: 'finished'; readonly result: Result };

/** What a deployment does with the applications of its environment. */
export type DeploymentAction = 'deploy' | 'destroy';

/** How a plan ended. `unknown` is no outcome: it is how an open plan of a silent machine is shown. */
export type Outcome = 'succeeded' | 'failed' | 'expired' | 'cancelled' | 'interrupted' | 'refused';
export type Result = 'succeeded' | 'failed' | 'cancelled';

/** What goes into the mailbox, signed once; `digest` (SHA-256, hexadecimal) names the exact bytes. */
export interface PlanLetter {
  readonly planId: string;
  /** Id of the machine, not its name. */
  readonly machine: string;
  readonly stage: string;
  readonly digest: string;
}

/** One role's part of a deployment: every machine of it gets one plan with all its steps inside. */
export interface Stage {
  /** `<service id>/<stage of the application>`, unique in the deployment. */
  readonly name: string;
  readonly needs: readonly string[];
  /** Ids of machines. */
  readonly machines: readonly string[];
  /** So many machines may fail before the stage counts as failed. */
  readonly failuresMax: number;
}

export interface PlanRecord extends PlanLetter {
  readonly isStored: boolean;
  /** Undefined while the plan is open. */
  readonly outcome: Outcome | undefined;
}

export interface DeploymentState {
  readonly stages: readonly Stage[];
  /** Every plan ever scheduled, oldest first. */
  readonly plans: readonly PlanRecord[];
  /** Why nothing of it can be carried out: a plan that cannot be made from the package. */
  readonly rejection: string | undefined;
  readonly result: Result | undefined;
}

export type Intent =
  | { readonly do: 'schedule'; readonly machine: string; readonly stage: string }
  | { readonly do: 'post'; readonly plan: PlanLetter }
  | { readonly do: 'finish'; readonly result: Result };

export const emptyDeployment: DeploymentState = { stages: [], plans: [], rejection: undefined, result: undefined };

/** Folds one event into the state. @throws UnknownEventError for an event of a newer release. */
export function apply(state: DeploymentState, event: DeploymentEvent): DeploymentState {
  switch (event.type) {
    case 'accepted':
      return { ...state, stages: event.stages };
    case 'planScheduled':
      return { ...state, plans: [...state.plans, { ...event.plan, isStored: false, outcome: undefined }] };
    case 'planStored':
      return change(state, event.planId, (plan) => ({ ...plan, isStored: true }));
    case 'planEnded':
      // The first end stays: a late or doubled answer must not turn an expired plan into a succeeded one.
      return change(state, event.planId, (plan) => ({ ...plan, outcome: plan.outcome ?? event.outcome }));
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
  const next = state.rejection === undefined ? [...unposted(state), ...readyStages(state)] : unposted(state);
  if (next.length > 0 || state.plans.some(isOpen)) return next;
  const everyStageHolds = state.rejection === undefined && state.stages.every((stage) => holds(state, stage));
  return [{ do: 'finish', result: everyStageHolds ? 'succeeded' : 'failed' }];
}

function unposted(state: DeploymentState): readonly Intent[] {
  return state.plans.filter((plan) => isOpen(plan) && !plan.isStored).map((plan) => ({ do: 'post', plan }) as const);
}

/** Where the needs hold: the machines that have no plan of the stage yet. One machine's failure stops no other. */
function readyStages(state: DeploymentState): readonly Intent[] {
  return state.stages
    .filter((stage) => stage.needs.every((need) => holds(state, stageNamed(state, need))))
    .flatMap((stage) => {
      const planned = new Set(plansOf(state, stage).map((plan) => plan.machine));
      return stage.machines
        .filter((machine) => !planned.has(machine))
        .map((machine) => ({ do: 'schedule', machine, stage: stage.name }) as const);
    });
}

/** A stage holds when every machine of it ended, and no more of them without success than it allows. */
function holds(state: DeploymentState, stage: Stage): boolean {
  const ended = plansOf(state, stage).filter((plan) => !isOpen(plan));
  const failures = ended.filter((plan) => plan.outcome !== 'succeeded').length;
  return ended.length === stage.machines.length && failures <= stage.failuresMax;
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

/** The event types that this release can fold; a conductor that lacks one declines the deployment. */
export const knownEventTypes: readonly DeploymentEvent['type'][] = [
  'accepted',
  'planScheduled',
  'planStored',
  'planEnded',
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
