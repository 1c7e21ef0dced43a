/** How the queue under test is declared. */
export interface QueueShape {
  readonly messageTtlMs: number | undefined;
  readonly expiresMs: number | undefined;
  readonly lengthMax: number | undefined;
  readonly isRefusing: boolean;
  readonly priorityMax: number;
  readonly isQuorum: boolean;
  readonly deliveryLimit: number;
  readonly hasDeadLetters: boolean;
}

export interface ModelMessage {
  readonly id: number;
  readonly priority: number;
  /** Whether a restart keeps it. */
  readonly isPersistent: boolean;
  /** Whether its sender asked for that. */
  readonly isMarked: boolean;
  readonly expiresAtMs: number;
  position: number;
  returns: number;
  isRedelivered: boolean;
}

export interface ModelConsumer {
  readonly name: string;
  credit: number;
  /** Handed to it and not settled, in the order of delivery. */
  unsettled: ModelMessage[];
}

/** What a queue is to do, in the plainest way: one sorted list, no timers, no store, nothing clever. */
export class QueueModel {
  readonly shape: QueueShape;
  ready: ModelMessage[] = [];
  consumers: ModelConsumer[] = [];
  /** Taken by `basic.get` and not settled. */
  taken: ModelMessage[] = [];
  /** Dead letters: `id reason`, and whether a restart keeps them. */
  dead: { readonly text: string; readonly isPersistent: boolean }[] = [];
  nowMs = 0;
  #usedAtMs = 0;
  #turn = 0;
  #positionLast = 0;
  /** Position up to which messages were handed out and came back. */
  #seenUpTo = 0;

  constructor(shape: QueueShape) {
    this.shape = shape;
  }

  get unsettledCount(): number {
    return this.consumers.reduce((sum, { unsettled }) => sum + unsettled.length, this.taken.length);
  }

  /** False when the queue refuses. */
  publish(wish: {
    readonly id: number;
    readonly priority: number;
    readonly isPersistent: boolean;
    readonly ttlMs: number;
  }): boolean {
    const { lengthMax = Infinity, isRefusing, messageTtlMs = Infinity, priorityMax } = this.shape;
    if (isRefusing && this.ready.length >= lengthMax) return false;
    const message: ModelMessage = {
      id: wish.id,
      priority: Math.min(wish.priority, priorityMax),
      isPersistent: wish.isPersistent || this.shape.isQuorum,
      isMarked: wish.isPersistent,
      expiresAtMs: this.nowMs + Math.min(wish.ttlMs, messageTtlMs),
      position: ++this.#positionLast,
      returns: 0,
      isRedelivered: false,
    };
    const consumer = this.ready.length === 0 ? this.#next() : undefined;
    if (consumer !== undefined) consumer.unsettled.push(message);
    else if (message.expiresAtMs <= this.nowMs) this.#die(message, 'expired');
    else {
      this.#insert(message);
      this.#trim();
      this.#expire();
    }
    return true;
  }

  get(): ModelMessage | undefined {
    this.#usedAtMs = this.nowMs;
    this.#expire();
    const message = this.ready.shift();
    if (message !== undefined) this.taken.push(message);
    this.#expire();
    return message;
  }

  consume(name: string, credit: number): void {
    this.#usedAtMs = this.nowMs;
    this.consumers.push({ name, credit, unsettled: [] });
    this.#dispatch();
  }

  /** The consumer goes, and what it has not settled comes back. */
  cancel(consumer: ModelConsumer): void {
    consumer.credit = 0;
    this.#giveBack(consumer.unsettled.splice(0));
    const at = this.consumers.indexOf(consumer);
    this.consumers.splice(at, 1);
    if (at < this.#turn) this.#turn--;
    this.#usedAtMs = this.nowMs;
    this.#dispatch();
  }

  settle(from: ModelMessage[], count: number, how: 'ack' | 'requeue' | 'reject'): void {
    const settled = from.splice(0, count);
    if (how === 'requeue') return this.#giveBack(settled);
    if (how === 'reject') for (const message of settled) this.#die(message, 'rejected');
    this.#dispatch();
  }

  purge(): number {
    return this.ready.splice(0).length;
  }

  /** True when the queue ended because nobody used it. */
  advance(ms: number): boolean {
    const { expiresMs = Infinity } = this.shape;
    const endsAtMs = this.consumers.length > 0 ? Infinity : this.#usedAtMs + expiresMs;
    this.nowMs += ms;
    if (endsAtMs > this.nowMs) {
      this.#expire();
      return false;
    }
    for (const message of this.ready.splice(0)) this.#die(message, 'expired');
    this.taken = [];
    this.consumers = [];
    this.#turn = 0;
    this.declared();
    return true;
  }

  /** The queue is there anew. */
  declared(): void {
    this.#usedAtMs = this.nowMs;
  }

  /**
   * What was not safe is gone, and what was out is back. After an orderly stop it is known how far messages were handed
   * out; after a crash everything may have been.
   */
  restart(how: 'stop' | 'crash'): void {
    const out = [...this.taken, ...this.consumers.flatMap(({ unsettled }) => unsettled)];
    const kept = [...this.ready, ...out].filter(({ isPersistent }) => isPersistent);
    this.ready = [];
    this.taken = [];
    this.consumers = [];
    this.#turn = 0;
    const seen = how === 'crash' ? kept : out;
    this.#seenUpTo = Math.max(this.#seenUpTo, ...seen.map(({ position }) => position));
    for (const message of kept) {
      this.#insert({ ...message, isRedelivered: message.position <= this.#seenUpTo, returns: 0 });
    }
    this.dead = this.dead.filter(({ isPersistent }) => isPersistent);
    this.#usedAtMs = this.nowMs;
    this.#expire();
  }

  #giveBack(messages: readonly ModelMessage[]): void {
    for (const message of messages.toSorted((a, b) => b.position - a.position)) {
      message.isRedelivered = true;
      this.#seenUpTo = Math.max(this.#seenUpTo, message.position);
      message.returns++;
      if (this.shape.isQuorum && message.returns > this.shape.deliveryLimit) this.#die(message, 'delivery_limit');
      else this.#insert(message);
    }
    this.#trim();
    this.#dispatch();
  }

  #dispatch(): void {
    while (this.ready.length > 0) {
      const consumer = this.#next();
      if (consumer === undefined) break;
      this.#expire();
      const message = this.ready.shift();
      if (message === undefined) break;
      consumer.unsettled.push(message);
    }
    this.#expire();
  }

  #next(): ModelConsumer | undefined {
    const { length } = this.consumers;
    for (let step = 0; step < length; step++) {
      const at = (this.#turn + step) % length;
      const consumer = this.consumers[at];
      if (consumer === undefined || consumer.unsettled.length >= consumer.credit) continue;
      this.#turn = (at + 1) % length;
      return consumer;
    }
    return undefined;
  }

  #insert(message: ModelMessage): void {
    this.ready.push(message);
    this.ready.sort((a, b) => b.priority - a.priority || a.position - b.position);
  }

  /** Drops what would be served next. */
  #trim(): void {
    const { lengthMax = Infinity, isRefusing } = this.shape;
    while (!isRefusing && this.ready.length > lengthMax) {
      for (const message of this.ready.splice(0, 1)) this.#die(message, 'maxlen');
    }
  }

  /** Only the first message of each priority is looked at. */
  #expire(): void {
    for (;;) {
      const isHead = (message: ModelMessage, at: number): boolean => this.ready[at - 1]?.priority !== message.priority;
      const at = this.ready.findIndex((message, index) => isHead(message, index) && message.expiresAtMs <= this.nowMs);
      if (at < 0) return;
      for (const message of this.ready.splice(at, 1)) this.#die(message, 'expired');
    }
  }

  #die({ id, isMarked }: ModelMessage, reason: string): void {
    if (this.shape.hasDeadLetters) this.dead.push({ text: `${id} ${reason}`, isPersistent: isMarked });
  }
}
