import type { Delivery } from '@torcello/messaging';
import type { Context } from '../context.js';
import type { Work } from '../database/store.js';
import { apiLimits } from '../limits.js';
import { bury } from './bury.js';
import { fingerprint } from './fingerprint.js';
import type { Tried } from './fingerprint.js';

/** Attempts at messages that never came again are forgotten after so long. */
const forgottenAfterMs = 7 * 86_400_000;
const forgetEveryMs = 3_600_000;

/** Counts attempts at messages of one queue. A row is there only for messages that failed, or that a process died of. */
export class Attempts {
  readonly #context: Context;
  readonly queue: string;
  readonly #reader: string;
  #forgetAgainAtMs = 0;

  /** @param reader - who handles its messages, for people. */
  constructor(context: Context, queue: string, reader: string) {
    this.#context = context;
    this.queue = queue;
    this.#reader = reader;
  }

  /** How often each of these was tried before; those that never failed are not in it. */
  async known(deliveries: readonly Delivery[]): Promise<ReadonlyMap<string, { readonly isSurvived: boolean }>> {
    const ids = deliveries.filter(({ redelivered }) => redelivered).map(fingerprint);
    if (ids.length === 0) return new Map();
    const rows = await this.#context.store.db
      .selectFrom('message_attempts')
      .select(['id', 'is_survived'])
      .where('id', 'in', ids)
      .execute();
    return new Map(rows.map((row) => [row.id, { isSurvived: row.is_survived === 1 }]));
  }

  /**
   * Counts attempts that are about to be made, in a transaction of its own, so that they count also when the process dies
   * of one. Answers those that were tried often enough and were put aside unread.
   */
  async begin<One extends Tried>(deliveries: readonly One[]): Promise<ReadonlySet<One>> {
    const buried = new Set<One>();
    if (deliveries.length === 0) return buried;
    await this.#context.store.write(async (work) => {
      for (const delivery of deliveries) {
        const attempts = await this.#count(work, delivery, false);
        if (attempts <= apiLimits.messageAttemptsMax.value) continue;
        const reason = `${this.#reader} ended each time while it handled this message`;
        await bury(this.#context, work, { queue: this.queue, delivery, reason, attempts: attempts - 1 });
        buried.add(delivery);
      }
    });
    return buried;
  }

  /** The attempt was none: something that the message has nothing to do with came in between. */
  async takeBack(delivery: Tried): Promise<void> {
    await this.#context.store.write(async ({ db }) => {
      await db
        .updateTable('message_attempts')
        .set((row) => ({ attempts: row('attempts', '-', 1) }))
        .where('id', '=', fingerprint(delivery))
        .execute();
    });
  }

  /**
   * The attempt failed; `wasCounted` where it was counted before it began. True: it was the last one, and the message was
   * put aside.
   */
  async failed(
    work: Work,
    attempt: { readonly delivery: Tried; readonly reason: string; readonly wasCounted: boolean },
  ): Promise<boolean> {
    const { delivery, reason, wasCounted } = attempt;
    const attempts = wasCounted ? await this.#survived(work, delivery) : await this.#count(work, delivery, true);
    if (attempts < apiLimits.messageAttemptsMax.value) return false;
    await bury(this.#context, work, { queue: this.queue, delivery, reason, attempts });
    return true;
  }

  /** It was handled, and had been counted. */
  async succeeded(work: Work, delivery: Tried): Promise<void> {
    await work.db.deleteFrom('message_attempts').where('id', '=', fingerprint(delivery)).execute();
  }

  async #survived(work: Work, delivery: Tried): Promise<number> {
    const row = await work.db
      .updateTable('message_attempts')
      .set({ is_survived: 1 })
      .where('id', '=', fingerprint(delivery))
      .returning('attempts')
      .executeTakeFirst();
    return row?.attempts ?? 1;
  }

  async #forgetOld(work: Work, now: number): Promise<void> {
    if (now < this.#forgetAgainAtMs) return;
    this.#forgetAgainAtMs = now + forgetEveryMs;
    await work.db
      .deleteFrom('message_attempts')
      .where('last_at', '<', now - forgottenAfterMs)
      .execute();
  }

  async #count(work: Work, delivery: Tried, isSurvived: boolean): Promise<number> {
    const now = this.#context.clock.now();
    const is_survived = isSurvived ? 1 : 0;
    await this.#forgetOld(work, now);
    const { attempts } = await work.db
      .insertInto('message_attempts')
      .values({ id: fingerprint(delivery), attempts: 1, is_survived, last_at: now })
      .onConflict((conflict) =>
        conflict
          .column('id')
          .doUpdateSet((row) => ({ attempts: row('message_attempts.attempts', '+', 1), is_survived, last_at: now })),
      )
      .returning('attempts')
      .executeTakeFirstOrThrow();
    return Number(attempts);
  }
}
