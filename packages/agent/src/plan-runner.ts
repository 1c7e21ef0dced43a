import type { Outcome, PlanPayload, ResultMessage, StepResult } from '@torcello/contracts/agent';
import { sleep, type Logger } from '@torcello/platform';
import type { KnownPlan } from './book.js';
import { agentLimits } from './limits.js';
import type { ServerClock } from './server-clock.js';
import { payloadOfStored } from './letters.js';
import { announce } from './points.js';
import { StepRunner, applicationFolder, type StepEnd, type StepSignals, type StepTools } from './step-runner.js';
import { lateBy, type Untimely } from './start-by.js';
import { Wake } from './wake.js';

export interface PlanRunnerOptions {
  readonly tools: StepTools;
  readonly logger: Logger;
  readonly serverClock: ServerClock;
  /** A plan has its result in the journal. */
  readonly onFinished: (planId: string) => void;
}

const clockRetryMs = 5_000;
const clockUnsure: Untimely = {
  outcome: 'refused',
  reason:
    'the clock of the machine is unsure: the plan may be late, and the API did not tell the time to within 5 s. See that the machine reaches the API',
};
const endings: Readonly<Record<'cancelled' | 'superseded', Pick<ResultMessage, 'outcome' | 'reason'>>> = {
  cancelled: { outcome: 'cancelled', reason: 'cancelled before it started' },
  superseded: { outcome: 'superseded', reason: 'a newer plan took its place before it started' },
};

/**
 * Carries out plans, one at a time, in the order in which they came. A plan that an earlier agent began goes on at once;
 * a new one begins only after `open`, when everything that lay in the mailbox is in the journal.
 */
export class PlanRunner {
  readonly #options: PlanRunnerOptions;
  readonly #wake = new Wake();
  readonly #dropping = new Set<string>();
  #isOpen = false;
  #current: { readonly planId: string; readonly cancel: AbortController } | undefined;

  constructor(options: PlanRunnerOptions) {
    this.#options = options;
  }

  /** Id of the plan that is being carried out. */
  get running(): string | undefined {
    return this.#current?.planId;
  }

  /** Lets new plans begin. */
  open(): void {
    this.#isOpen = true;
    this.#wake.call();
  }

  /** There may be a new plan. */
  look(): void {
    this.#wake.call();
  }

  /**
   * Ends a plan of which the journal says so: one that waits at once, one that runs by ending its processes; then its
   * result follows as that of any other. A plan that runs and is superseded runs on.
   */
  async end(planId: string): Promise<void> {
    const plan = this.#options.tools.journal.book.plan(planId);
    if (plan?.ending === undefined || plan.result !== undefined) return;
    if (this.#current?.planId === planId) {
      if (plan.ending.how === 'cancelled') this.#current.cancel.abort();
    } else if (plan.steps.size === 0) {
      await this.#drop(plan);
    }
  }

  /** Works until the signal aborts; a step that runs then goes on without the agent. Rejects when the journal failed. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, journal } = this.#options.tools;
    for (const plan of journal.book.toDrop()) await this.#drop(plan);
    while (!signal.aborted) {
      const plan = journal.book.next();
      if (plan !== undefined && (this.#isOpen || plan.steps.size > 0)) await this.#runPlan(plan, signal);
      else await this.#wake.wait({ clock, signal });
    }
  }

  async #runPlan(plan: KnownPlan, signal: AbortSignal): Promise<void> {
    const { planId } = plan.received;
    const { letter } = plan;
    if (letter === undefined) throw new TypeError('an open plan has lost its letter');
    const cancel = new AbortController();
    this.#current = { planId, cancel };
    if (plan.ending?.how === 'cancelled') cancel.abort();
    try {
      const payload = payloadOfStored(letter);
      const untimely = await this.#judge(plan, AbortSignal.any([signal, cancel.signal]));
      signal.throwIfAborted();
      if (plan.ending !== undefined && plan.steps.size === 0) return await this.#drop(plan);
      if (untimely !== undefined) return await this.#finishUnstarted(plan, untimely);
      const ends = await this.#runSteps(payload, { stop: signal, cancelled: cancel.signal });
      if (payload.action === 'destroy' && outcomeOf(ends) === 'succeeded') await this.#tidy(payload);
      await this.#finish(plan, { payload, ends });
    } catch (error) {
      if (signal.aborted) return;
      if (!this.#options.tools.journal.isOpen) throw error;
      await this.#giveUp(plan, error);
    } finally {
      this.#current = undefined;
    }
  }

  /** Why a plan that came while the agent did not know the time must not run. Undefined: it may, or it runs already. */
  async #judge(plan: KnownPlan, signal: AbortSignal): Promise<Untimely | undefined> {
    const { startByMs } = plan.received;
    if (startByMs === undefined || plan.steps.size > 0) return undefined;
    const { clock } = this.#options.tools;
    const refuseAtMs = clock.monotonicMs() + agentLimits.clockPatienceMs.value;
    for (;;) {
      const time = await this.#options.serverClock.now(signal);
      if (time !== undefined) return lateBy(time, startByMs);
      if (signal.aborted || plan.ending !== undefined) return undefined;
      if (clock.monotonicMs() >= refuseAtMs) return clockUnsure;
      await sleep(clock, clockRetryMs, signal).catch(() => undefined);
    }
  }

  async #runSteps(payload: PlanPayload, signals: StepSignals): Promise<readonly StepEnd[]> {
    const ends: StepEnd[] = [];
    for (const [index, step] of payload.steps.entries()) {
      const end = await new StepRunner(this.#options.tools, { payload, index, step }, signals).run();
      if (end === undefined) break;
      ends.push(end);
      if (end.result.outcome !== 'succeeded') break;
    }
    return ends;
  }

  async #finish(
    plan: KnownPlan,
    { payload, ends }: { readonly payload: PlanPayload; readonly ends: readonly StepEnd[] },
  ): Promise<void> {
    const steps = ends.map(({ result }) => result);
    const last = ends.at(-1);
    // A cancel that came when all was done, or had failed, changes nothing about that.
    const isCut = plan.ending?.how === 'cancelled' && steps.length < payload.steps.length;
    const outcome = isCut && outcomeOf(ends) === 'succeeded' ? 'cancelled' : outcomeOf(ends);
    if (outcome === 'cancelled' && last === undefined) return await this.#finishUnstarted(plan, endings.cancelled);
    const startedAtMs = steps[0]?.startedAtMs;
    await this.#conclude(plan, {
      outcome,
      ...(outcome === 'succeeded' || last === undefined ? {} : { reason: last.reason ?? reasonOf(last.result) }),
      ...(startedAtMs === undefined ? {} : { startedAtMs }),
      ...(outcome === 'cancelled' && last !== undefined ? { stopped: stoppedBy(last.result) } : {}),
      steps,
    });
  }

  /** Nothing of it was done, and nothing will be. */
  async #finishUnstarted(plan: KnownPlan, end: Pick<ResultMessage, 'outcome' | 'reason'>): Promise<void> {
    await this.#conclude(plan, { ...end, steps: [] });
  }

  async #drop(plan: KnownPlan): Promise<void> {
    const { planId } = plan.received;
    if (plan.ending === undefined || plan.result !== undefined || this.#dropping.has(planId)) return;
    this.#dropping.add(planId);
    try {
      await this.#finishUnstarted(plan, endings[plan.ending.how]);
    } finally {
      this.#dropping.delete(planId);
    }
  }

  async #conclude(
    plan: KnownPlan,
    end: Pick<ResultMessage, 'outcome' | 'reason' | 'startedAtMs' | 'stopped' | 'steps'>,
  ): Promise<void> {
    const { planId, deploymentId, receivedAtMs } = plan.received;
    const finishedAtMs = this.#options.tools.clock.now();
    const result: ResultMessage = { deploymentId, planId, receivedAtMs, finishedAtMs, ...end };
    await this.#options.tools.journal.write({ type: 'finished', planId, result });
    announce('finished', { planId });
    this.#options.logger.info('plan finished', { planId, outcome: end.outcome, reason: end.reason });
    this.#options.onFinished(planId);
  }

  /** A defect of the agent must not stop every plan behind this one, nor run this one again and again. */
  async #giveUp(plan: KnownPlan, error: unknown): Promise<void> {
    this.#options.logger.error('a plan could not be carried on', { planId: plan.received.planId, error });
    const reason = `the agent could not go on with the plan: ${String(error)}`;
    const steps = [...plan.steps.values()].flatMap(({ result }) => (result === undefined ? [] : [result]));
    await this.#conclude(plan, { outcome: 'failed', reason, steps });
  }

  /** After a destroy nothing of the application is left, not even its empty folder. */
  async #tidy(payload: PlanPayload): Promise<void> {
    try {
      await this.#options.tools.machine.removeWhenEmpty(
        applicationFolder(this.#options.tools.applicationsFolder, payload),
      );
    } catch (error) {
      this.#options.logger.warn('the folder of the application stays', { planId: payload.planId, error });
    }
  }
}

function outcomeOf(ends: readonly StepEnd[]): Outcome {
  const last = ends.at(-1)?.result.outcome ?? 'succeeded';
  return last === 'timedOut' ? 'failed' : last;
}

function stoppedBy({ exitCode, signal, finishedAtMs }: StepResult): NonNullable<ResultMessage['stopped']> {
  return { exitCode, ...(signal === undefined ? {} : { signal }), atMs: finishedAtMs };
}

function reasonOf(step: StepResult): string {
  if (step.outcome === 'cancelled') return `cancelled while step "${step.name}" ran`;
  if (step.outcome === 'succeeded') return `cancelled after step "${step.name}"`;
  if (step.outcome === 'timedOut') return `step "${step.name}" took longer than it may and was ended`;
  if (step.outcome === 'interrupted') return `step "${step.name}" was interrupted and left no exit status`;
  return `step "${step.name}" ended with exit code ${step.exitCode ?? 'unknown'}`;
}
