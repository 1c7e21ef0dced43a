import type { Delivery } from '@torcello/messaging';
import type { Context } from '../context.js';
import type { Work } from '../database/store.js';
import type { Verdict } from '../messaging/batch-reader.js';
import { Attempts } from './attempts.js';
import { fingerprint } from './fingerprint.js';
import { isOutage } from './outage.js';

/** Handles one message in a transaction: undefined when that is done, else why it cannot be. A throw is a failure as well. */
export type HandleOne = (work: Work, delivery: Delivery) => Promise<string | undefined>;

/**
 * Handles batches so that no message can stop those behind it. As long as all goes well a batch is one transaction. What
 * cannot be handled is tried again behind the others, and put aside after so many attempts. Where a batch fails as a
 * whole, or a process died over it, each message is counted before it is read, and handled alone.
 */
export class CarefulBatch {
  readonly #context: Context;
  readonly #attempts: Attempts;
  readonly #handle: HandleOne;
  /** Called in the transaction of each batch with the messages that were handled. */
  readonly #onHandled: (work: Work, handled: readonly Delivery[]) => Promise<void>;

  constructor(options: {
    readonly context: Context;
    readonly queue: string;
    readonly handle: HandleOne;
    readonly onHandled: (work: Work, handled: readonly Delivery[]) => Promise<void>;
  }) {
    this.#context = options.context;
    this.#attempts = new Attempts(options.context, options.queue, 'the API');
    this.#handle = options.handle;
    this.#onHandled = options.onHandled;
  }

  /** One verdict for each. @throws what is no message's fault: then all of them go back, and nothing was counted. */
  async take(batch: readonly Delivery[]): Promise<readonly Verdict[]> {
    const isRepeated = batch.some(({ redelivered }) => redelivered);
    if (isRepeated && (await this.#diedOverBatch())) return this.#oneByOne(batch);
    const known = await this.#attempts.known(batch);
    if (batch.some((delivery) => known.get(nameOf(delivery))?.isSurvived === false)) return this.#oneByOne(batch);
    try {
      if (isRepeated) await this.#markBatch();
      return await this.#together(batch, new Set(known.keys()));
    } catch (error) {
      if (isOutage(error)) throw error;
      this.#context.logger.warn('a batch of messages failed; each is handled alone', {
        queue: this.#attempts.queue,
        messages: batch.length,
        error,
      });
      return this.#oneByOne(batch);
    }
  }

  async #together(batch: readonly Delivery[], failedBefore: ReadonlySet<string>): Promise<readonly Verdict[]> {
    const counted = new Set(batch.filter((delivery) => delivery.redelivered && failedBefore.has(nameOf(delivery))));
    const buried = await this.#attempts.begin([...counted]);
    const tried = batch.filter((delivery) => !buried.has(delivery));
    return this.#context.store.write(async (work) => {
      const verdicts = new Map<Delivery, Verdict>([...buried].map((delivery) => [delivery, 'accept']));
      for (const delivery of tried) {
        verdicts.set(delivery, await this.#takeOne(work, delivery, counted.has(delivery)));
      }
      await this.#unmarkBatch(work);
      await this.#onHandled(
        work,
        tried.filter((delivery) => verdicts.get(delivery) === 'accept'),
      );
      return batch.map((delivery) => verdicts.get(delivery) ?? 'release');
    });
  }

  async #oneByOne(batch: readonly Delivery[]): Promise<readonly Verdict[]> {
    const verdicts: Verdict[] = [];
    for (const delivery of batch) verdicts.push(await this.#alone(delivery));
    await this.#context.store.write((work) => this.#unmarkBatch(work));
    return verdicts;
  }

  async #alone(delivery: Delivery): Promise<Verdict> {
    if ((await this.#attempts.begin([delivery])).size > 0) return 'accept';
    try {
      return await this.#context.store.write(async (work) => {
        const verdict = await this.#takeOne(work, delivery, true);
        if (verdict === 'accept') await this.#onHandled(work, [delivery]);
        return verdict;
      });
    } catch (error) {
      if (isOutage(error)) {
        await this.#attempts.takeBack(delivery).catch(() => undefined);
        throw error;
      }
      const reason = `handling it failed: ${error instanceof Error ? error.message.slice(0, 300) : 'unknown error'}`;
      const isLast = await this.#context.store.write((work) =>
        this.#attempts.failed(work, { delivery, reason, wasCounted: true }),
      );
      return isLast ? 'accept' : 'release';
    }
  }

  async #takeOne(work: Work, delivery: Delivery, wasCounted: boolean): Promise<Verdict> {
    const flaw = await this.#handle(work, delivery);
    if (flaw !== undefined) {
      const isLast = await this.#attempts.failed(work, { delivery, reason: flaw, wasCounted });
      return isLast ? 'accept' : 'release';
    }
    if (wasCounted) await this.#attempts.succeeded(work, delivery);
    return 'accept';
  }

  /** A row that only a process leaves behind which died over a batch. */
  get #mark(): string {
    return `batch of ${this.#attempts.queue}`;
  }

  async #diedOverBatch(): Promise<boolean> {
    const row = await this.#context.store.db
      .selectFrom('message_attempts')
      .select('id')
      .where('id', '=', this.#mark)
      .executeTakeFirst();
    return row !== undefined;
  }

  async #markBatch(): Promise<void> {
    const row = { id: this.#mark, attempts: 0, is_survived: 0, last_at: this.#context.clock.now() };
    await this.#context.store.write(async ({ db }) => {
      await db
        .insertInto('message_attempts')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    });
  }

  async #unmarkBatch(work: Work): Promise<void> {
    await work.db.deleteFrom('message_attempts').where('id', '=', this.#mark).execute();
  }
}

function nameOf(delivery: Delivery): string {
  return fingerprint(delivery);
}
