import type { Channel } from './channel.js';

const [unsettled, accepted, gone] = [0, 1, 2];

/**
 * Which deliveries of one channel are settled. Accepts of one turn of the event loop leave together, as one
 * `basic.ack` with `multiple` up to the first delivery that is still being worked on, and one each beyond it.
 */
export class Settlement {
  readonly #channel: Channel;
  readonly #canWait: boolean;
  /** State by tag, in a ring: the protocol counts deliveries of a channel 1, 2, 3, … */
  #states = new Uint8Array(64);
  #mask = 63;
  /** Every tag below it is gone. */
  #oldest = 1;
  #next = 1;
  #unsettledCount = 0;
  /** Accepted and not written yet. */
  #accepted: number[] = [];

  /** @param options - `canWait`: an accept may leave a little later, together with others. */
  constructor(channel: Channel, options: { readonly canWait?: boolean } = {}) {
    this.#channel = channel;
    this.#canWait = options.canWait ?? false;
  }

  /** Deliveries that nobody settled yet. */
  get unsettledCount(): number {
    return this.#unsettledCount;
  }

  /** A delivery came in. */
  add(tag: number): void {
    if (this.#unsettledCount + this.#accepted.length === 0) this.#oldest = this.#next = tag;
    while (tag - this.#oldest > this.#mask) this.#grow();
    for (; this.#next <= tag; this.#next++)
      this.#states[this.#next & this.#mask] = this.#next === tag ? unsettled : gone;
    this.#unsettledCount += 1;
  }

  /** False when the channel is over: the broker gives the message to somebody else. */
  accept(tag: number): boolean {
    if (!this.#channel.isOpen) return false;
    this.#states[tag & this.#mask] = accepted;
    this.#unsettledCount -= 1;
    this.#accepted.push(tag);
    if (this.#canWait) this.#channel.flushLater();
    else this.#channel.flushSoon();
    return true;
  }

  /** Gives it back (`requeue`) or dead-letters it; false when the channel is over. */
  reject(tag: number, requeue: boolean): boolean {
    if (!this.#channel.isOpen) return false;
    this.#states[tag & this.#mask] = gone;
    this.#unsettledCount -= 1;
    this.#channel.send({ name: 'basic.reject', deliveryTag: tag, requeue });
    return true;
  }

  /** Writes the accepts that were gathered. */
  flush(): void {
    const waiting = this.#accepted;
    if (waiting.length === 0) return;
    this.#accepted = [];
    const last = this.#lastInARow();
    const merged = waiting.filter((tag) => tag <= last).length;
    if (merged > 0) this.#channel.send({ name: 'basic.ack', deliveryTag: last, multiple: merged > 1 });
    for (const tag of waiting) {
      if (tag <= last) continue;
      this.#states[tag & this.#mask] = gone;
      this.#channel.send({ name: 'basic.ack', deliveryTag: tag, multiple: false });
    }
    this.#forgetGone();
  }

  /** The last accepted tag before the first delivery that is still being worked on. */
  #lastInARow(): number {
    let last = 0;
    for (; this.#oldest < this.#next; this.#oldest++) {
      const state = this.#states[this.#oldest & this.#mask];
      if (state === unsettled) break;
      if (state === accepted) last = this.#oldest;
    }
    return last;
  }

  #forgetGone(): void {
    while (this.#oldest < this.#next && this.#states[this.#oldest & this.#mask] === gone) this.#oldest += 1;
  }

  #grow(): void {
    const larger = new Uint8Array(2 * this.#states.length);
    const mask = larger.length - 1;
    for (let tag = this.#oldest; tag < this.#next; tag++) larger[tag & mask] = this.#states[tag & this.#mask] ?? gone;
    this.#states = larger;
    this.#mask = mask;
  }
}
