import { letterKindHeader, limits, type PlanHeader, type ResultMessage } from '@torcello/contracts/agent';
import type { Letter } from '@torcello/messaging';
import type { Clock, Logger } from '@torcello/platform';
import { access } from 'node:fs/promises';
import path from 'node:path';
import type { Journal } from './journal.js';
import type { LetterOpener, OpenedPlan } from './letters.js';
import type { Notices } from './notices.js';
import { announce } from './points.js';
import type { ProgressSender } from './progress.js';
import type { ResultSender } from './results.js';
import { ShapeError, fields, readJson, text } from './shape.js';

export interface IntakeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly journal: Journal;
  readonly opener: LetterOpener;
  readonly enrolment: number;
  readonly results: ResultSender;
  readonly progress: ProgressSender;
  readonly notices: Notices;
  readonly runsFolder: string;
  /** A plan lies in the journal and waits for its turn. */
  readonly onPlan: () => void;
  /** The control plane has the result of this plan. */
  readonly onReceipt: (planId: string) => void;
}

type GoodPlan = Extract<OpenedPlan, { readonly isGood: true }>;
type End = Pick<ResultMessage, 'outcome' | 'reason'>;

const receiptBody = fields({ planId: text });

/**
 * Takes letters out of the mailbox: into the journal first, then off the broker. Everything that is not certainly meant
 * for this agent is thrown away; everything that is gets an answer, if only that it comes too late.
 */
export class Intake {
  readonly #options: IntakeOptions;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Settles the letter. Rejects only when the journal failed; then the letter stays with the broker. */
  async take(letter: Letter): Promise<void> {
    const kind = letter.headers[letterKindHeader];
    if (kind === 'plan') return await this.#takePlan(letter);
    if (kind === 'receipt') return await this.#takeReceipt(letter);
    this.#refuse(letter, `unknown kind ${JSON.stringify(kind) ?? 'none'}`);
  }

  async #takePlan(letter: Letter): Promise<void> {
    const opened = this.#options.opener.open(letter.body);
    if (!opened.isGood) return this.#refuse(letter, opened.fault);
    const { planId } = opened.header;
    const known = this.#options.journal.book.plan(planId);
    if (known === undefined) return await this.#takeNew(letter, opened);
    if (known.received.digest !== opened.digest) return this.#refuse(letter, 'SAME_PLAN_OTHER_BYTES');
    this.#accept(letter, planId);
    if (known.result !== undefined) this.#options.results.send(planId);
  }

  async #takeNew(letter: Letter, opened: GoodPlan): Promise<void> {
    const { journal, clock, progress, results, onPlan } = this.#options;
    const { header, digest, payload } = opened;
    const { planId, deploymentId, epoch } = header;
    const stage = typeof payload === 'string' ? '' : payload.stage;
    const receivedAtMs = clock.now();
    const end = await this.#endAtOnce(opened, stage);
    const received = { type: 'received', planId, deploymentId, stage, epoch, digest, receivedAtMs } as const;
    if (end === undefined) {
      await journal.write(received, { attachment: letter.body });
    } else {
      const result = { deploymentId, planId, ...end, receivedAtMs, finishedAtMs: receivedAtMs, steps: [] };
      await Promise.all([journal.write(received), journal.write({ type: 'finished', planId, result })]);
      this.#options.logger.warn('a plan was not carried out', { planId, ...end });
      results.send(planId);
    }
    this.#accept(letter, planId);
    if (end !== undefined) return;
    progress.received(header);
    onPlan();
  }

  /** Why the plan must not run. Undefined: it may. */
  async #endAtOnce({ header, payload }: GoodPlan, stage: string): Promise<End | undefined> {
    if (typeof payload === 'string') return { outcome: 'refused', reason: payload };
    return (
      this.#enrolmentEnd(header) ??
      this.#epochEnd(header, stage) ??
      this.#startByEnd(header) ??
      (await this.#lostEnd(header))
    );
  }

  #enrolmentEnd({ enrolment }: PlanHeader): End | undefined {
    if (enrolment === this.#options.enrolment) return undefined;
    const reason = `the plan is for agent ${enrolment} of this machine, and this is agent ${this.#options.enrolment}`;
    return { outcome: 'refused', reason };
  }

  /**
   * A holder that was fenced off must not start a stage that its successor started already. Plans of other stages may
   * carry the older epoch: they were in the history before the take-over and are put again byte for byte.
   */
  #epochEnd({ deploymentId, epoch }: PlanHeader, stage: string): End | undefined {
    const highest = this.#options.journal.book.highestEpoch(deploymentId, stage);
    if (epoch >= highest) return undefined;
    return { outcome: 'refused', reason: `fenced: the plan has epoch ${epoch}, and epoch ${highest} came before it` };
  }

  #startByEnd({ startByMs }: PlanHeader): End | undefined {
    if (startByMs === undefined || this.#options.clock.now() <= startByMs) return undefined;
    return { outcome: 'expired', reason: `the plan came after ${new Date(startByMs).toISOString()}` };
  }

  /** Traces of a plan that the journal does not know: damage took its record, and it may have run. */
  async #lostEnd({ planId }: PlanHeader): Promise<End | undefined> {
    const { journal, runsFolder } = this.#options;
    const hasTraces = await access(path.join(runsFolder, planId)).then(
      () => true,
      () => false,
    );
    if (!hasTraces && !journal.book.isLost(planId)) return undefined;
    return { outcome: 'interrupted', reason: 'the journal of the agent was damaged; the plan may have run already' };
  }

  async #takeReceipt(letter: Letter): Promise<void> {
    const planId = letter.body.length > limits.agentMessageBytesMax.value ? undefined : readReceipt(letter.body);
    if (planId === undefined) return this.#refuse(letter, 'NO_RECEIPT');
    const { journal, results, clock, onReceipt } = this.#options;
    const plan = journal.book.plan(planId);
    if (plan?.result !== undefined && plan.receiptAtMs === undefined) {
      await journal.write({ type: 'receipt', planId, atMs: clock.now() });
      onReceipt(planId);
    }
    if (plan?.result !== undefined) results.confirmed(planId);
    letter.accept();
  }

  #accept(letter: Letter, planId: string): void {
    letter.accept();
    announce('accepted', { planId });
  }

  #refuse(letter: Letter, why: string): void {
    this.#options.logger.error('a letter was thrown away', { id: letter.id.slice(0, 100), why });
    this.#options.notices.add('LETTER_REFUSED', why.slice(0, 200));
    letter.reject();
  }
}

function readReceipt(body: Uint8Array): string | undefined {
  try {
    return readJson(body, receiptBody).planId;
  } catch (error) {
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
}
