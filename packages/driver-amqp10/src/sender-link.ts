import { MessagingError, type AbortSignalLike, type OutgoingMessage } from '@torcello/messaging';
import type { Delivery, EventContext, Sender, Session } from 'rhea';
import type { Engine } from './engine.js';
import { codeOf, conditionOf, linkError, lossOf, type Condition } from './errors.js';
import { Fifo } from './fifo.js';
import { driverLimits } from './limits.js';
import { toEngine } from './message-format.js';
import { PendingSend } from './pending-send.js';

export interface SenderLinkOptions {
  readonly engine: Engine;
  readonly address: string;
  readonly nodeCapabilities: readonly string[];
}

/**
 * A link on which messages go to one address, and the table of those whose outcome is not known yet: the engine forgets
 * them when the connection is lost, this table rejects every one of them. The peer's credit is the back-pressure.
 */
export class SenderLink {
  readonly address: string;
  readonly #session: Session;
  readonly #sender: Sender;
  readonly #waiting = new Fifo<PendingSend>();
  readonly #unsettled = new Map<Delivery, PendingSend>();
  readonly #opened: Promise<void>;
  #settleOpened: { readonly resolve: () => void; readonly reject: (error: MessagingError) => void } | undefined;
  /** Given to the engine in this turn and not yet taken off the link's credit. */
  #inEngine = 0;
  #state: 'attaching' | 'open' | 'ended' = 'attaching';
  #onIdle: (() => void)[] = [];
  #onEnd: () => void = () => undefined;

  constructor({ engine, address, nodeCapabilities }: SenderLinkOptions) {
    this.address = address;
    this.#opened = new Promise((resolve, reject) => (this.#settleOpened = { resolve, reject }));
    this.#opened.catch(() => undefined);
    this.#session = engine.newSession();
    const capabilities = nodeCapabilities.length === 0 ? {} : { capabilities: [...nodeCapabilities] };
    this.#sender = this.#session.open_sender({
      source: { address },
      target: { address, ...capabilities },
      autosettle: true,
    });
    this.#listen();
    void engine.closed.then(() => this.#lose(engine.end ?? linkError(undefined, this.#what())));
  }

  get isEnded(): boolean {
    return this.#state === 'ended';
  }

  get isIdle(): boolean {
    return this.#waiting.length + this.#unsettled.size === 0;
  }

  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  /** Resolves when the peer has taken the link. @throws what it was refused with. */
  attached(): Promise<void> {
    return this.#opened;
  }

  /** @throws as `DriverConnection.publish`. */
  send(message: OutgoingMessage, signal: AbortSignalLike | undefined): Promise<void> {
    const pending = new PendingSend(message, signal);
    this.#waiting.push(pending);
    this.#pump();
    return pending.settled;
  }

  /** Resolves when every outcome is known. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  close(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#sender.close();
    this.#session.close();
    this.#onEnd();
  }

  #listen(): void {
    const sender = this.#sender;
    sender.on('sender_open', () => this.#onOpen());
    sender.on('sendable', () => this.#pump());
    sender.on('accepted', (context: EventContext) => this.#settle(context, (pending) => pending.resolve()));
    sender.on('rejected', (context: EventContext) =>
      this.#settle(context, (pending) => this.#rejected(pending, context)),
    );
    sender.on('released', (context: EventContext) =>
      this.#settle(context, (pending) => pending.reject(this.#outcome('UNROUTABLE', 'nobody takes it', false))),
    );
    sender.on('modified', (context: EventContext) =>
      this.#settle(context, (pending) => pending.reject(this.#outcome('NOT_CONFIRMED', 'it was given back', true))),
    );
    // After an outcome this finds nothing any more; without one nobody knows.
    sender.on('settled', (context: EventContext) =>
      this.#settle(context, (pending) => pending.reject(this.#outcome('NOT_CONFIRMED', 'it has no outcome', true))),
    );
    const ended = (condition: Condition | undefined) => (): void => this.#refused(condition);
    sender.on('sender_error', () => ended(conditionOf(sender.error))());
    sender.on('sender_close', () => ended(conditionOf(sender.error))());
    this.#session.on('session_error', () => ended(conditionOf(this.#session.error))());
    this.#session.on('session_close', () => ended(conditionOf(this.#session.error))());
  }

  /** Without a target the peer refuses, and says why in the detach that follows (§2.6.3). */
  #onOpen(): void {
    const target = this.#sender.target as { address?: unknown } | null | undefined;
    if (typeof target?.address !== 'string' || this.#state !== 'attaching') return;
    this.#state = 'open';
    this.#settleOpened?.resolve();
    this.#pump();
  }

  #pump(): void {
    while (this.#state === 'open' && this.#hasRoom()) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      if (!next.isDone) this.#give(next);
    }
    if (this.isIdle) this.#tellIdle();
  }

  #hasRoom(): boolean {
    const { credit } = this.#sender as unknown as { readonly credit: number };
    return this.#unsettled.size < driverLimits.unsettledMax && credit - this.#inEngine > 0;
  }

  #give(pending: PendingSend): void {
    const { max_message_size: sizeBytesMax } = this.#sender;
    if (typeof sizeBytesMax === 'number' && sizeBytesMax > 0 && pending.message.body.byteLength > sizeBytesMax) {
      return pending.reject(this.#outcome('TOO_LARGE', `this address takes ${sizeBytesMax} bytes`, false));
    }
    let delivery: Delivery;
    try {
      delivery = this.#sender.send(toEngine(pending.message, this.address) as never);
    } catch (error) {
      return pending.reject(new TypeError(`it cannot be written: ${String(error)}`, { cause: error }));
    }
    pending.isSent = true;
    this.#unsettled.set(delivery, pending);
    if (this.#inEngine === 0) process.nextTick(() => this.#onTurn());
    this.#inEngine += 1;
  }

  /** The engine has written what it was given, and taken it off the credit. */
  #onTurn(): void {
    this.#inEngine = 0;
    this.#pump();
  }

  #settle({ delivery }: EventContext, action: (pending: PendingSend) => void): void {
    const pending = delivery === undefined ? undefined : this.#unsettled.get(delivery);
    if (delivery === undefined || pending === undefined) return;
    this.#unsettled.delete(delivery);
    action(pending);
    this.#pump();
  }

  #rejected(pending: PendingSend, { delivery }: EventContext): void {
    const { error } = (delivery?.remote_state ?? {}) as { error?: unknown };
    const condition = conditionOf(error);
    const said = condition === undefined ? 'it was rejected' : `${condition.condition} ${condition.description}`;
    const code = codeOf(condition, 'NOT_CONFIRMED');
    pending.reject(this.#outcome(code === 'NOT_FOUND' ? 'UNROUTABLE' : code, said, false));
  }

  #outcome(
    code: 'UNROUTABLE' | 'NOT_CONFIRMED' | MessagingError['code'],
    why: string,
    mayArrive: boolean,
  ): MessagingError {
    const details = { address: this.address, mayArrive };
    return new MessagingError(code, `the broker did not take a message for "${this.address}": ${why}`, { details });
  }

  /** The peer ended the link: what was sent has no outcome, what waits never left. */
  #refused(condition: Condition | undefined): void {
    if (this.#state === 'ended') return;
    const reason = linkError(condition, this.#what());
    const code = reason.code === 'NOT_FOUND' || reason.code === 'CONSUMER_ENDED' ? 'UNROUTABLE' : reason.code;
    this.#state = 'ended';
    this.#settleOpened?.reject(reason);
    const told = (mayArrive: boolean): MessagingError =>
      new MessagingError(code, reason.message, { cause: reason, details: { ...reason.details, mayArrive } });
    this.#rejectAll(told(true), told(false));
    this.#session.close();
    this.#onEnd();
  }

  #lose(reason: MessagingError): void {
    if (this.#state !== 'ended') {
      this.#state = 'ended';
      this.#settleOpened?.reject(lossOf(reason, false));
      this.#onEnd();
    }
    this.#rejectAll(lossOf(reason, true), lossOf(reason, false));
  }

  #rejectAll(sent: MessagingError, waiting: MessagingError): void {
    for (const pending of this.#unsettled.values()) pending.reject(sent);
    this.#unsettled.clear();
    for (const pending of this.#waiting.drain()) pending.reject(waiting);
    this.#tellIdle();
  }

  #tellIdle(): void {
    const listeners = this.#onIdle;
    this.#onIdle = [];
    for (const listener of listeners) listener();
  }

  #what(): { readonly address: string; readonly otherwise: 'UNROUTABLE' } {
    return { address: this.address, otherwise: 'UNROUTABLE' };
  }
}
