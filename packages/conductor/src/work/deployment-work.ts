import { type DeploymentState, type Intent, decide, limits } from '@torcello/contracts';
import type { Clock, Random } from '@torcello/platform';
import { CompileError } from '../compile/compile-error.js';
import type { DeploymentsClient } from '../deployments-client.js';
import { announce } from '../diagnostics.js';
import type { Lease } from '../lease.js';
import { conductorLimits } from '../limits.js';
import type { Reporter } from '../reporter.js';
import { retryDelayMs } from '../retry-delay.js';
import type { History, NewEvent } from './history.js';
import { Letters, type WantedLetter } from './letters.js';
import { Outcomes } from './outcomes.js';
import type { PlanOrder, Planner, SealedPlan } from './planner.js';
import type { LetterSource, Poster, Posting } from './poster.js';

export interface WorkTools {
  readonly lease: Lease;
  readonly history: History;
  readonly planner: Planner;
  readonly client: DeploymentsClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly reporter: Reporter;
  readonly poster: (source: LetterSource) => Poster;
}

/**
 * The loop of the conductor, for one deployment whose lease is held:
 *
 *   what is to be done? write the decision, then do it, then write what came of it; until nothing is to be done.
 *
 * It ends when the world has to answer first (the lease is given back) or the deployment is finished; it rejects with
 * a `LeaseEndedError` when the lease is over before.
 */
export class DeploymentWork {
  readonly #tools: WorkTools;
  readonly #poster: Poster;
  readonly #letters: Letters;
  #open: { readonly of: DeploymentState; readonly planIds: ReadonlySet<string> } | undefined;
  #isChecked = false;
  #fetchFailures = 0;
  /** Until the package can be asked for again (monotonic). */
  #planAgainAtMs = 0;

  constructor(tools: WorkTools) {
    this.#tools = tools;
    this.#letters = new Letters(tools);
    this.#poster = tools.poster({
      find: (letter) => this.#letters.find(letter),
      isWanted: (letter) => this.#isWanted(letter),
    });
  }

  async run(): Promise<void> {
    const { history, lease, planner } = this.#tools;
    await history.catchUp();
    planner.checkFixes(history.state.fixes);
    for (;;) {
      lease.check();
      const intents = decide(history.state);
      if (intents.length === 0) {
        if (await this.#release()) return;
        await history.catchUp();
      } else if (!(await this.#act(intents))) {
        await this.#waitFor(intents);
      }
    }
  }

  /** Does the next part of what is to be done. False: all of it has to wait a while. */
  async #act(intents: readonly Intent[]): Promise<boolean> {
    const [first] = intents;
    if (first?.do === 'finish') return await this.#finish(first);
    const due = this.#poster.due(this.#inOrder(lettersOf(intents)));
    if (due.length > 0) return await this.#post(due);
    const schedules = intents.filter((intent) => intent.do === 'schedule');
    if (schedules.length === 0 || this.#tools.clock.monotonicMs() < this.#planAgainAtMs) return false;
    return await this.#schedule(schedules);
  }

  async #finish({ result }: Extract<Intent, { do: 'finish' }>): Promise<true> {
    const { history, lease, reporter } = this.#tools;
    announce('finishing', lease.deploymentId);
    if (!(await history.decide([history.event({ type: 'finished', result })]))) return true;
    announce('finished', lease.deploymentId);
    reporter.tell(lease.deploymentId, reportLevels[result], `Deployment ${result}`);
    return true;
  }

  /** Writes as many plans as one append carries. The next turn posts them. */
  async #schedule(intents: readonly Extract<Intent, { do: 'schedule' }>[]): Promise<boolean> {
    const { history, lease, reporter } = this.#tools;
    let plans: readonly SealedPlan[];
    try {
      plans = await this.#makePlans(intents);
    } catch (error) {
      lease.signal.throwIfAborted();
      return await this.#afterPlanningFailed(error);
    }
    const events = plans.map(({ letter, bytes }) => history.event({ type: 'planScheduled', plan: letter }, bytes));
    for (const { letter } of plans) announce('appending', lease.deploymentId, letter.planId);
    if (!(await history.decide(events))) return true;
    for (const plan of plans) this.#letters.keep(plan);
    for (const { letter } of plans) announce('appended', lease.deploymentId, letter.planId);
    reporter.tell(lease.deploymentId, 'info', `${plural(plans.length, 'plan')} written`);
    return true;
  }

  async #makePlans(intents: readonly Extract<Intent, { do: 'schedule' }>[]): Promise<readonly SealedPlan[]> {
    const { planner, history } = this.#tools;
    if (!this.#isChecked && isFresh(history.state)) await planner.check(unplanned(history.state));
    this.#isChecked = true;
    const plans: SealedPlan[] = [];
    let leftBytes = limits.appendBytesMax.value;
    for (const intent of intents) {
      const plan = await planner.plan(intent);
      leftBytes -= plan.bytes.length;
      if (leftBytes < 0 && plans.length > 0) break;
      plans.push(plan);
    }
    this.#fetchFailures = 0;
    return plans;
  }

  /** A package that is wrong ends the deployment; one that cannot be fetched just now is asked for again. */
  async #afterPlanningFailed(error: unknown): Promise<boolean> {
    const { history, lease, clock, random, reporter } = this.#tools;
    if (!(error instanceof CompileError)) {
      this.#fetchFailures += 1;
      this.#planAgainAtMs = clock.monotonicMs() + retryDelayMs(this.#fetchFailures, random);
      reporter.trouble(lease.deploymentId, 'a package could not be fetched, trying again', error);
      return false;
    }
    const reason = error.message.slice(0, conductorLimits.rejectionReasonCharsMax.value);
    if (!(await history.decide([history.event({ type: 'rejected', reason })]))) return true;
    reporter.tell(lease.deploymentId, 'error', reason);
    return true;
  }

  async #post(letters: readonly WantedLetter[]): Promise<true> {
    const { history, lease, clock, reporter } = this.#tools;
    const outcomes = new Outcomes(history, clock, (events) => this.#written(events));
    const posting = async (): Promise<void> => {
      try {
        await this.#poster.post(letters, (end) => outcomes.add(history.event(this.#outcome(end))));
      } finally {
        outcomes.complete();
      }
    };
    await settleBoth(posting(), outcomes.writeAll(lease.signal));
    reporter.tell(lease.deploymentId, 'info', progressOf(history.state));
    return true;
  }

  /** A cancel that cannot be put is over as well: whatever could be ended by it has ended, or tells when it is back. */
  #outcome(posting: Posting): NewEvent['event'] {
    const { kind, planId } = posting.letter;
    if (kind === 'plan' && posting.isStored) return { type: 'planStored', planId, storedAtMs: posting.storedAtMs };
    if (kind === 'plan') return { type: 'planEnded', planId, outcome: 'failed', reason: reasonOf(posting) };
    if (!posting.isStored) {
      const text = `the cancel of plan ${planId} reached nobody: ${posting.reason}`;
      this.#tools.reporter.tell(this.#tools.lease.deploymentId, 'warn', text);
    }
    return { type: 'cancelStored', planId };
  }

  #written(events: readonly NewEvent[]): void {
    for (const { event } of events) {
      if (!('planId' in event)) continue;
      this.#letters.forget(event.planId);
      const point = event.type === 'cancelStored' ? 'cancelStored' : 'stored';
      announce(point, this.#tools.lease.deploymentId, event.planId);
    }
  }

  /** True: the deployment is somebody else's business now. False: there is news that was not seen yet. */
  async #release(): Promise<boolean> {
    const { client, history, lease } = this.#tools;
    const { deploymentId, epoch, signal } = lease;
    const answer = await client.release({ deploymentId, epoch, length: history.length }, signal);
    if (!answer.released && answer.length > history.length) return false;
    announce('released', deploymentId);
    return true;
  }

  /** The history may have moved on while letters were put: what ended needs none, what is to end needs no plan. */
  #isWanted({ kind, planId }: WantedLetter): boolean {
    const { state } = this.#tools.history;
    if (this.#open?.of !== state) {
      const open = state.plans.filter(({ outcome }) => outcome === undefined);
      this.#open = { of: state, planIds: new Set(open.map((plan) => plan.planId)) };
    }
    const isEnding = state.cancelGraceMs !== undefined || state.supersededBy !== undefined;
    return this.#open.planIds.has(planId) && (kind === 'cancel' || !isEnding);
  }

  /** A machine whose agent drops plans that come out of order gets the next one when the one before is stored. */
  #inOrder(letters: readonly WantedLetter[]): readonly WantedLetter[] {
    const { planner, history } = this.#tools;
    const machines = new Map(history.state.plans.map(({ planId, machine }) => [planId, machine]));
    const begun = new Set<string>();
    return letters.filter(({ kind, planId }) => {
      const machine = machines.get(planId) ?? '';
      if (kind === 'cancel' || !planner.isOrdered(machine)) return true;
      return !begun.has(machine) && begun.add(machine);
    });
  }

  async #waitFor(intents: readonly Intent[]): Promise<void> {
    const { lease, clock, history } = this.#tools;
    const planInMs = intents.some((intent) => intent.do === 'schedule')
      ? Math.max(0, this.#planAgainAtMs - clock.monotonicMs())
      : Number.POSITIVE_INFINITY;
    await lease.news.wait(
      clock,
      Math.min(planInMs, this.#poster.waitMs(this.#inOrder(lettersOf(intents)))),
      lease.signal,
    );
    lease.check();
    await history.catchUp();
  }
}

const reportLevels = { succeeded: 'info', failed: 'error', cancelled: 'warn', superseded: 'warn' } as const;

function lettersOf(intents: readonly Intent[]): readonly WantedLetter[] {
  return intents.flatMap((intent): readonly WantedLetter[] => {
    if (intent.do === 'post') return [{ kind: 'plan', planId: intent.plan.planId }];
    if (intent.do !== 'postCancel') return [];
    const { planId, machine, graceMs } = intent;
    return [{ kind: 'cancel', planId, machine, graceMs }];
  });
}

/** Nothing was planned yet, or a resume brought other packages. */
function isFresh({ plans, fixes }: DeploymentState): boolean {
  return plans.length === 0 || fixes.length > 0;
}

/** All plans that may have to be made. */
function unplanned({ stages, plans, resumePoints }: DeploymentState): readonly PlanOrder[] {
  const planned = new Set(plans.map(({ stage, machine }) => `${stage} ${machine}`));
  const points = new Map(resumePoints.map(({ stage, machine, step }) => [`${stage} ${machine}`, step]));
  return stages.flatMap(({ name: stage, machines }) =>
    machines.flatMap((machine) => {
      const place = `${stage} ${machine}`;
      const fromStep = points.get(place);
      if (planned.has(place)) return [];
      return [fromStep === undefined ? { stage, machine } : { stage, machine, fromStep }];
    }),
  );
}

function progressOf({ plans, cancelGraceMs }: DeploymentState): string {
  const stored = plans.filter((plan) => (cancelGraceMs === undefined ? plan.isStored : plan.isCancelStored)).length;
  if (cancelGraceMs !== undefined) return `${plural(stored, 'cancel')} stored`;
  return `${stored} of ${plural(plans.length, 'plan')} stored`;
}

function reasonOf(posting: Posting): string {
  return posting.isStored ? '' : posting.reason;
}

/** Waits for both also when one fails: nothing may go on behind the loop's back. */
async function settleBoth(one: Promise<void>, other: Promise<void>): Promise<void> {
  const failed = (await Promise.allSettled([one, other])).find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
