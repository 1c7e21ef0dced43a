import { letterKindHeader } from '@torcello/contracts';
import { isMessagingError, mailboxes } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import type { MachineRow } from '../database/tables.js';
import { apiLimits } from '../limits.js';
import { isUp } from '../messaging/broker-side.js';
import { Rounds } from '../rounds.js';
import type { NextRound } from '../rounds.js';
import { beginEnd } from './begin-end.js';
import { expiresAtMs, lifetimeOf } from './contact.js';
import { drain } from './drain.js';
import type { EndParts } from './end-parts.js';
import { EventSender } from './event-sender.js';
import { endStranded, finishEnd, settleEnd } from './finish-end.js';
import { reopenMailbox } from './reopen.js';

/** How often it is looked for what is due: well within the 5 s that are promised. */
const lookMs = 1_000;
const putTimeoutMs = 10_000;

export interface MailboxKeeperOptions extends EndParts {
  /** Undefined until the API works over a broker. */
  readonly transport: () => Transport | undefined;
}

/**
 * Ends mailboxes that nobody reads any more, step by step, each of which stands in the database: begun, emptied at the
 * broker, settled, and perhaps opened anew. A crash or an absent broker only means later.
 */
export class MailboxKeeper {
  readonly #options: MailboxKeeperOptions;
  readonly #rounds: Rounds;
  readonly #events: EventSender;
  readonly #emptying = new Map<string, Promise<void>>();
  readonly #nearSinceMs = new Map<string, number>();
  #unlisten: () => void = () => undefined;

  constructor(options: MailboxKeeperOptions) {
    this.#options = options;
    this.#events = new EventSender(options.context);
    const { clock, logger } = options.context;
    this.#rounds = new Rounds({
      clock,
      intervalMs: lookMs,
      round: () => this.#look(),
      onFailure: (error) => logger.error('the mailbox keeper failed', { error }),
    });
  }

  start(): void {
    this.#unlisten = this.#options.context.notices.listen((notice) => {
      if (notice.type === 'mailboxes') this.#rounds.wake();
    });
    this.#rounds.start();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    await this.#rounds.stop();
    await Promise.allSettled(this.#emptying.values());
  }

  /** Empties a mailbox whose end has begun at once. Resolves at once without a broker: the next look does it. */
  async emptyNow(mailbox: string): Promise<void> {
    const transport = this.#options.transport();
    if (transport !== undefined && isUp(transport)) await this.#emptyOne(transport, mailbox);
  }

  async #look(): Promise<NextRound> {
    await this.#attempt('ends', () => this.#beginDue());
    await this.#attempt('returns', () => this.#reopenReturned());
    const transport = this.#options.transport();
    if (transport !== undefined && isUp(transport)) await this.#workAt(transport);
    await this.#attempt('settling', () => this.#settleDue());
    await this.#attempt('stranded plans', () => this.#endStranded());
    return 'later';
  }

  async #workAt(transport: Transport): Promise<void> {
    await this.#attempt('emptying', () => this.#empty(transport));
    await this.#attempt('letters', () => this.#putAgain(transport));
    await this.#attempt('events', () => this.#events.send(transport, this.#rounds.signal));
  }

  /** What fails is tried again with the next look, and holds up nothing else. */
  async #attempt(what: string, action: () => Promise<void>): Promise<void> {
    if (this.#rounds.signal.aborted) return;
    try {
      await action();
    } catch (error) {
      if (!this.#rounds.signal.aborted)
        this.#options.context.logger.warn('mailboxes wait for the next look', { what, error });
    }
  }

  async #beginDue(): Promise<void> {
    const { context } = this.#options;
    const near = await this.#pastLifetime({ aheadMs: this.#options.presence.lostAfterMs });
    this.#noteNear(near);
    const nowMs = context.clock.now();
    const due = near.filter((machine) => expiresAtMs(machine, this.#options.lifetimeMs) <= nowMs);
    for (const { id } of due.filter((machine) => this.#isSilenceProved(machine))) {
      if (this.#rounds.signal.aborted) return;
      await context.store.write(async (work) => {
        // A sign of life may have come in between.
        const [machine] = await this.#pastLifetime({ aheadMs: 0, db: work.db, id });
        if (machine !== undefined) await beginEnd(this.#options, work, { machine, reason: 'lifetime' });
      });
    }
  }

  /** Since when, by a clock that nobody sets, each of these mailboxes is near its end. */
  #noteNear(near: readonly MachineRow[]): void {
    const { clock } = this.#options.context;
    const ids = new Set(near.map(({ id }) => id));
    for (const id of this.#nearSinceMs.keys()) if (!ids.has(id)) this.#nearSinceMs.delete(id);
    for (const id of ids) if (!this.#nearSinceMs.has(id)) this.#nearSinceMs.set(id, clock.monotonicMs());
  }

  /** Machines whose mailboxes are past their lifetimes, or will be in so long. */
  async #pastLifetime(of: {
    readonly aheadMs: number;
    readonly db?: Pick<EndParts['context']['store']['db'], 'selectFrom'>;
    readonly id?: string;
  }): Promise<readonly MachineRow[]> {
    const { context, lifetimeMs } = this.#options;
    const { aheadMs, db = context.store.db, id } = of;
    const now = context.clock.now() + aheadMs;
    return db
      .selectFrom('machines')
      .selectAll()
      .where('mailbox_closed_at', 'is', null)
      .where((column) => {
        const before = column(column.val(now), '-', column.fn.coalesce('lifetime_ms', column.val(lifetimeMs)));
        return column.and([
          column(column.fn.coalesce('contact_at', 'created_at'), '<=', before),
          column(column.fn.coalesce('joined_at', column.val(0)), '<=', before),
          column(column.fn.coalesce('last_heartbeat_at', column.val(0)), '<=', before),
        ]);
      })
      .where('mailbox', 'not in', (inner) =>
        inner.selectFrom('mailbox_ends').select('mailbox').where('state', '!=', 'reopened'),
      )
      .$if(id !== undefined, (query) => query.where('id', '=', id ?? ''))
      .execute();
  }

  /**
   * An agent that lives has had the time to say so, over a link that stood: else its silence says nothing. Nor does it where
   * the clock of the API was set forward: that is why the time since a mailbox came near its end is measured by another.
   */
  #isSilenceProved(machine: MachineRow): boolean {
    const { context, presence, lifetimeMs } = this.#options;
    if (machine.enrolment === 0) return true;
    const listenedMs = Math.min(presence.lostAfterMs, lifetimeOf(machine, lifetimeMs));
    const nearMs = context.clock.monotonicMs() - (this.#nearSinceMs.get(machine.id) ?? Infinity);
    return nearMs >= listenedMs - 2 * lookMs && presence.hasListenedSince(context.clock.now() - listenedMs);
  }

  /** Empties mailboxes whose end has begun and takes them away, several at a time. */
  async #empty(transport: Transport): Promise<void> {
    const { context } = this.#options;
    const ends = await context.store.db
      .selectFrom('mailbox_ends')
      .select('mailbox')
      .where('state', '=', 'closing')
      .orderBy('began_at')
      .limit(apiLimits.mailboxesOpenedAtOnceMax.value)
      .execute();
    const waiting = ends.values();
    const work = async (): Promise<void> => {
      for (const { mailbox } of waiting) {
        await this.#attempt(`emptying ${mailbox}`, () => this.#emptyOne(transport, mailbox));
      }
    };
    await Promise.all(Array.from({ length: emptiedAtOnce }, work));
    if (ends.length === apiLimits.mailboxesOpenedAtOnceMax.value) this.#rounds.wake();
  }

  /** One that is being emptied already is only waited for. */
  #emptyOne(transport: Transport, mailbox: string): Promise<void> {
    const { store } = this.#options.context;
    const running = this.#emptying.get(mailbox);
    if (running !== undefined) return running;
    const empty = async (): Promise<void> => {
      try {
        await drain({ store, transport, mailbox, signal: this.#rounds.signal });
        await store.write((work) => finishEnd(this.#options, work, mailbox));
      } finally {
        this.#emptying.delete(mailbox);
      }
    };
    const started = empty();
    this.#emptying.set(mailbox, started);
    return started;
  }

  async #settleDue(): Promise<void> {
    const { context } = this.#options;
    const due = await context.store.db
      .selectFrom('mailbox_ends')
      .select('mailbox')
      .where('state', '=', 'closed')
      .where('settle_at', '<=', context.clock.now())
      .limit(apiLimits.timersAtOnceMax.value)
      .execute();
    for (const { mailbox } of due) await context.store.write((work) => settleEnd(this.#options, work, mailbox));
  }

  async #endStranded(): Promise<void> {
    const { context } = this.#options;
    const ends = await context.store.db
      .selectFrom('plans')
      .innerJoin('machines', 'machines.id', 'plans.machine_id')
      .innerJoin('mailbox_ends', 'mailbox_ends.mailbox', 'machines.mailbox')
      .select('mailbox_ends.mailbox')
      .distinct()
      .where('plans.outcome', 'is', null)
      .where('plans.stored_at', 'is', null)
      .where('machines.mailbox_closed_at', 'is not', null)
      .where('mailbox_ends.state', '=', 'settled')
      .whereRef('plans.scheduled_at', '>=', 'mailbox_ends.closed_at')
      .limit(apiLimits.timersAtOnceMax.value)
      .execute();
    for (const { mailbox } of ends) await context.store.write((work) => endStranded(this.#options, work, mailbox));
  }

  /** An agent that was silent for too long and is back finds a fresh mailbox. Where somebody deleted it, nobody does. */
  async #reopenReturned(): Promise<void> {
    const { context } = this.#options;
    const returned = await context.store.db
      .selectFrom('mailbox_ends')
      .innerJoin('machines', 'machines.mailbox', 'mailbox_ends.mailbox')
      .select(['machines.id', 'machines.mailbox'])
      .where('machines.mailbox_closed_at', 'is not', null)
      .where('mailbox_ends.reason', '=', 'lifetime')
      .where('mailbox_ends.state', 'in', ['closed', 'settled'])
      .where((column) =>
        column.or([
          column('machines.last_heartbeat_at', '>', column.ref('mailbox_ends.began_at')),
          column('machines.contact_at', '>', column.ref('mailbox_ends.began_at')),
        ]),
      )
      .limit(apiLimits.timersAtOnceMax.value)
      .execute();
    for (const machine of returned) await context.store.write((work) => reopenMailbox(context, work, machine));
  }

  /** Puts letters once more into mailboxes that are there. */
  async #putAgain(transport: Transport): Promise<void> {
    const { context } = this.#options;
    const letters = await context.store.db
      .selectFrom('redeliveries')
      .innerJoin('machines', 'machines.mailbox', 'redeliveries.mailbox')
      .selectAll('redeliveries')
      .where('machines.is_mailbox_declared', '=', 1)
      .where('machines.mailbox_closed_at', 'is', null)
      .orderBy('redeliveries.id')
      .limit(apiLimits.relayParallelMax.value)
      .execute();
    const boxes = letters.length === 0 ? undefined : mailboxes(transport);
    for (const letter of letters) {
      try {
        const outgoing = { id: letter.letter_id, body: letter.body, headers: { [letterKindHeader]: letter.kind } };
        await boxes?.put(letter.mailbox, outgoing, { signal: this.#rounds.signal, timeoutMs: putTimeoutMs });
      } catch (error) {
        if (isMessagingError(error, 'UNROUTABLE')) continue;
        throw error;
      }
      await context.store.write(({ db }) => db.deleteFrom('redeliveries').where('id', '=', letter.id).execute());
    }
  }
}

/** Each empties one mailbox after the other. */
const emptiedAtOnce = 8;
