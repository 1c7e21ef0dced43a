import { MessagingError } from '@torcello/messaging';
import type { Clock } from '@torcello/platform';
import type { Delivery, EventContext, Receiver, Session } from 'rhea';
import type { Engine } from './engine.js';
import { conditionOf, linkError, lossOf, type Condition } from './errors.js';
import { driverLimits } from './limits.js';
import { Outcomes, type OutcomeKind } from './outcomes.js';

export interface ReceiverLinkOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Undefined: the peer makes a node and names it. */
  readonly address: string | undefined;
  readonly nodeCapabilities: readonly string[];
  /** Shown by the peer's tools. */
  readonly targetAddress?: string;
  readonly messageSizeBytesMax: number;
  readonly onMessage: (message: Readonly<Record<string, unknown>>, delivery: Delivery) => void;
}

/** A link on which messages come in, in a session of its own. Credit is given by its owner. */
export class ReceiverLink {
  /** Settles once: undefined when this program ended it, else why. Never rejects. */
  readonly ended: Promise<MessagingError | undefined>;
  readonly #options: ReceiverLinkOptions;
  readonly #session: Session;
  readonly #receiver: Receiver;
  readonly #attached: Promise<string>;
  readonly #outcomes = new Outcomes();
  #settleAttached:
    | { readonly resolve: (address: string) => void; readonly reject: (error: MessagingError) => void }
    | undefined;
  #settleEnded: (reason: MessagingError | undefined) => void = () => undefined;
  #onDrained: () => void = () => undefined;
  #onDetached: () => void = () => undefined;
  #isEnded = false;
  #isDetaching = false;

  constructor(options: ReceiverLinkOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => (this.#settleEnded = resolve));
    this.#attached = new Promise((resolve, reject) => (this.#settleAttached = { resolve, reject }));
    this.#attached.catch(() => undefined);
    const { engine, address, nodeCapabilities } = options;
    const capabilities = nodeCapabilities.length === 0 ? {} : { capabilities: [...nodeCapabilities] };
    const where = address === undefined ? { dynamic: true } : { address };
    this.#session = engine.newSession();
    this.#receiver = this.#session.open_receiver({
      source: { ...where, ...capabilities },
      target: { address: options.targetAddress ?? address },
      credit_window: 0,
      autoaccept: false,
      autosettle: true,
      rcv_settle_mode: 0,
      max_message_size: options.messageSizeBytesMax,
    });
    this.#listen();
    void engine.closed.then(() => this.#finish(lossOf(engine.end ?? linkError(undefined, this.#what()), false)));
  }

  /** Resolves with the address of the node when the peer has taken the link. @throws NOT_FOUND, ACCESS_REFUSED, … */
  attached(): Promise<string> {
    return this.#attached;
  }

  /** Writes the outcome of a delivery; false when the link is over. */
  settle(kind: OutcomeKind, write: () => void): boolean {
    if (this.#isEnded) return false;
    this.#outcomes.settle(kind, write);
    return true;
  }

  addCredit(count: number): void {
    if (!this.#isEnded && count > 0) this.#receiver.add_credit(count);
  }

  /** Resolves when the peer says that nothing more comes for the credit that it has, or when the link is over. */
  drain(): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onDrained = resolve;
      this.#receiver.drain_credit();
    });
  }

  /**
   * Detaches and resolves when the peer has answered; until then messages may come. What came can be settled until
   * `close`, because the session stays.
   */
  async detach(): Promise<void> {
    if (this.#isEnded || this.#isDetaching) return;
    this.#isDetaching = true;
    const answered = new Promise<void>((resolve) => (this.#onDetached = resolve));
    this.#receiver.close();
    const timer = this.#options.clock.after(driverLimits.linkReplyMs, () => this.#finish(undefined));
    await Promise.race([answered, this.ended]);
    timer.cancel();
  }

  async close(): Promise<void> {
    await this.detach();
    await this.#outcomes.idle();
    this.#finish(undefined);
  }

  #listen(): void {
    const receiver = this.#receiver;
    receiver.on('receiver_open', () => this.#onOpen());
    receiver.on('receiver_drained', () => this.#onDrained());
    receiver.on('message', (context: EventContext) => {
      if (this.#isEnded || context.message === undefined || context.delivery === undefined) return;
      this.#options.onMessage(context.message as unknown as Readonly<Record<string, unknown>>, context.delivery);
    });
    receiver.on('receiver_error', () => this.#onPeerEnd(conditionOf(receiver.error)));
    receiver.on('receiver_close', () => this.#onPeerEnd(conditionOf(receiver.error)));
    this.#session.on('session_error', () => this.#onPeerEnd(conditionOf(this.#session.error)));
    this.#session.on('session_close', () => this.#onPeerEnd(conditionOf(this.#session.error)));
  }

  /** Without a source the peer refuses, and says why in the detach that follows (§2.6.3). */
  #onOpen(): void {
    const source = this.#receiver.source as { address?: unknown } | null | undefined;
    if (typeof source?.address === 'string') this.#settleAttached?.resolve(source.address);
  }

  #onPeerEnd(condition: Condition | undefined): void {
    if (this.#isEnded) return;
    if (this.#isDetaching && condition === undefined) this.#onDetached();
    else this.#finish(linkError(condition, this.#what()));
  }

  #finish(reason: MessagingError | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#settleAttached?.reject(reason ?? linkError(undefined, this.#what()));
    this.#onDrained();
    this.#settleEnded(reason);
    if (reason === undefined || reason.radius !== 'connection') this.#session.close();
  }

  #what(): { readonly address: string; readonly otherwise: 'CONSUMER_ENDED' } {
    return { address: this.#options.address ?? 'a node of the peer', otherwise: 'CONSUMER_ENDED' };
  }
}
