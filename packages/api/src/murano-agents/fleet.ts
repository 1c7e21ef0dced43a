import { isMuranoQueue, muranoAnswersMailbox, muranoPlanId, nextStamp } from '@torcello/contracts';
import type { DeploymentEvent } from '@torcello/contracts';
import { isMessagingError } from '@torcello/messaging';
import type { Delivery, Mailboxes, Transport } from '@torcello/messaging';
import { Background } from '@torcello/platform';
import type { Context } from '../context.js';
import type { History } from '../deployments/history.js';
import { deploymentRow } from '../deployments/rows.js';
import { apiLimits } from '../limits.js';
import { BatchReader } from '../messaging/batch-reader.js';
import { Rounds } from '../rounds.js';
import { MuranoInbox } from './answer-inbox.js';
import { noteContact, openPlans, unwantedPlans } from './fleet-rows.js';
import type { FleetMachine, OpenMuranoPlan } from './fleet-rows.js';
import { muranoAgentLimits } from './limits.js';
import { declareMuranoQueue } from './mailbox.js';
import { findSend, putSend, settleSend, stampsOf } from './sends.js';
import { stampOf, withIdAndStamp } from './stamped.js';

export interface MuranoFleetOptions {
  readonly context: Context;
  readonly history: History;
  readonly transport: Transport;
  readonly mailboxes: Mailboxes;
  /** How long it rests between two looks at the queues. */
  readonly intervalMs: number;
}

/** What is known of a queue from look to look; a new process begins without it. */
interface Watch {
  declaredAtMs: number;
  /** When a look found no reader for the first time, and, after that, when one found it back. */
  goneAtMs: number | undefined;
  cameBackAtMs: number | undefined;
}

/**
 * Looks after the queues of machines with a real muranoagent, which sends no heartbeat, no progress, and no answer to a plan
 * that it was interrupted in. A reader on the queue is its sign of life. A plan that left the queue and is not answered
 * is sent again, under a new ID and a higher Stamp, when its agent came back from being away, and otherwise after a
 * time that doubles. That does nothing twice: the steps keep a record on the machine, and the agent runs one plan after the
 * other, so that the answer to the later time tells what the earlier one did. What is not wanted any more is taken out.
 */
export class MuranoFleet {
  readonly #options: MuranoFleetOptions;
  readonly #background: Background;
  readonly #reader: BatchReader;
  readonly #rounds: Rounds;
  readonly #watches = new Map<string, Watch>();

  constructor(options: MuranoFleetOptions) {
    this.#options = options;
    const { context, history, transport } = options;
    const { clock, logger } = context;
    this.#background = new Background((what, error) =>
      logger.error('the work with muranoagents failed', { what, error }),
    );
    const inbox = new MuranoInbox(context, history);
    this.#reader = new BatchReader({
      transport,
      queue: muranoAnswersMailbox,
      batchMax: apiLimits.agentBatchMax.value,
      clock,
      logger,
      handle: (batch) => inbox.take(batch),
    });
    this.#rounds = new Rounds({
      clock,
      intervalMs: options.intervalMs,
      isPausedFirst: true,
      round: async () => {
        await this.look();
        return 'later';
      },
      onFailure: (error) => logger.warn('the queues of muranoagents could not be looked at', { error }),
    });
  }

  start(): void {
    this.#background.run('answers of muranoagents', () => this.#reader.start());
    this.#rounds.start();
  }

  async stop(): Promise<void> {
    await this.#rounds.stop();
    await this.#background.settled();
    await this.#reader.stop();
  }

  /** One look at every queue. */
  async look(): Promise<void> {
    const { context } = this.#options;
    const machines = await context.store.db
      .selectFrom('machines')
      .select(['id', 'mailbox', 'joined_at', 'contact_at'])
      .where('mailbox', 'like', 'e%-h%')
      .where('is_mailbox_declared', '=', 1)
      // What has ended must not come back because it was looked at.
      .where('mailbox_closed_at', 'is', null)
      .execute();
    const waiting = machines.filter(({ mailbox }) => isMuranoQueue(mailbox)).values();
    const work = async (): Promise<void> => {
      for (const machine of waiting) await this.#lookAt(machine);
    };
    await Promise.all(Array.from({ length: muranoAgentLimits.queuesLookedAtAtOnceMax.value }, work));
  }

  async #lookAt(machine: FleetMachine): Promise<void> {
    const { context } = this.#options;
    const seen = await this.#inspect(machine);
    if (seen === undefined || this.#rounds.signal.aborted) return;
    const nowMs = context.clock.now();
    const watch = this.#watches.get(machine.id) ?? newWatch(0);
    this.#watches.set(machine.id, watch);
    await this.#keepAlive(machine, watch, seen.readers);
    if (seen.messages > 0) await this.#takeOut(machine);
    const plans = await openPlans(context.store.db, machine.id);
    if (seen.readers === 0) {
      if (watch.cameBackAtMs !== undefined) watch.goneAtMs = undefined;
      watch.goneAtMs ??= nowMs;
      watch.cameBackAtMs = undefined;
      return;
    }
    if (watch.goneAtMs !== undefined) watch.cameBackAtMs ??= nowMs;
    const hasTaken = seen.messages === 0;
    await context.store.write((work) => noteContact(work, { context, machine, nowMs, taken: hasTaken ? plans : [] }));
    if (!hasTaken) return;
    for (const plan of plans) await this.#sendWhereLost(machine, plan, watch);
  }

  /** Undefined when there is nothing to be seen: the queue is gone and is made again, or the broker is away. */
  async #inspect(machine: FleetMachine): Promise<{ readonly messages: number; readonly readers: number } | undefined> {
    const { mailboxes, context } = this.#options;
    try {
      return await mailboxes.inspect(machine.mailbox);
    } catch (error) {
      if (!isMessagingError(error, 'NOT_FOUND')) throw error;
      // It expired, or somebody deleted it, with the plans in it: what was sent before is lost.
      await this.#restore(machine);
      context.logger.warn('the queue of a muranoagent was gone and is made again', { machineId: machine.id });
      return undefined;
    }
  }

  async #restore(machine: FleetMachine): Promise<void> {
    const { context, transport } = this.#options;
    await declareMuranoQueue(transport, machine.mailbox);
    const nowMs = context.clock.now();
    this.#watches.set(machine.id, newWatch(nowMs));
    for (const plan of await openPlans(context.store.db, machine.id)) await this.#sendAgain(machine, plan);
  }

  /** Nothing but a reader, or being declared again, keeps such a queue from expiring. */
  async #keepAlive(machine: FleetMachine, watch: Watch, readers: number): Promise<void> {
    const nowMs = this.#options.context.clock.now();
    if (readers > 0 || nowMs - watch.declaredAtMs < muranoAgentLimits.queueRenewedMs.value) return;
    await declareMuranoQueue(this.#options.transport, machine.mailbox);
    watch.declaredAtMs = nowMs;
  }

  async #sendWhereLost(machine: FleetMachine, plan: OpenMuranoPlan, watch: Watch): Promise<void> {
    const { store, clock } = this.#options.context;
    const send = await findSend(store.db, plan.planId);
    if (send?.settled_at !== undefined && send.settled_at !== null) return;
    const nth = send?.nth ?? 1;
    const sentAtMs = send === undefined ? plan.storedAtMs : send.sent_at;
    const { answerWaitMs, answerWaitMsMax } = muranoAgentLimits;
    const waitMs = Math.min(answerWaitMs.value * 2 ** Math.min(nth - 1, 20), answerWaitMsMax.value);
    if (sentAtMs === null || isInterrupted(plan, sentAtMs, watch) || clock.now() - sentAtMs >= waitMs)
      await this.#sendAgain(machine, plan);
  }

  /** The decision is on record before the plan leaves; after a crash in between the same time is sent again. */
  async #sendAgain(machine: FleetMachine, plan: OpenMuranoPlan): Promise<void> {
    const { context, mailboxes } = this.#options;
    const letter = await context.store.db
      .selectFrom('letters')
      .select('body')
      .where('plan_id', '=', plan.planId)
      .executeTakeFirst();
    if (letter === undefined) return;
    const row = await context.store.write(async (work) => {
      const before = await findSend(work.db, plan.planId);
      if (before !== undefined && before.sent_at === null) return before;
      const known = (await stampsOf(work.db, [machine.id])).get(machine.id) ?? 0;
      const stamp = nextStamp(context.clock.now(), Math.max(known, stampOf(letter.body)));
      const nth = (before?.nth ?? 1) + 1;
      const made = { plan_id: plan.planId, machine_id: machine.id, nth, stamp, sent_at: null, settled_at: null };
      await putSend(work, made);
      return made;
    });
    const id = muranoPlanId(plan.planId, row.nth);
    const body = withIdAndStamp(letter.body, { id, stamp: row.stamp });
    await mailboxes.put(machine.mailbox, { id, body, contentType: 'text/plain' }, { signal: this.#rounds.signal });
    await context.store.write((work) => putSend(work, { ...row, sent_at: context.clock.now() }));
    context.logger.info('a plan was sent to a muranoagent again', { planId: plan.planId, nth: row.nth });
  }

  /** Plans of deployments that are over are taken out of the queue, as long as their agent has not taken them. */
  async #takeOut(machine: FleetMachine): Promise<void> {
    const { context, transport } = this.#options;
    const unwanted = await unwantedPlans(context.store.db, machine.id);
    if (unwanted.length === 0) return;
    const ids = new Map(unwanted.map((planId) => [planId, planId]));
    const others: Delivery[] = [];
    try {
      for (;;) {
        const delivery = await transport.get({ queue: machine.mailbox });
        if (delivery === undefined) return;
        const planId = ids.get((delivery.message.properties.messageId ?? '').slice(0, 32));
        if (planId === undefined) others.push(delivery);
        else {
          await this.#end(machine, planId);
          delivery.accept();
        }
      }
    } finally {
      // Back to their old places.
      for (const delivery of others.toReversed()) delivery.release();
    }
  }

  async #end(machine: FleetMachine, planId: string): Promise<void> {
    const { context, history } = this.#options;
    await context.store.write(async (work) => {
      await settleSend(work, { planId, machineId: machine.id, atMs: context.clock.now() });
      const plan = await work.db.selectFrom('plans').selectAll().where('plan_id', '=', planId).executeTakeFirst();
      if (plan === undefined || plan.outcome !== null) return;
      const row = await deploymentRow(work.db, plan.deployment_id);
      if (row === undefined) return;
      const outcome = row.superseded_by === null ? 'cancelled' : 'superseded';
      const reason = 'taken out of the queue before the agent had it';
      const ended: DeploymentEvent = { type: 'planEnded', planId, outcome, reason };
      await history.appendByApi(work, row, [ended]);
    });
  }
}

function newWatch(declaredAtMs: number): Watch {
  return { declaredAtMs, goneAtMs: undefined, cameBackAtMs: undefined };
}

/** Its agent had the plan, went away, and is back: it will never answer to that time (Murano section 1.6). */
function isInterrupted(plan: OpenMuranoPlan, sentAtMs: number, { goneAtMs, cameBackAtMs }: Watch): boolean {
  if (goneAtMs === undefined || cameBackAtMs === undefined || plan.deliveredAtMs === null) return false;
  return plan.deliveredAtMs <= goneAtMs && sentAtMs < cameBackAtMs;
}
