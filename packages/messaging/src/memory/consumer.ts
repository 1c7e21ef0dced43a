import type { Consumer, Delivery } from '../driver.js';
import { MessagingError } from '../errors.js';
import type { MemoryQueue, QueueReader, StoredMessage } from './queue.js';

interface Taken {
  readonly queue: MemoryQueue;
  readonly stored: StoredMessage;
  /** Called once when it is settled. */
  readonly onSettled?: () => void;
}

/** What one connection was handed and has not settled; goes back to its queues when the connection ends. */
export class UnsettledDeliveries {
  readonly #open = new Set<Taken>();

  add(taken: Taken): Delivery {
    const { stored, queue } = taken;
    const earlier = stored.deliveries;
    stored.deliveries += 1;
    this.#open.add(taken);
    const settle = (action: () => void): boolean => {
      if (!this.#open.delete(taken)) return false;
      action();
      taken.onSettled?.();
      return true;
    };
    const { body, properties, headers } = stored.message;
    return {
      message: { body, properties, headers },
      destination: stored.destination,
      redelivered: earlier > 0,
      earlierDeliveries: earlier,
      accept: () => settle(() => queue.use()),
      release: () => settle(() => queue.giveBack(stored)),
      reject: () => settle(() => queue.discard(stored)),
    };
  }

  giveAllBack(): void {
    for (const { queue, stored } of this.#open) queue.giveBack(stored);
    this.#open.clear();
  }
}

/** A reader of one queue with a credit. */
export class MemoryConsumer implements Consumer, QueueReader {
  readonly ended: Promise<MessagingError | undefined>;
  readonly #setting: MemoryConsumerSetting;
  #credit: number;
  #open = 0;
  #settleEnded: (reason: MessagingError | undefined) => void = () => undefined;

  constructor(setting: MemoryConsumerSetting) {
    this.#setting = setting;
    this.#credit = setting.credit;
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
    setting.queue.addReader(this);
  }

  get hasRoom(): boolean {
    return this.#open < this.#credit;
  }

  take(stored: StoredMessage): void {
    const { queue, unsettled, onDelivery } = this.#setting;
    this.#open += 1;
    const onSettled = (): void => {
      this.#open -= 1;
      queue.schedule();
    };
    onDelivery(unsettled.add({ queue, stored, onSettled }));
  }

  setCredit(credit: number): void {
    this.#credit = credit;
    this.#setting.queue.schedule();
  }

  async stop(): Promise<void> {
    this.finish(undefined);
  }

  end(): void {
    this.finish(new MessagingError('CONSUMER_ENDED', `queue "${this.#setting.queue.name}" was deleted`));
  }

  finish(reason: MessagingError | undefined): void {
    this.#setting.queue.removeReader(this);
    this.#setting.onEnd();
    this.#settleEnded(reason);
  }
}

export interface MemoryConsumerSetting {
  readonly queue: MemoryQueue;
  readonly credit: number;
  readonly unsettled: UnsettledDeliveries;
  readonly onDelivery: (delivery: Delivery) => void;
  readonly onEnd: () => void;
}
