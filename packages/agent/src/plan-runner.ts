import type { Outcome, PlanPayload, ResultMessage, StepResult } from '@torcello/contracts/agent';
import type { Logger } from '@torcello/platform';
import type { KnownPlan } from './book.js';
import { removeWhenEmpty } from './lay-files.js';
import { payloadOfStored } from './letters.js';
import { announce } from './points.js';
import { StepRunner, applicationFolder, type StepEnd, type StepTools } from './step-runner.js';
import { Wake } from './wake.js';

export interface PlanRunnerOptions {
  readonly tools: StepTools;
  readonly logger: Logger;
  /** A plan has its result in the journal. */
  readonly onFinished: (planId: string) => void;
}

/**
 * Carries out plans, one at a time, in the order in which they came. A plan that an earlier agent began goes on at once;
 * a new one begins only after `open`, when everything that lay in the mailbox is in the journal.
 */
export class PlanRunner {
  readonly #options: PlanRunnerOptions;
  readonly #wake = new Wake();
  #isOpen = false;
  #running: string | undefined;

  constructor(options: PlanRunnerOptions) {
    this.#options = options;
  }

  /** Id of the plan that is being carried out. */
  get running(): string | undefined {
    return this.#running;
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

  /** Works until the signal aborts; a step that runs then goes on without the agent. Rejects when the journal failed. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, journal } = this.#options.tools;
    while (!signal.aborted) {
      const plan = journal.book.open()[0];
      if (plan !== undefined && (this.#isOpen || plan.steps.size > 0)) await this.#runPlan(plan, signal);
      else await this.#wake.wait({ clock, signal });
    }
  }

  async #runPlan(plan: KnownPlan, signal: AbortSignal): Promise<void> {
    const { planId } = plan.received;
    const { letter } = plan;
    if (letter === undefined) throw new TypeError('an open plan has lost its letter');
    this.#running = planId;
    try {
      const payload = payloadOfStored(letter);
      const ends = await this.#runSteps(payload, signal);
      if (payload.action === 'destroy' && outcomeOf(ends) === 'succeeded') await this.#tidy(payload);
      await this.#finish(plan, ends);
    } catch (error) {
      if (signal.aborted) return;
      if (!this.#options.tools.journal.isOpen) throw error;
      await this.#giveUp(plan, error);
    } finally {
      this.#running = undefined;
    }
  }

  async #runSteps(payload: PlanPayload, signal: AbortSignal): Promise<readonly StepEnd[]> {
    const ends: StepEnd[] = [];
    for (const [index, step] of payload.steps.entries()) {
      const end = await new StepRunner(this.#options.tools, { payload, index, step }, signal).run();
      ends.push(end);
      if (end.result.outcome !== 'succeeded') break;
    }
    return ends;
  }

  async #finish(plan: KnownPlan, ends: readonly StepEnd[]): Promise<void> {
    const { planId, deploymentId, receivedAtMs } = plan.received;
    const steps = ends.map(({ result }) => result);
    const last = ends.at(-1);
    const outcome = outcomeOf(ends);
    const startedAtMs = steps[0]?.startedAtMs;
    const result: ResultMessage = {
      deploymentId,
      planId,
      outcome,
      ...(outcome === 'succeeded' || last === undefined ? {} : { reason: last.reason ?? reasonOf(last.result) }),
      receivedAtMs,
      ...(startedAtMs === undefined ? {} : { startedAtMs }),
      finishedAtMs: this.#options.tools.clock.now(),
      steps,
    };
    await this.#options.tools.journal.write({ type: 'finished', planId, result });
    announce('finished', { planId });
    this.#options.logger.info('plan finished', { planId, outcome, reason: result.reason });
    this.#options.onFinished(planId);
  }

  /** A defect of the agent must not stop every plan behind this one, nor run this one again and again. */
  async #giveUp(plan: KnownPlan, error: unknown): Promise<void> {
    const { tools, logger, onFinished } = this.#options;
    const { planId, deploymentId, receivedAtMs } = plan.received;
    logger.error('a plan could not be carried on', { planId, error });
    const reason = `the agent could not go on with the plan: ${String(error)}`;
    const steps = [...plan.steps.values()].flatMap(({ result }) => (result === undefined ? [] : [result]));
    const finishedAtMs = tools.clock.now();
    const result = { deploymentId, planId, outcome: 'failed', reason, receivedAtMs, finishedAtMs, steps } as const;
    await tools.journal.write({ type: 'finished', planId, result });
    onFinished(planId);
  }

  /** After a destroy nothing of the application is left, not even its empty folder. */
  async #tidy(payload: PlanPayload): Promise<void> {
    try {
      await removeWhenEmpty(applicationFolder(this.#options.tools.applicationsFolder, payload));
    } catch (error) {
      this.#options.logger.warn('the folder of the application stays', { planId: payload.planId, error });
    }
  }
}

function outcomeOf(ends: readonly StepEnd[]): Outcome {
  const last = ends.at(-1)?.result.outcome ?? 'succeeded';
  return last === 'timedOut' ? 'failed' : last;
}

function reasonOf(step: StepResult): string {
  if (step.outcome === 'timedOut') return `step "${step.name}" took longer than it may and was ended`;
  if (step.outcome === 'interrupted') return `step "${step.name}" was interrupted and left no exit status`;
  return `step "${step.name}" ended with exit code ${step.exitCode ?? 'unknown'}`;
}
