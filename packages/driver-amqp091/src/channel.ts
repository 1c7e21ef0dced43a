import {
  ContentAssembler,
  ProtocolError,
  type BodyFrame,
  type Command,
  type HeaderFrame,
  type MethodFrame,
  type MethodName,
  type MethodNamed,
  type OutgoingContent,
  type OutgoingContentMethod,
  type OutgoingMethod,
} from '@torcello/amqp091';
import type { MessagingError } from '@torcello/messaging';
import { channelClosed, closedByUs } from './broker-errors.js';
import { driverLimits } from './limits.js';

/** What the broker sends unasked. */
export interface ChannelListener {
  onCommand?(command: Command): void;
  /** The channel is over: closed by the broker, by us (CLOSED), or with its connection. */
  onEnd?(reason: MessagingError): void;
  /** Right before bytes leave; only after `flushSoon` or `flushLater`. */
  onFlush?(): void;
}

/** What a channel needs of its connection. */
export interface ChannelHost {
  send(channel: number, method: OutgoingMethod): void;
  sendContent(channel: number, method: OutgoingContentMethod, content: OutgoingContent): void;
  /** Calls the channel's `flush` before the bytes of this turn leave. */
  wantFlush(channel: Channel): void;
  /** Calls the channel's `flush` before the next bytes leave, and soon in any case. */
  wantFlushLater(channel: Channel): void;
  /** The number is free again. */
  forget(channel: Channel): void;
  /** The broker broke the protocol. */
  refuse(error: ProtocolError): void;
}

interface Waiter {
  readonly replies: readonly MethodName[];
  readonly resolve: (command: Command) => void;
  readonly reject: (reason: MessagingError) => void;
}

type State = 'open' | 'closing' | 'closed';

/** One AMQP channel: requests answered in order, and a listener for the rest. */
export class Channel {
  readonly id: number;
  readonly #host: ChannelHost;
  readonly #assembler = new ContentAssembler({ messageSizeBytesMax: driverLimits.incomingMessageBytesMax });
  #waiters: Waiter[] = [];
  #listener: ChannelListener = {};
  #state: State = 'open';
  #end: MessagingError | undefined;
  #isFlushWanted = false;

  constructor(id: number, host: ChannelHost) {
    this.id = id;
    this.#host = host;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener;
    if (this.#end !== undefined) listener.onEnd?.(this.#end);
  }

  /** Sends without an answer; nothing happens on a channel that is over. */
  send(method: OutgoingMethod): void {
    if (this.#state === 'open') this.#host.send(this.id, method);
  }

  /** @throws EncodeError, and then nothing was sent. */
  sendContent(method: OutgoingContentMethod, content: OutgoingContent): void {
    if (this.#state === 'open') this.#host.sendContent(this.id, method, content);
  }

  /**
   * Sends and waits for one of the answers. Several requests may be under way; answers come in their order.
   * @throws MessagingError: the broker closed the channel or the connection is over.
   */
  async request<N extends MethodName>(method: OutgoingMethod, ...replies: readonly N[]): Promise<MethodNamed<N>> {
    const { method: answer } = await this.requestContent(method, ...replies);
    return answer as unknown as MethodNamed<N>;
  }

  /** As `request`, for answers that carry content. */
  requestContent(method: OutgoingMethod, ...replies: readonly MethodName[]): Promise<Command> {
    if (this.#state !== 'open') return Promise.reject(this.#end ?? closedByUs());
    return this.#ask(method, replies);
  }

  /** Says goodbye; resolves when the channel is over, whatever the reason. Never rejects. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.flush();
    const goodbye = this.#ask({ name: 'channel.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 }, [
      'channel.close-ok',
    ]);
    this.#state = 'closing';
    await goodbye.catch(() => undefined);
  }

  /** `onFlush` is called before the bytes of this turn leave. */
  flushSoon(): void {
    if (this.#isFlushWanted || this.#state !== 'open') return;
    this.#isFlushWanted = true;
    this.#host.wantFlush(this);
  }

  /** `onFlush` is called before the next bytes leave: nothing of this channel is worth a write of its own. */
  flushLater(): void {
    if (this.#isFlushWanted || this.#state !== 'open') return;
    this.#isFlushWanted = true;
    this.#host.wantFlushLater(this);
  }

  flush(): void {
    this.#isFlushWanted = false;
    if (this.#state === 'open') this.#listener.onFlush?.();
  }

  /** A frame of this channel came in. */
  push(frame: MethodFrame | HeaderFrame | BodyFrame): void {
    let command: Command | undefined;
    try {
      command = this.#assembler.push(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.#host.refuse(error);
    }
    if (command !== undefined) this.#onCommand(command);
  }

  /** The connection is over, and the channel with it. */
  lose(reason: MessagingError): void {
    this.#finish(reason);
  }

  #ask(method: OutgoingMethod, replies: readonly MethodName[]): Promise<Command> {
    this.#host.send(this.id, method);
    return new Promise((resolve, reject) => this.#waiters.push({ replies, resolve, reject }));
  }

  #onCommand(command: Command): void {
    const { method } = command;
    switch (method.name) {
      case 'basic.deliver':
      case 'basic.return':
      case 'basic.ack':
      case 'basic.nack':
      case 'basic.cancel':
        return this.#listener.onCommand?.(command);
      case 'channel.flow':
        return this.send({ name: 'channel.flow-ok', active: method.active });
      case 'channel.close':
        this.#host.send(this.id, { name: 'channel.close-ok' });
        this.#host.forget(this);
        return this.#finish(channelClosed(method));
      default:
        return this.#onReply(command);
    }
  }

  #onReply(command: Command): void {
    const { name } = command.method;
    // Both sides may close at the same time; the second answer is then nobody's.
    if (name === 'channel.close-ok' && this.#waiters[0]?.replies.includes(name) !== true) return;
    const waiter = this.#waiters.shift();
    if (waiter === undefined || !waiter.replies.includes(name)) {
      return this.#host.refuse(new ProtocolError('UNEXPECTED_FRAME', `nobody asked for ${name}`));
    }
    if (name === 'channel.close-ok') {
      this.#host.forget(this);
      this.#finish(closedByUs());
    }
    waiter.resolve(command);
  }

  #finish(reason: MessagingError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#end = reason;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(reason);
    this.#listener.onEnd?.(reason);
  }
}
