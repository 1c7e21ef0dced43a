import {
  letterKindHeader,
  limits,
  type PlanHeader,
  type PlanPayload,
  type ResultMessage,
} from '@torcello/contracts/agent';
import type { Letter } from '@torcello/messaging';
import type { Clock, Logger } from '@torcello/platform';
import path from 'node:path';
import { JournalFullError } from './errors.js';
import type { Journal } from './journal.js';
import type { GoodLetter, LetterOpener } from './letters.js';
import type { Notices } from './notices.js';
import { announce } from './points.js';
import type { ProgressSender } from './progress.js';
import type { ReceivedRecord } from './records.js';
import type { ResultSender } from './results.js';
import type { ServerClock } from './server-clock.js';
import { ShapeError, fields, readJson, text } from './shape.js';
import { lateBy } from './start-by.js';
import type { StepMachine } from './step-machine.js';

export interface IntakeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly journal: Journal;
  readonly opener: LetterOpener;
  readonly enrolment: number;
  readonly results: ResultSender;
  readonly progress: ProgressSender;
  readonly notices: Notices;
  readonly serverClock: ServerClock;
  readonly runsFolder: string;
  readonly machine: StepMachine;
  /** A plan lies in the journal and waits for its turn. */
  readonly onPlan: () => void;
  /** The journal says that somebody wants this plan to end. */
  readonly onEnding: (planId: string) => void;
  /** The control plane has the result of this plan. */
  readonly onReceipt: (planId: string) => void;
}

type GoodPlan = GoodLetter<PlanPayload>;
type End = Pick<ResultMessage, 'outcome' | 'reason'>;

const receiptBody = fields({ planId: text });

/**
 * Takes letters out of the mailbox: into the journal first, then off the broker. Everything that is not certainly meant
 * for this agent is thrown away; everything that is gets an answer, if only that it comes too late.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #signal: AbortSignal;

  /** @param signal - ends questions about the time. */
  constructor(options: IntakeOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Settles the letter. Rejects only when the journal failed; then the letter stays with the broker. */
  async take(letter: Letter): Promise<void> {
    const kind = letter.headers[letterKindHeader];
    if (kind === 'plan') return await this.#takePlan(letter);
    if (kind === 'cancel') return await this.#takeCancel(letter);
    if (kind === 'receipt') return await this.#takeReceipt(letter);
    this.#refuse(letter, `unknown kind ${JSON.stringify(kind) ?? 'none'}`);
  }

  async #takePlan(letter: Letter): Promise<void> {
    const opened = this.#options.opener.openPlan(letter.body);
    if (!opened.isGood) return this.#refuse(letter, opened.fault);
    const { planId } = opened.header;
    const known = this.#options.journal.book.plan(planId);
    if (known === undefined) return await this.#takeNew(letter, opened);
    const isDropped = known.received.isTombstone === true;
    if (!isDropped && known.received.digest !== opened.digest) return this.#refuse(letter, 'SAME_PLAN_OTHER_BYTES');
    this.#accept(letter, planId);
    if (known.result !== undefined) this.#options.results.send(planId);
  }

  async #takeNew(letter: Letter, opened: GoodPlan): Promise<void> {
    const { clock, progress, onPlan, onEnding } = this.#options;
    const { header, digest, payload } = opened;
    const { planId, deploymentId, epoch, startByMs } = header;
    const stage = typeof payload === 'string' ? '' : payload.stage;
    const facts = { type: 'received', planId, deploymentId, stage, epoch, digest, receivedAtMs: clock.now() } as const;
    const stranger = this.#enrolmentEnd(header) ?? this.#epochEnd(header, stage);
    // First in the journal: a plan that is known has had its effect on others.
    const replaced = stranger === undefined ? this.#replace(header) : { planIds: [], written: [] };
    const time = startByMs === undefined ? 'any' : ((await this.#options.serverClock.now(this.#signal)) ?? 'unsure');
    const late = startByMs === undefined || typeof time === 'string' ? undefined : lateBy(time, startByMs);
    const received: ReceivedRecord = time === 'unsure' && startByMs !== undefined ? { ...facts, startByMs } : facts;
    const end = stranger ?? (await this.#endAtOnce(opened)) ?? late ?? (await this.#store(received, letter.body));
    if (end !== undefined) await this.#endUnstarted(facts, end);
    await Promise.all(replaced.written);
    this.#accept(letter, planId);
    for (const older of replaced.planIds) onEnding(older);
    if (end !== undefined) return;
    progress.received(header);
    onPlan();
  }

  /** Why the plan must not run. Undefined: it may. */
  async #endAtOnce({ header, payload }: GoodPlan): Promise<End | undefined> {
    if (typeof payload === 'string') return { outcome: 'refused', reason: payload };
    const by = this.#options.journal.book.replacedBy(header.planId);
    if (by !== undefined) return { outcome: 'superseded', reason: `plan ${by} took its place before it came` };
    return await this.#lostEnd(header);
  }

  /** Puts the plan into the journal, or says why it must not run. */
  async #store(received: ReceivedRecord, attachment: Uint8Array): Promise<End | undefined> {
    try {
      await this.#options.journal.write(received, { attachment, mayRefuse: true });
      return undefined;
    } catch (error) {
      if (!(error instanceof JournalFullError)) throw error;
      this.#options.notices.add('JOURNAL_FULL', error.message);
      return { outcome: 'refused', reason: `JOURNAL_FULL: ${error.message}` };
    }
  }

  /** An end without a start: the plan is on record without its letter. */
  async #endUnstarted(received: ReceivedRecord, end: End): Promise<void> {
    const { journal, logger, results } = this.#options;
    const { planId, deploymentId, receivedAtMs } = received;
    const result = { deploymentId, planId, ...end, receivedAtMs, finishedAtMs: receivedAtMs, steps: [] };
    await Promise.all([journal.write(received), journal.write({ type: 'finished', planId, result })]);
    logger.warn('a plan was not carried out', { planId, ...end });
    results.send(planId);
  }

  /** Writes down which plans this one takes the place of: those that wait, and those that have not come. */
  #replace({ planId: by, replaces = [] }: PlanHeader): {
    readonly planIds: readonly string[];
    readonly written: readonly Promise<void>[];
  } {
    const { journal, clock } = this.#options;
    const planIds = replaces.filter((planId) => {
      const plan = journal.book.plan(planId);
      return plan === undefined || (plan.result === undefined && plan.steps.size === 0);
    });
    const written = planIds.map((planId) =>
      journal.book.plan(planId) === undefined
        ? journal.write({ type: 'replaced', planId, by })
        : journal.write({ type: 'ending', planId, how: 'superseded', graceMs: 0, atMs: clock.now() }),
    );
    return { planIds, written };
  }

  async #takeCancel(letter: Letter): Promise<void> {
    const opened = this.#options.opener.openCancel(letter.body);
    if (!opened.isGood) return this.#refuse(letter, opened.fault);
    const { header, digest, payload } = opened;
    if (typeof payload === 'string') return this.#refuse(letter, payload);
    const { journal, clock, results, onEnding } = this.#options;
    const { planId, deploymentId, epoch } = header;
    const known = journal.book.plan(planId);
    const atMs = clock.now();
    if (known === undefined) {
      const tombstone = {
        type: 'received',
        planId,
        deploymentId,
        stage: '',
        epoch,
        digest,
        receivedAtMs: atMs,
      } as const;
      const end = (await this.#lostEnd(header)) ?? { outcome: 'cancelled', reason: 'cancelled before it came' };
      await this.#endUnstarted({ ...tombstone, isTombstone: true }, end);
    } else if (known.result === undefined && known.ending?.how !== 'cancelled') {
      await journal.write({ type: 'ending', planId, how: 'cancelled', graceMs: payload.graceMs, atMs });
    }
    this.#accept(letter, planId);
    if (known?.result !== undefined) results.send(planId);
    else onEnding(planId);
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

  /** Traces of a plan that the journal does not know: damage took its record, and it may have run. */
  async #lostEnd({ planId }: PlanHeader): Promise<End | undefined> {
    const { journal, runsFolder, machine } = this.#options;
    const hasTraces = await machine.exists(path.join(runsFolder, planId));
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
