import type { Command, ContentCommand } from '@torcello/amqp091';
import { MessagingError, type Consumer, type Delivery } from '@torcello/messaging';
import { lossOf } from './broker-errors.js';
import type { Channel } from './channel.js';
import { AmqpDelivery } from './delivery.js';
import { driverLimits } from './limits.js';
import { Settlement } from './settlement.js';

export interface ConsumerSettings {
  readonly channel: Channel;
  readonly queue: string;
  /** At least 1, or Infinity for no limit. */
  readonly credit: number;
  /** Must not throw. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Accepts may leave a little later, together with others. Default false. */
  readonly acceptsCanWait?: boolean;
}

type State = 'running' | 'stopping' | 'ended';

/** One consumer on a channel of its own, so that what ends it ends nothing else. */
export class AmqpConsumer implements Consumer {
  readonly ended: Promise<MessagingError | undefined>;
  readonly #settings: ConsumerSettings;
  readonly #settlement: Settlement;
  #state: State = 'running';
  #tagNumber = 0;
  #settleEnded: (reason: MessagingError | undefined) => void = () => undefined;
  #changing: Promise<void> = Promise.resolve();

  private constructor(settings: ConsumerSettings) {
    this.#settings = settings;
    this.#settlement = new Settlement(settings.channel, { canWait: settings.acceptsCanWait ?? false });
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
    settings.channel.listen({
      onCommand: (command) => this.#onCommand(command),
      onEnd: (reason) => this.#onChannelEnd(reason),
      onFlush: () => this.#settlement.flush(),
    });
  }

  /** @throws NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED; the channel is over then. */
  static async start(settings: ConsumerSettings): Promise<AmqpConsumer> {
    const consumer = new AmqpConsumer(settings);
    await consumer.#subscribe(settings.credit);
    return consumer;
  }

  /**
   * On RabbitMQ the window belongs to a subscription, so a new one takes the old one's place on the same channel. What
   * was handed out before still counts against nobody: for a moment more than the new credit may be unsettled.
   */
  setCredit(credit: number): void {
    if (this.#state !== 'running') return;
    this.#changing = this.#changing.then(() => this.#resubscribe(credit)).catch(() => undefined);
  }

  async stop(): Promise<void> {
    if (this.#state === 'running') {
      this.#state = 'stopping';
      await this.#changing;
      await this.#cancel(this.#tag).catch(() => undefined);
      this.#finish(undefined);
      this.#closeWhenSettled();
    }
    await this.ended;
  }

  get #tag(): string {
    return String(this.#tagNumber);
  }

  async #subscribe(credit: number): Promise<void> {
    const { channel, queue } = this.#settings;
    this.#tagNumber += 1;
    const prefetchCount = credit > driverLimits.creditMax ? 0 : Math.max(1, Math.floor(credit));
    const window = channel.request({ name: 'basic.qos', prefetchSize: 0, prefetchCount }, 'basic.qos-ok');
    const subscribed = channel.request({ name: 'basic.consume', queue, consumerTag: this.#tag }, 'basic.consume-ok');
    await Promise.all([window, subscribed]);
  }

  async #resubscribe(credit: number): Promise<void> {
    if (this.#state !== 'running') return;
    await this.#cancel(this.#tag);
    await this.#subscribe(credit);
  }

  async #cancel(consumerTag: string): Promise<void> {
    await this.#settings.channel.request({ name: 'basic.cancel', consumerTag }, 'basic.cancel-ok');
  }

  #onCommand(command: Command): void {
    const { method } = command;
    if (method.name === 'basic.deliver') this.#onDeliver(command as ContentCommand);
    else if (method.name === 'basic.cancel') {
      this.#finish(
        new MessagingError('CONSUMER_ENDED', 'the broker ended the consumer: its queue is gone or has moved'),
      );
      this.#closeWhenSettled();
    }
  }

  #onDeliver(command: ContentCommand): void {
    const delivery = new AmqpDelivery(command, this.#settlement, this.#closeWhenSettled);
    if (this.#state === 'running') this.#settings.onDelivery(delivery);
    else delivery.release();
  }

  readonly #closeWhenSettled = (): void => {
    if (this.#state !== 'ended' || this.#settlement.unsettledCount > 0) return;
    this.#settlement.flush();
    void this.#settings.channel.close();
  };

  #onChannelEnd(reason: MessagingError): void {
    if (reason.radius === 'connection')
      return this.#finish(reason.code === 'CLOSED' ? undefined : lossOf(reason, false));
    const options = { cause: reason, details: reason.details };
    this.#finish(new MessagingError('CONSUMER_ENDED', `the broker ended the consumer: ${reason.message}`, options));
  }

  #finish(reason: MessagingError | undefined): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#settleEnded(reason);
  }
}
