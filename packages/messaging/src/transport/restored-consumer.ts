import { sleep, type Clock, type Logger, type Random } from '@torcello/platform';
import type { Consumer, DriverConnection, Source } from '../driver.js';
import { isMessagingError, type MessagingError } from '../errors.js';
import { Backoff } from './backoff.js';
import { orAborted } from './deadline.js';
import type { ConsumeOptions, Subscription } from './transport.js';

export interface RestoredConsumerSetting extends ConsumeOptions {
  readonly source: Source;
  readonly connection: (signal: AbortSignal) => Promise<DriverConnection>;
  /** Makes the queue again when the program had declared it; false when it is not this program's business. */
  readonly restoreQueue: (connection: DriverConnection) => Promise<boolean>;
  readonly onEnd: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A consumer that is started again on every new connection, and when the broker ended it. */
export class RestoredConsumer implements Subscription {
  readonly ended: Promise<MessagingError | undefined>;
  readonly #setting: RestoredConsumerSetting;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  #credit: number;
  #consumer: Consumer | undefined;

  constructor(setting: RestoredConsumerSetting, first: Consumer) {
    this.#setting = setting;
    this.#credit = setting.credit;
    this.#backoff = new Backoff(setting.random);
    this.#consumer = first;
    this.ended = this.#run(first);
  }

  setCredit(credit: number): void {
    this.#credit = credit;
    this.#consumer?.setCredit(credit);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#consumer?.stop().catch(() => undefined);
    await this.ended;
  }

  /** Answers why no delivery comes any more. */
  async #run(first: Consumer): Promise<MessagingError | undefined> {
    let end: MessagingError | undefined;
    try {
      for (let consumer: Consumer | undefined = first; consumer !== undefined; consumer = await this.#next()) {
        this.#consumer = consumer;
        if (this.#stopping.signal.aborted) await consumer.stop();
        const reason = await consumer.ended;
        if (this.#stopping.signal.aborted) break;
        if (reason?.code === 'CONSUMER_ENDED') {
          this.#setting.logger.warn('the broker ended a consumer', { error: reason, ...this.#setting.source });
          await this.#pause();
        }
      }
    } catch (error) {
      if (isMessagingError(error) && error.code !== 'CLOSED' && error.code !== 'ABORTED') end = error;
    }
    this.#consumer = undefined;
    this.#setting.onEnd();
    return end;
  }

  async #next(): Promise<Consumer | undefined> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const connection = await this.#setting.connection(signal);
      try {
        const consumer = await this.#consume(connection);
        this.#backoff.reset();
        return consumer;
      } catch (error) {
        if (!isMessagingError(error) || !(await this.#isWorthAnotherTry(connection, error))) throw error;
        // The loss is known here before the connection says so; asking it again would spin.
        if (error.radius === 'connection') await orAborted(connection.closed, signal);
        else await this.#pause();
      }
    }
    return undefined;
  }

  #consume(connection: DriverConnection): Promise<Consumer> {
    const { source, onDelivery } = this.#setting;
    return connection.consume(source, this.#credit, (delivery) => {
      if (this.#stopping.signal.aborted) delivery.release();
      else onDelivery(delivery);
    });
  }

  async #isWorthAnotherTry(connection: DriverConnection, error: MessagingError): Promise<boolean> {
    if (error.retryable || error.code === 'CLOSED') return true;
    if (error.code !== 'NOT_FOUND') return false;
    return this.#setting.restoreQueue(connection);
  }

  async #pause(): Promise<void> {
    await sleep(this.#setting.clock, this.#backoff.nextMs(), this.#stopping.signal).catch(() => undefined);
  }
}
