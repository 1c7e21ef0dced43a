import { letterKindHeader } from '@torcello/contracts';
import { isMessagingError } from '@torcello/messaging';
import type { Mailboxes } from '@torcello/messaging';
import type { Context } from '../context.js';
import { Rounds } from '../rounds.js';

export interface LettersAgainOptions {
  readonly context: Context;
  readonly mailboxes: Mailboxes;
  /** Between two looks while something is left. */
  readonly intervalMs: number;
}

/** Letters of one round. */
const lettersPerRound = 100;

/**
 * After a restore: puts the letters of open plans once more, byte for byte. An agent that knows the plan drops the
 * double, and tells again what came of it. Ends when none is left.
 */
export class LettersAgain {
  readonly #options: LettersAgainOptions;
  readonly #rounds: Rounds;

  constructor(options: LettersAgainOptions) {
    this.#options = options;
    const { context, intervalMs } = options;
    this.#rounds = new Rounds({
      clock: context.clock,
      intervalMs,
      round: async () => ((await this.put()) === 0 ? 'never' : 'later'),
      onFailure: (error) => context.logger.error('asking after plans failed, trying again', { error }),
    });
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round; answers how many letters are left. */
  async put(): Promise<number> {
    const { context } = this.#options;
    const rows = await context.store.db
      .selectFrom('letters_again')
      .innerJoin('plans', 'plans.plan_id', 'letters_again.plan_id')
      .innerJoin('letters', 'letters.plan_id', 'letters_again.plan_id')
      .leftJoin('machines', 'machines.id', 'plans.machine_id')
      .select(['letters.plan_id', 'letters.mailbox', 'letters.body', 'plans.outcome', 'machines.is_mailbox_declared'])
      .orderBy('plans.stored_at')
      .limit(lettersPerRound)
      .execute();
    let left = 0;
    for (const row of rows) {
      if (row.outcome === null && row.is_mailbox_declared !== null && !(await this.#putOne(row))) left += 1;
      else await this.#forget(row.plan_id);
    }
    return rows.length === lettersPerRound ? lettersPerRound : left;
  }

  async #putOne(row: {
    readonly plan_id: string;
    readonly mailbox: string;
    readonly body: Uint8Array;
    readonly is_mailbox_declared: number | null;
  }): Promise<boolean> {
    const { context, mailboxes } = this.#options;
    if (row.is_mailbox_declared === 0 || this.#rounds.signal.aborted) return false;
    const letter = { id: row.plan_id, body: row.body, headers: { [letterKindHeader]: 'plan' } };
    try {
      await mailboxes.put(row.mailbox, letter, { signal: this.#rounds.signal });
      return true;
    } catch (error) {
      if (!isMessagingError(error)) throw error;
      if (!this.#rounds.signal.aborted)
        context.logger.warn('a letter could not be put again yet', { planId: row.plan_id, error });
      return false;
    }
  }

  async #forget(planId: string): Promise<void> {
    await this.#options.context.store.write(async ({ db }) => {
      await db.deleteFrom('letters_again').where('plan_id', '=', planId).execute();
    });
  }
}
