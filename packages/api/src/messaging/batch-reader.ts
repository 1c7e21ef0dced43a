import { Background, sleep } from '@torcello/platform';
import type { Clock, Logger } from '@torcello/platform';
import type { Delivery, Subscription, Transport } from '@torcello/messaging';

/** What becomes of one message of a batch: `accept` it as done with, or `release` it to be tried again. */
export type Verdict = 'accept' | 'release';

export interface BatchReaderOptions {
  readonly transport: Transport;
  readonly queue: string;
  readonly batchMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Handles messages in the queue's order; one verdict for each. A throw gives all of them back. */
  readonly handle: (batch: readonly Delivery[]) => Promise<readonly Verdict[]>;
}

/** After a failure of the database the queue is left alone for so long. */
const pauseMs = 1_000;

/**
 * Reads a queue in batches, so that one commit carries many messages: whatever arrived while the last batch was being
 * written is the next one. A message is settled after its commit and never before.
 */
export class BatchReader {
  readonly #options: BatchReaderOptions;
  readonly #background: Background;
  readonly #stopping = new AbortController();
  #waiting: Delivery[] = [];
  #isWorking = false;
  #subscription: Subscription | undefined;

  constructor(options: BatchReaderOptions) {
    this.#options = options;
    this.#background = new Background((what, error) => options.logger.error('reading a queue failed', { what, error }));
  }

  async start(): Promise<void> {
    const { transport, queue, batchMax } = this.#options;
    this.#subscription = await transport.consume(
      { queue },
      { credit: batchMax * 2, onDelivery: (delivery) => this.#take(delivery) },
    );
  }

  /** Ends after the running batch; what was not begun goes back. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the reader stops'));
    await this.#subscription?.stop();
    await this.#background.settled();
    for (const delivery of this.#waiting.splice(0)) delivery.release();
  }

  #take(delivery: Delivery): void {
    this.#waiting.push(delivery);
    if (this.#isWorking || this.#stopping.signal.aborted) return;
    this.#isWorking = true;
    this.#background.run(this.#options.queue, () => this.#work());
  }

  async #work(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && !this.#stopping.signal.aborted) {
        await this.#handle(this.#waiting.splice(0, this.#options.batchMax));
      }
    } finally {
      this.#isWorking = false;
    }
  }

  async #handle(batch: readonly Delivery[]): Promise<void> {
    const { handle, logger, queue, clock } = this.#options;
    try {
      const verdicts = await handle(batch);
      batch.forEach((delivery, place) => (verdicts[place] === 'accept' ? delivery.accept() : delivery.release()));
    } catch (error) {
      logger.error('messages could not be stored and go back', { queue, messages: batch.length, error });
      await sleep(clock, pauseMs, this.#stopping.signal).catch(() => undefined);
      // What came later goes back as well, or it would overtake.
      for (const delivery of [...batch, ...this.#waiting.splice(0)]) delivery.release();
    }
  }
}
