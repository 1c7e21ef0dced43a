import { type Intent, type PlanLetter, decide, limits } from '@torcello/contracts';
import type { Clock, Random } from '@torcello/platform';
import { CompileError } from '../compile/compile-error.js';
import type { DeploymentsClient } from '../deployments-client.js';
import { announce } from '../diagnostics.js';
import type { Lease } from '../lease.js';
import { conductorLimits } from '../limits.js';
import type { Reporter } from '../reporter.js';
import { retryDelayMs } from '../retry-delay.js';
import type { History, NewEvent } from './history.js';
import { Outcomes } from './outcomes.js';
import type { Planner, SealedPlan } from './planner.js';
import type { FindLetter, Poster, Posting } from './poster.js';

export interface WorkTools {
  readonly lease: Lease;
  readonly history: History;
  readonly planner: Planner;
  readonly client: DeploymentsClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly reporter: Reporter;
  readonly poster: (find: FindLetter) => Poster;
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
  /** Letters written to the history and not yet known to be in their mailbox; after a takeover the API has them. */
  readonly #letters = new Map<string, SealedPlan>();
  #isChecked = false;
  #fetchFailures = 0;
  /** Until the package can be asked for again (monotonic). */
  #planAgainAtMs = 0;

  constructor(tools: WorkTools) {
    this.#tools = tools;
    this.#poster = tools.poster((planId) => this.#letter(planId));
  }

  async run(): Promise<void> {
    const { history, lease } = this.#tools;
    await history.catchUp();
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
    const due = this.#poster.due(postsOf(intents));
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
    reporter.tell(lease.deploymentId, result === 'succeeded' ? 'info' : 'error', `Deployment ${result}`);
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
    for (const plan of plans) this.#letters.set(plan.letter.planId, plan);
    for (const { letter } of plans) announce('appended', lease.deploymentId, letter.planId);
    reporter.tell(lease.deploymentId, 'info', `${plural(plans.length, 'plan')} written`);
    return true;
  }

  async #makePlans(intents: readonly Extract<Intent, { do: 'schedule' }>[]): Promise<readonly SealedPlan[]> {
    const { planner, history } = this.#tools;
    if (!this.#isChecked && history.state.plans.length === 0) await planner.check(history.state.stages);
    this.#isChecked = true;
    const plans: SealedPlan[] = [];
    let leftBytes = limits.appendBytesMax.value;
    for (const { stage, machine } of intents) {
      const plan = await planner.plan(stage, machine);
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

  async #post(plans: readonly PlanLetter[]): Promise<true> {
    const { history, lease, clock, reporter } = this.#tools;
    const outcomes = new Outcomes(history, clock, (events) => this.#written(events));
    const posting = async (): Promise<void> => {
      try {
        await this.#poster.post(plans, (end) => outcomes.add(history.event(outcomeEvent(end))));
      } finally {
        outcomes.complete();
      }
    };
    await settleBoth(posting(), outcomes.writeAll(lease.signal));
    const stored = history.state.plans.filter((plan) => plan.isStored).length;
    reporter.tell(
      lease.deploymentId,
      'info',
      `${stored} of ${plural(history.state.plans.length, 'plan')} in the mailboxes`,
    );
    return true;
  }

  #written(events: readonly NewEvent[]): void {
    for (const { event } of events) {
      if (event.type !== 'planStored' && event.type !== 'planEnded') continue;
      this.#letters.delete(event.planId);
      announce('stored', this.#tools.lease.deploymentId, event.planId);
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

  async #waitFor(intents: readonly Intent[]): Promise<void> {
    const { lease, clock, history } = this.#tools;
    const planInMs = intents.some((intent) => intent.do === 'schedule')
      ? Math.max(0, this.#planAgainAtMs - clock.monotonicMs())
      : Number.POSITIVE_INFINITY;
    await lease.news.wait(clock, Math.min(planInMs, this.#poster.waitMs(postsOf(intents))), lease.signal);
    lease.check();
    await history.catchUp();
  }

  async #letter(planId: string): Promise<{ readonly mailbox: string; readonly bytes: Uint8Array }> {
    const known = this.#letters.get(planId);
    if (known !== undefined) return known;
    const { client, lease } = this.#tools;
    const answer = await client.letter({ deploymentId: lease.deploymentId, planId }, lease.signal);
    return { mailbox: answer.mailbox, bytes: Buffer.from(answer.letter, 'base64') };
  }
}

function postsOf(intents: readonly Intent[]): readonly PlanLetter[] {
  return intents.flatMap((intent) => (intent.do === 'post' ? [intent.plan] : []));
}

function outcomeEvent(posting: Posting): NewEvent['event'] {
  const { planId } = posting;
  return posting.isStored
    ? { type: 'planStored', planId, storedAtMs: posting.storedAtMs }
    : { type: 'planEnded', planId, outcome: 'failed', reason: posting.reason };
}

/** Waits for both also when one fails: nothing may go on behind the loop's back. */
async function settleBoth(one: Promise<void>, other: Promise<void>): Promise<void> {
  const failed = (await Promise.allSettled([one, other])).find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
