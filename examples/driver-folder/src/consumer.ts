import { isMessagingError, MessagingError, type ConnectOptions, type Consumer } from '@torcello/messaging';
import type { Store, Taken } from './store.js';

export interface ConsumerSetting extends Pick<ConnectOptions, 'clock'> {
  readonly store: Store;
  readonly queue: string;
  readonly credit: number;
  readonly number: number;
  readonly hand: (taken: Taken, onSettled: () => void) => void;
  readonly onEnd: () => void;
}

/** How often a consumer looks into its folder. A driver with a broker is told; this one has to look. */
const lookMs = 10;

export class FolderConsumer implements Consumer {
  readonly ended: Promise<MessagingError | undefined>;
  readonly #setting: ConsumerSetting;
  #credit: number;
  #open = 0;
  #isOver = false;
  #timer: { cancel(): void } | undefined;
  #settleEnded: (reason: MessagingError | undefined) => void = () => undefined;

  constructor(setting: ConsumerSetting) {
    this.#setting = setting;
    this.#credit = setting.credit;
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
  }

  /** @throws NOT_FOUND */
  async start(): Promise<void> {
    const { store, queue, number, onEnd } = this.#setting;
    try {
      await store.addReader(queue, number);
    } catch (error) {
      onEnd();
      throw error;
    }
    // Not at once: whoever consumes gets the consumer first and the deliveries then.
    this.#timer = this.#setting.clock.after(0, () => this.look());
  }

  setCredit(credit: number): void {
    this.#credit = credit;
  }

  async stop(): Promise<void> {
    this.finish(undefined);
  }

  finish(reason: MessagingError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    const { store, queue, number, onEnd } = this.#setting;
    store.removeReader(queue, number);
    onEnd();
    this.#settleEnded(reason);
  }

  /** Hands out one message, if there is one and the credit allows it: several readers of a queue take turns. */
  look(): void {
    this.#timer?.cancel();
    let hasTaken = false;
    try {
      hasTaken = !this.#isOver && this.#open < this.#credit && this.#takeOne();
    } catch (error) {
      const isGone = isMessagingError(error, 'NOT_FOUND');
      const said = isGone ? `queue "${this.#setting.queue}" was deleted` : 'the folder cannot be read';
      return this.finish(new MessagingError('CONSUMER_ENDED', said, { cause: error }));
    }
    if (!this.#isOver) this.#timer = this.#setting.clock.after(hasTaken ? 0 : lookMs, () => this.look());
  }

  #takeOne(): boolean {
    const { store, queue, hand } = this.#setting;
    const taken = store.take(queue);
    if (taken === undefined) return false;
    this.#open += 1;
    hand(taken, () => (this.#open -= 1));
    return true;
  }
}
