import type { Mailboxes } from '@torcello/messaging';
import type { Context } from '../context.js';
import { apiLimits } from '../limits.js';
import { Rounds } from '../rounds.js';
import type { AgentAccounts } from './accounts.js';

export interface ReconcilerOptions {
  readonly context: Context;
  readonly mailboxes: Pick<Mailboxes, 'open' | 'delete'>;
  readonly accounts: AgentAccounts;
  /** How long it rests between two looks when nothing wakes it. */
  readonly intervalMs: number;
}

/**
 * Makes the broker as the database says: a mailbox for every machine, no mailbox and no login for those that are gone.
 * Each step may be done twice, so a crash or an absent broker only means later.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #rounds: Rounds;
  #unlisten: () => void = () => undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { context, intervalMs } = options;
    this.#rounds = new Rounds({
      clock: context.clock,
      intervalMs,
      round: async () => ((await this.reconcile()) ? 'now' : 'later'),
      onFailure: (error) => context.logger.warn('the broker is not as the database says yet', { error }),
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
  }

  /** One round: true when more is left that can be done now. */
  async reconcile(): Promise<boolean> {
    const hasMoreToMake = await this.#makeMailboxes();
    const hasMoreToRemove = await this.#removeMailboxes();
    return hasMoreToMake || hasMoreToRemove;
  }

  async #makeMailboxes(): Promise<boolean> {
    const { context, mailboxes } = this.#options;
    const limit = apiLimits.mailboxesOpenedAtOnceMax.value;
    const rows = await context.store.db
      .selectFrom('machines')
      .select(['id', 'mailbox'])
      .where('is_mailbox_declared', '=', 0)
      .where('mailbox_closed_at', 'is', null)
      // One that is being taken away has to be gone before there is a fresh one of its name.
      .where('mailbox', 'not in', (inner) =>
        inner.selectFrom('mailbox_ends').select('mailbox').where('state', '!=', 'reopened'),
      )
      .limit(limit)
      .execute();
    if (rows.length === 0) return false;
    await Promise.all(rows.map((row) => mailboxes.open(row.mailbox)));
    const ids = rows.map((row) => row.id);
    await context.store.write(async ({ db }) => {
      await db.updateTable('machines').set({ is_mailbox_declared: 1 }).where('id', 'in', ids).execute();
    });
    return rows.length === limit;
  }

  async #removeMailboxes(): Promise<boolean> {
    const { context, mailboxes, accounts } = this.#options;
    const limit = apiLimits.mailboxesOpenedAtOnceMax.value;
    const rows = await context.store.db
      .selectFrom('mailbox_removals')
      .selectAll()
      .where('due_at', '<=', context.clock.now())
      .limit(limit)
      .execute();
    if (rows.length === 0) return false;
    for (const row of rows) {
      // The login first: an agent without a mailbox would ask for it for ever.
      await accounts.remove(row.machine_id);
      await mailboxes.delete(row.mailbox);
      await context.store.write(async ({ db }) => {
        await db.deleteFrom('mailbox_removals').where('mailbox', '=', row.mailbox).execute();
        await db.deleteFrom('outbox').where('mailbox', '=', row.mailbox).execute();
      });
    }
    return rows.length === limit;
  }
}
