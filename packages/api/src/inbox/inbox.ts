import type { Delivery } from '@torcello/messaging';
import type { Context } from '../context.js';
import type { Work } from '../database/store.js';
import type { PlanRow } from '../database/tables.js';
import type { History } from '../deployments/history.js';
import { CarefulBatch } from '../dead-letters/careful-batch.js';
import type { Verdict } from '../messaging/batch-reader.js';
import { readAgentMessage } from './agent-message.js';
import type { AgentMessage } from './agent-message.js';
import { storeHeartbeat } from './heartbeats.js';
import { storeOutput } from './outputs.js';
import { storeProgress } from './progress.js';
import { quarantineResult } from './quarantine.js';
import { storeResult } from './results.js';

/** What a message may do once its sender is known to own the plan. */
export interface InboxWork {
  readonly context: Context;
  readonly history: History;
  readonly work: Work;
}

/**
 * Takes what agents send, a batch in one transaction. Everything in it is hostile: size and schema are checked, and the
 * plan has to belong to the machine of the routing key. What fails a check does nothing and becomes a dead letter.
 */
export class Inbox {
  readonly #context: Context;
  readonly #history: History;
  readonly #batches: CarefulBatch;

  constructor(context: Context, history: History, queue: string) {
    this.#context = context;
    this.#history = history;
    this.#batches = new CarefulBatch({
      context,
      queue,
      handle: (work, delivery) => this.#takeOne(work, delivery),
      onHandled: (work, handled) => this.#noteContact(work, handled),
    });
  }

  async take(batch: readonly Delivery[]): Promise<readonly Verdict[]> {
    return this.#batches.take(batch);
  }

  /** Why it cannot be handled; undefined when it was. */
  async #takeOne(work: Work, delivery: Delivery): Promise<string | undefined> {
    const message = readAgentMessage(delivery);
    if (typeof message === 'string') return message;
    const inbox = { context: this.#context, history: this.#history, work };
    if (message.kind === 'heartbeat') {
      await storeHeartbeat(inbox, message.body);
      return undefined;
    }
    const plan = await planOf(work, message);
    if (plan === undefined)
      return message.kind === 'result' && (await quarantineResult(inbox, message)) ? undefined : 'foreign_plan';
    if (message.kind === 'result') await storeResult(inbox, plan, message);
    if (message.kind === 'progress') await storeProgress(inbox, plan, message.body);
    if (message.kind === 'output') await storeOutput(inbox, plan, message.body);
    return undefined;
  }

  /** Whatever an agent sends is a sign of life of its mailbox's reader. Heartbeats are noted where they are stored. */
  async #noteContact(work: Work, handled: readonly Delivery[]): Promise<void> {
    const senders = new Set(handled.flatMap(({ destination }) => senderOf(destination.routingKey)));
    if (senders.size === 0) return;
    await work.db
      .updateTable('machines')
      .set({ contact_at: this.#context.clock.now() })
      .where('id', 'in', [...senders])
      .where('enrolment', '>', 0)
      .execute();
  }
}

function senderOf(routingKey: string): readonly string[] {
  const [, machineId, kind] = /^([0-9a-f]{32})\.([a-z]+)$/.exec(routingKey) ?? [];
  return machineId === undefined || kind === 'heartbeat' ? [] : [machineId];
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
