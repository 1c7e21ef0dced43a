import type { Consumer, Delivery, MessagingError } from '@torcello/messaging';
import type { Delivery as EngineDelivery } from 'rhea';
import { Amqp10Delivery } from './delivery.js';
import { driverLimits } from './limits.js';
import type { Profile } from './profiles/profile.js';
import { ReceiverLink, type ReceiverLinkOptions } from './receiver-link.js';
import type { Destination } from '@torcello/messaging';

export interface ConsumerOptions extends Omit<ReceiverLinkOptions, 'onMessage'> {
  readonly credit: number;
  readonly destination: Destination;
  readonly profile: Profile;
  readonly onDelivery: (delivery: Delivery) => void;
}

/**
 * A link whose credit follows what is settled: unsettled deliveries and open credit together are never more than asked
 * for. After `stop` the link stays until what was handed out is settled.
 */
export class Amqp10Consumer implements Consumer {
  readonly ended: Promise<MessagingError | undefined>;
  readonly #options: ConsumerOptions;
  readonly #link: ReceiverLink;
  #settleEnded: (reason: MessagingError | undefined) => void = () => undefined;
  #credit: number;
  /** Given to the peer and not yet used. */
  #open = 0;
  #unsettled = 0;
  #isToppingUp = false;
  #state: 'running' | 'stopping' | 'stopped' = 'running';
  #stopping: Promise<void> | undefined;

  static async start(
    options: ConsumerOptions,
  ): Promise<{ readonly consumer: Amqp10Consumer; readonly address: string }> {
    const consumer = new Amqp10Consumer(options);
    const address = await consumer.#link.attached();
    consumer.#topUp();
    return { consumer, address };
  }

  private constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#credit = bounded(options.credit);
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
    this.#link = new ReceiverLink({
      ...options,
      onMessage: (message, delivery) => this.#onMessage(message, delivery),
    });
    void this.#link.ended.then((reason) => this.#settleEnded(reason));
  }

  setCredit(credit: number): void {
    if (!(credit >= 1)) throw new TypeError('credit is at least 1');
    this.#credit = bounded(credit);
    this.#topUp();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping';
    if (this.#open > 0) await (this.#options.profile.drains ? this.#drained() : this.#link.detach());
    this.#state = 'stopped';
    this.#settleEnded(undefined);
    this.#closeWhenSettled();
  }

  /** The peer's word that nothing comes any more; one that does not give it loses the link. */
  async #drained(): Promise<void> {
    const timer = this.#options.clock.after(driverLimits.drainReplyMs, () => void this.#link.close());
    await this.#link.drain();
    timer.cancel();
  }

  #onMessage(message: Readonly<Record<string, unknown>>, delivery: EngineDelivery): void {
    this.#open -= 1;
    const { profile, destination } = this.#options;
    // What comes while it stops goes back at once, where the peer takes it back.
    if (this.#state !== 'running' && profile.capabilities.redelivers) {
      this.#link.settle('release', () => delivery.release());
      return;
    }
    let told: Amqp10Delivery;
    try {
      const onSettled = (): void => this.#onSettled();
      told = new Amqp10Delivery({ message, delivery, destination, profile, link: () => this.#link, onSettled });
    } catch {
      // Nobody can read it, here or elsewhere.
      this.#link.settle('reject', () => delivery.reject());
      return this.#topUp();
    }
    this.#unsettled += 1;
    this.#options.onDelivery(told);
  }

  #onSettled(): void {
    this.#unsettled -= 1;
    if (this.#state === 'stopped') this.#closeWhenSettled();
    else this.#topUp();
  }

  #closeWhenSettled(): void {
    if (this.#unsettled === 0) void this.#link.close();
  }

  /** Once a turn, so that many that are settled together make one frame. */
  #topUp(): void {
    if (this.#isToppingUp) return;
    this.#isToppingUp = true;
    queueMicrotask(() => {
      this.#isToppingUp = false;
      const room = this.#credit - this.#unsettled - this.#open;
      if (this.#state !== 'running' || room <= 0) return;
      this.#open += room;
      this.#link.addCredit(room);
    });
  }
}

function bounded(credit: number): number {
  return Math.min(credit, driverLimits.creditMax);
}
