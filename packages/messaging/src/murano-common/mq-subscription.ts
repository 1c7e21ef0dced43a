import type { Clock } from '@torcello/platform';
import type { Delivery } from '../driver.js';
import { MessagingError } from '../errors.js';
import type { Subscription, Transport } from '../transport/transport.js';
import { parseJson } from '../wire/json.js';

/** A message in the hands of its reader. */
export interface MqDelivery {
  readonly id: string | undefined;
  /** What the JSON says. @throws UNDECODABLE when it is none: reading it throws, and `raw` has the bytes. */
  readonly body: unknown;
  readonly raw: Uint8Array;
  readonly redelivered: boolean;
  /** Done with it. False: too late, the connection was lost, and it will come again. */
  ack(): boolean;
  /** Back to the queue. */
  release(): boolean;
  /** It can never be handled. */
  reject(): boolean;
}

/** A queue that is being read, until it is closed. */
export class MqSubscription implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #arrived: Delivery[] = [];
  readonly #waiting = new Set<() => void>();
  #subscription: Subscription | undefined;
  #unsubscribe: () => void = () => undefined;
  #end: MessagingError | undefined;

  private constructor(clock: Clock) {
    this.#clock = clock;
  }

  static async open(
    transport: Transport,
    options: { readonly queue: string; readonly prefetchCount: number },
  ): Promise<MqSubscription> {
    const { queue, prefetchCount: credit } = options;
    const opened = new MqSubscription(transport.clock);
    // What was not handed out when a connection was lost comes again with the next one.
    opened.#unsubscribe = transport.onState((state) => {
      if (state === 'connecting') opened.#arrived.length = 0;
    });
    try {
      const onDelivery = (delivery: Delivery): void => opened.#arrive(delivery);
      opened.#subscription = await transport.consume({ queue }, { credit, onDelivery });
    } catch (error) {
      opened.#unsubscribe();
      throw error;
    }
    void opened.#subscription.ended.then((reason) => opened.#finish(reason));
    return opened;
  }

  /**
   * The next message, the oldest first; undefined when none came in time. Default: waits until one comes.
   * @throws why there will be none any more: NOT_FOUND, ACCESS_REFUSED, CLOSED.
   */
  async getMessage(options: { readonly timeoutMs?: number } = {}): Promise<MqDelivery | undefined> {
    let isLate = false;
    const { timeoutMs } = options;
    const timer =
      timeoutMs === undefined
        ? undefined
        : this.#clock.after(timeoutMs, () => {
            isLate = true;
            this.#wakeAll();
          });
    try {
      for (;;) {
        const delivery = this.#arrived.shift();
        if (delivery !== undefined) return messageOf(delivery);
        if (this.#end !== undefined) throw this.#end;
        if (isLate) return undefined;
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      timer?.cancel();
    }
  }

  /** Ends it, and gives back what was not handed out. Messages in hand can still be acknowledged. */
  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#subscription?.stop();
    for (const delivery of this.#arrived.splice(0)) delivery.release();
    this.#finish(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #arrive(delivery: Delivery): void {
    this.#arrived.push(delivery);
    this.#wakeAll();
  }

  #finish(reason: MessagingError | undefined): void {
    this.#end ??= reason ?? new MessagingError('CLOSED', 'the subscription was closed');
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

function messageOf(delivery: Delivery): MqDelivery {
  const { message, redelivered } = delivery;
  const { messageId } = message.properties;
  const inHeader = message.headers['message_id'];
  return {
    id: messageId ?? (typeof inHeader === 'string' ? inHeader : undefined),
    get body() {
      return readBody(message.body);
    },
    raw: message.body,
    redelivered,
    ack: () => delivery.accept(),
    release: () => delivery.release(),
    reject: () => delivery.reject(),
  };
}

function readBody(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new MessagingError('UNDECODABLE', 'the body is not JSON', { cause });
  }
}
