import type { Delivery } from '@torcello/messaging';
import type { Context } from '../context.js';
import type { Work } from '../database/store.js';
import type { PlanRow } from '../database/tables.js';
import type { History } from '../deployments/history.js';
import type { Verdict } from '../messaging/batch-reader.js';
import { readAgentMessage } from './agent-message.js';
import type { AgentMessage } from './agent-message.js';
import { storeHeartbeat } from './heartbeats.js';
import { storeOutput } from './outputs.js';
import { storeProgress } from './progress.js';
import { storeResult } from './results.js';

/** What a message may do once its sender is known to own the plan. */
export interface InboxWork {
  readonly context: Context;
  readonly history: History;
  readonly work: Work;
}

/**
 * Takes what agents send, a batch in one transaction. Everything in it is hostile: size and schema were checked, the
 * plan has to belong to the machine of the routing key. What fails a check is rejected and does nothing.
 */
export class Inbox {
  readonly #context: Context;
  readonly #history: History;
  #refused = 0;

  constructor(context: Context, history: History) {
    this.#context = context;
    this.#history = history;
  }

  /** Messages refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  async take(batch: readonly Delivery[]): Promise<readonly Verdict[]> {
    const messages = batch.map(readAgentMessage);
    return this.#context.store.write(async (work) => {
      const verdicts: Verdict[] = [];
      for (const message of messages) verdicts.push(await this.#takeOne(work, message));
      return verdicts;
    });
  }

  async #takeOne(work: Work, message: ReturnType<typeof readAgentMessage>): Promise<Verdict> {
    if (typeof message === 'string') return this.#refuse(message);
    const inbox = { context: this.#context, history: this.#history, work };
    if (message.kind === 'heartbeat') {
      await storeHeartbeat(inbox, message.body);
      return 'accept';
    }
    const plan = await planOf(work, message);
    if (plan === undefined) return this.#refuse('foreign_plan', message.machineId);
    if (message.kind === 'result') await storeResult(inbox, plan, message);
    if (message.kind === 'progress') await storeProgress(inbox, plan, message.body);
    if (message.kind === 'output') await storeOutput(inbox, plan, message.body);
    return 'accept';
  }

  #refuse(flaw: string, machineId?: string): Verdict {
    this.#refused += 1;
    this.#context.logger.warn('a message of an agent was refused', { flaw, machineId });
    return 'reject';
  }
}

/** The plan that a message is about, if it is the sender's own and of the deployment that it names. */
async function planOf(work: Work, message: Exclude<AgentMessage, { kind: 'heartbeat' }>): Promise<PlanRow | undefined> {
  return work.db
    .selectFrom('plans')
    .selectAll()
    .where('plan_id', '=', message.body.planId)
    .where('machine_id', '=', message.machineId)
    .where('deployment_id', '=', message.body.deploymentId)
    .executeTakeFirst();
}
