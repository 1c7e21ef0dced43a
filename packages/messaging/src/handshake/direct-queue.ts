import type { Delivery } from '../driver.js';
import { MessagingError } from '../errors.js';
import type { ConsumeOptions, Subscription } from '../transport/transport.js';
import type { Item, Verdict } from './posting.js';

interface Waiting {
  readonly item: Item;
  readonly resolve: () => void;
  readonly reject: (error: MessagingError) => void;
}

/** A queue that stores nothing: what is put in is handed to its one reader, and its sender waits until that has settled it. */
export class DirectQueue {
  readonly #name: string;
  readonly #waiting: Waiting[] = [];
  #reader: { credit: number; readonly onDelivery: (delivery: Delivery) => void } | undefined;
  #inHand = 0;

  constructor(name: string) {
    this.#name = name;
  }

  get size(): number {
    return this.#waiting.length + this.#inHand;
  }

  /** Resolves when it is done with. @throws NOT_CONFIRMED when nobody reads (any more). */
  put(item: Item): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#reader === undefined) return reject(this.#refusal('nobody reads it'));
      this.#waiting.push({ item, resolve, reject });
      this.#handOut();
    });
  }

  consume({ credit, onDelivery }: ConsumeOptions): Subscription {
    const reader = { credit, onDelivery };
    this.#reader = reader;
    let end: () => void = () => undefined;
    return {
      ended: new Promise((resolve) => (end = (): void => resolve(undefined))),
      setCredit: (changed) => {
        reader.credit = changed;
        this.#handOut();
      },
      stop: async () => {
        if (this.#reader === reader) this.#reader = undefined;
        for (const { reject } of this.#waiting.splice(0)) reject(this.#refusal('its reader has stopped'));
        end();
      },
    };
  }

  #handOut(): void {
    while (this.#reader !== undefined && this.#inHand < this.#reader.credit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#inHand += 1;
      this.#reader.onDelivery(this.#deliveryOf(next));
    }
  }

  #deliveryOf(waiting: Waiting): Delivery {
    const { item, resolve, reject } = waiting;
    let isSettled = false;
    const settle = (verdict: Verdict): boolean => {
      if (isSettled) return false;
      isSettled = true;
      this.#inHand -= 1;
      // What can never be handled is no business of its sender's, as on a broker.
      if (verdict !== 'release') resolve();
      else if (this.#reader === undefined) reject(this.#refusal('its reader has stopped'));
      else this.#waiting.unshift({ ...waiting, item: { ...item, redelivered: true } });
      this.#handOut();
      return true;
    };
    return {
      ...item,
      earlierDeliveries: undefined,
      accept: () => settle('accept'),
      release: () => settle('release'),
      reject: () => settle('reject'),
    };
  }

  #refusal(why: string): MessagingError {
    return new MessagingError('NOT_CONFIRMED', `nothing was taken for "${this.#name}": ${why}`);
  }
}
