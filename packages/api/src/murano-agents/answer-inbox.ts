import { muranoAnswersMailbox } from '@torcello/contracts';
import type { Delivery } from '@torcello/messaging';
import type { Context } from '../context.js';
import type { Work } from '../database/store.js';
import type { PlanRow } from '../database/tables.js';
import { CarefulBatch } from '../dead-letters/careful-batch.js';
import type { History } from '../deployments/history.js';
import type { InboxWork } from '../inbox/inbox.js';
import { storeOutput } from '../inbox/outputs.js';
import { storeResult } from '../inbox/results.js';
import type { Verdict } from '../messaging/batch-reader.js';
import { readMuranoAnswer, resultOf } from './answers.js';
import type { StepOutput } from './answers.js';
import { settleSend } from './sends.js';

/**
 * Takes the answers of real muranoagents. The first answer to any time that a plan was sent is its result; later ones,
 * of doubles and of times given up, change nothing. What fits no plan of the machine becomes a dead letter.
 */
export class MuranoInbox {
  readonly #context: Context;
  readonly #history: History;
  readonly #batches: CarefulBatch;

  constructor(context: Context, history: History) {
    this.#context = context;
    this.#history = history;
    this.#batches = new CarefulBatch({
      context,
      queue: muranoAnswersMailbox,
      handle: (work, delivery) => this.#takeOne(work, delivery),
      onHandled: () => Promise.resolve(),
    });
  }

  async take(batch: readonly Delivery[]): Promise<readonly Verdict[]> {
    return this.#batches.take(batch);
  }

  /** Why it cannot be handled; undefined when it was. */
  async #takeOne(work: Work, delivery: Delivery): Promise<string | undefined> {
    const answer = readMuranoAnswer(delivery);
    if (typeof answer === 'string') return answer;
    const plan = await work.db
      .selectFrom('plans')
      .selectAll()
      .where('plan_id', '=', answer.planId)
      .where('machine_id', '=', answer.machineId)
      .executeTakeFirst();
    if (plan === undefined) return 'foreign_plan';
    const atMs = this.#context.clock.now();
    const inbox: InboxWork = { context: this.#context, history: this.#history, work };
    const { result, outputs } = resultOf(answer, plan, atMs);
    if (await isUnanswered(work, plan)) for (const output of outputs) await storeWhole(inbox, plan, output);
    await storeResult(inbox, plan, { body: result, text: JSON.stringify(result) });
    await settleSend(work, { planId: plan.plan_id, machineId: plan.machine_id, atMs });
    return undefined;
  }
}

async function isUnanswered(work: Work, plan: PlanRow): Promise<boolean> {
  const known = await work.db
    .selectFrom('inbox')
    .select('plan_id')
    .where('plan_id', '=', plan.plan_id)
    .executeTakeFirst();
  return known === undefined;
}

async function storeWhole(inbox: InboxWork, plan: PlanRow, output: StepOutput): Promise<void> {
  const { step, bytes } = output;
  const of = { deploymentId: plan.deployment_id, planId: plan.plan_id, step };
  await storeOutput(inbox, plan, { ...of, start: 0, bytes, end: undefined });
  const end = { writtenBytes: bytes.length, sha256: undefined };
  await storeOutput(inbox, plan, { ...of, start: bytes.length, bytes: new Uint8Array(), end });
}
