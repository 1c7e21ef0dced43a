import { setMaxListeners } from 'node:events';
import { tasksMailbox } from '@torcello/contracts';
import { isMessagingError } from '@torcello/messaging';
import type { Mailboxes } from '@torcello/messaging';
import { Background, sleep } from '@torcello/platform';
import type { Context } from '../context.js';
import type { OutboxRow } from '../database/tables.js';
import { apiLimits } from '../limits.js';

export interface RelayOptions {
  readonly context: Context;
  readonly mailboxes: Mailboxes;
  /** A hint is with the broker. */
  readonly onHint: (deploymentId: string) => void;
}

const waitMsMin = 200;
const waitMsMax = 30_000;
const publishTimeoutMs = 10_000;

/**
 * Brings the outbox to the broker: oldest first, many at a time, a row is gone when the broker has confirmed its letter.
 * A crash in between publishes again; readers bear doubles.
 */
export class Relay {
  readonly #options: RelayOptions;
  readonly #background: Background;
  readonly #stopping = new AbortController();
  #unlisten: () => void = () => undefined;
  #isRunning = false;
  #isWanted = false;
  #waitMs = waitMsMin;

  constructor(options: RelayOptions) {
    this.#options = options;
    // Every letter on its way listens for the end.
    setMaxListeners(apiLimits.relayParallelMax.value + 1, this.#stopping.signal);
    this.#background = new Background((what, error) =>
      options.context.logger.error('the relay failed', { what, error }),
    );
  }

  /** Begins with what earlier processes left behind. */
  start(): void {
    this.#unlisten = this.#options.context.notices.listen((notice) => {
      if (notice.type === 'outbox') this.#wake();
    });
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#stopping.abort(new Error('the relay stops'));
    await this.#background.settled();
  }

  #wake(): void {
    this.#isWanted = true;
    if (this.#isRunning || this.#stopping.signal.aborted) return;
    this.#isRunning = true;
    this.#background.run('relay', async () => {
      try {
        await this.#run();
      } finally {
        this.#isRunning = false;
      }
    });
  }

  async #run(): Promise<void> {
    const { context } = this.#options;
    while (this.#isWanted && !this.#stopping.signal.aborted) {
      this.#isWanted = false;
      const rows = await context.store.db
        .selectFrom('outbox')
        .selectAll()
        .orderBy('attempts')
        .orderBy('id')
        .limit(apiLimits.relayParallelMax.value)
        .execute();
      if (rows.length === 0) continue;
      this.#isWanted = true;
      const done = (await Promise.all(rows.map((row) => this.#publish(row)))).filter((row) => row !== undefined);
      await this.#settle(done);
      await this.#countAttempts(rows.filter((row) => !done.includes(row)));
      if (done.length < rows.length) await this.#pause();
      else this.#waitMs = waitMsMin;
    }
  }

  /** The row when it is done with. */
  async #publish(row: OutboxRow): Promise<OutboxRow | undefined> {
    const { context, mailboxes } = this.#options;
    const letter = {
      id: row.message_id,
      body: new TextEncoder().encode(row.body),
      contentType: 'application/json',
      headers: JSON.parse(row.headers) as Readonly<Record<string, unknown>>,
      ...(row.expires_ms === null ? {} : { expiresMs: row.expires_ms }),
    };
    try {
      await mailboxes.put(row.mailbox, letter, { signal: this.#stopping.signal, timeoutMs: publishTimeoutMs });
      return row;
    } catch (error) {
      // A machine's mailbox that is gone needs no receipt any more.
      if (isMessagingError(error, 'UNROUTABLE') && row.mailbox !== tasksMailbox && !(await this.#isWanting(row)))
        return row;
      if (!this.#stopping.signal.aborted)
        context.logger.warn('a letter waits', { mailbox: row.mailbox, letter: row.message_id, error });
      return undefined;
    }
  }

  /** Whether the mailbox belongs to a machine that is there: then it is only not declared yet. */
  async #isWanting(row: OutboxRow): Promise<boolean> {
    const machine = await this.#options.context.store.db
      .selectFrom('machines')
      .select('id')
      .where('mailbox', '=', row.mailbox)
      .where('mailbox_closed_at', 'is', null)
      .executeTakeFirst();
    return machine !== undefined;
  }

  async #settle(rows: readonly OutboxRow[]): Promise<void> {
    if (rows.length === 0) return;
    for (const row of rows) if (row.mailbox === tasksMailbox) this.#options.onHint(row.subject);
    const ids = rows.map((row) => row.id);
    await this.#options.context.store.write(async ({ db }) => {
      await db.deleteFrom('outbox').where('id', 'in', ids).execute();
    });
  }

  async #countAttempts(rows: readonly OutboxRow[]): Promise<void> {
    if (rows.length === 0) return;
    const ids = rows.map((row) => row.id);
    await this.#options.context.store.write(async ({ db }) => {
      await db
        .updateTable('outbox')
        .set((columns) => ({ attempts: columns('attempts', '+', 1) }))
        .where('id', 'in', ids)
        .execute();
    });
  }

  async #pause(): Promise<void> {
    const { clock, random } = this.#options.context;
    await sleep(clock, this.#waitMs * (0.5 + random.fraction() / 2), this.#stopping.signal).catch(() => undefined);
    this.#waitMs = Math.min(waitMsMax, this.#waitMs * 2);
  }
}
