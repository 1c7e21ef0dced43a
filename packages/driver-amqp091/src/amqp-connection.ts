import {
  ProtocolError,
  type Frame,
  type Method,
  type OutgoingContent,
  type OutgoingContentMethod,
  type OutgoingMethod,
} from '@torcello/amqp091';
import { sleep, type Clock, type Timer } from '@torcello/platform';
import { MessagingError } from '@torcello/messaging';
import { closedByUs, connectionClosed, connectionLost } from './broker-errors.js';
import { Channel, type ChannelHost } from './channel.js';
import type { FrameStream } from './frame-stream.js';
import type { Agreement } from './handshake.js';
import { Heartbeat } from './heartbeat.js';
import { driverLimits } from './limits.js';

/** One open AMQP connection: its channels, its heartbeat, its end. */
export class AmqpConnection implements ChannelHost {
  readonly agreement: Agreement;
  /** Settles once: undefined after `close`, else the reason. Never rejects. */
  readonly closed: Promise<MessagingError | undefined>;
  readonly #stream: FrameStream;
  readonly #clock: Clock;
  readonly #heartbeat: Heartbeat | undefined;
  readonly #channels = new Map<number, Channel>();
  readonly #freeIds: number[] = [];
  readonly #roomListeners = new Set<() => void>();
  #lastId = 0;
  #dirty: Channel[] = [];
  #later: Timer | undefined;
  #isBlocked = false;
  #isClosing = false;
  #end: MessagingError | undefined;
  #settleClosed: (reason: MessagingError | undefined) => void = () => undefined;

  constructor(stream: FrameStream, agreement: Agreement, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.agreement = agreement;
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
    this.#heartbeat = this.#startHeartbeat(agreement.heartbeatSeconds * 1000);
    stream.listen({
      onFrame: (frame) => this.#onFrame(frame),
      onEnd: (reason) => this.#finish(reason),
      onDrain: () => this.#tellRoom(),
      onFlush: () => this.#flushChannels(),
    });
  }

  get isOpen(): boolean {
    return this.#end === undefined && !this.#isClosing;
  }
  /** The broker asked publishers to pause. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }
  /** Whether a publisher should wait: the broker or the socket has enough. */
  get hasRoom(): boolean {
    return !this.#isBlocked && !this.#stream.isCongested;
  }

  /** Called whenever `hasRoom` or `isBlocked` may have changed. */
  onRoom(listener: () => void): void {
    this.#roomListeners.add(listener);
  }

  /** @throws MessagingError CLOSED, CONNECTION_LOST, or CONNECT_FAILED when all channel numbers are in use. */
  async openChannel(): Promise<Channel> {
    if (this.#end !== undefined) throw this.#end;
    if (this.#isClosing) throw closedByUs();
    const channel = new Channel(this.#nextId(), this);
    this.#channels.set(channel.id, channel);
    await channel.request({ name: 'channel.open' }, 'channel.open-ok');
    return channel;
  }

  send(channel: number, method: OutgoingMethod): void {
    if (this.#end !== undefined) return;
    this.#stream.writer.method(channel, method);
    this.#stream.flushSoon();
  }

  sendContent(channel: number, method: OutgoingContentMethod, content: OutgoingContent): void {
    if (this.#end !== undefined) return;
    this.#stream.writer.content(channel, method, content);
    this.#stream.flushSoon();
  }

  wantFlush(channel: Channel): void {
    this.#dirty.push(channel);
    this.#stream.flushSoon();
  }

  wantFlushLater(channel: Channel): void {
    this.#dirty.push(channel);
    this.#later ??= this.#clock.after(driverLimits.answerAcceptDelayMs, () => {
      this.#later = undefined;
      this.#stream.flushSoon();
    });
  }

  forget(channel: Channel): void {
    if (this.#channels.get(channel.id) !== channel) return;
    this.#channels.delete(channel.id);
    this.#freeIds.push(channel.id);
  }

  refuse(error: ProtocolError): void {
    this.#stream.refuse(error);
  }

  /** Ends it at once, for this reason. */
  lose(reason: MessagingError): void {
    this.#stream.destroy(reason);
  }

  /** Says goodbye and waits for the answer, for a while. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#end === undefined && !this.#isClosing) {
      this.#flushChannels();
      this.#isClosing = true;
      this.send(0, { name: 'connection.close', replyCode: 200, replyText: 'Goodbye', classId: 0, methodId: 0 });
      const waiting = new AbortController();
      const patience = sleep(this.#clock, driverLimits.closeReplyMs, waiting.signal).then(
        () => this.#stream.destroy(closedByUs()),
        () => undefined,
      );
      await this.closed;
      waiting.abort();
      await patience;
    }
    await this.closed;
  }

  #startHeartbeat(intervalMs: number): Heartbeat | undefined {
    if (intervalMs === 0) return undefined;
    return new Heartbeat({
      clock: this.#clock,
      intervalMs,
      traffic: this.#stream,
      beat: () => {
        this.#stream.writer.heartbeat();
        this.#stream.flush();
      },
      onSilence: () => this.lose(connectionLost(`nothing was heard for two heartbeats of ${intervalMs} ms`)),
    });
  }

  #nextId(): number {
    const free = this.#freeIds.pop();
    if (free !== undefined) return free;
    if (this.#lastId >= this.agreement.channelsMax) {
      const details = { channelsMax: this.agreement.channelsMax };
      throw new MessagingError('QUOTA_EXCEEDED', 'every channel of the connection is in use', { details });
    }
    this.#lastId += 1;
    return this.#lastId;
  }

  #onFrame(frame: Frame): void {
    if (frame.type === 'heartbeat') return;
    if (frame.type === 'protocolHeader') return this.refuse(unexpected('a protocol header'));
    if (frame.channel !== 0) {
      const channel = this.#channels.get(frame.channel);
      // Frames for a channel that we gave up may still be under way: the broker had not heard of it.
      return channel?.push(frame);
    }
    if (frame.type !== 'method') return this.refuse(unexpected('content on channel 0'));
    this.#onMethod(frame.method);
  }

  #onMethod(method: Method): void {
    switch (method.name) {
      case 'connection.close':
        this.#stream.writer.method(0, { name: 'connection.close-ok' });
        this.#stream.flush();
        return this.#stream.destroy(this.#isClosing ? closedByUs() : connectionClosed(method));
      case 'connection.close-ok':
        return this.#stream.destroy(closedByUs());
      case 'connection.blocked':
        return this.#setBlocked(true);
      case 'connection.unblocked':
        return this.#setBlocked(false);
      default:
        return this.refuse(unexpected(`${method.name} on channel 0`));
    }
  }

  #setBlocked(isBlocked: boolean): void {
    this.#isBlocked = isBlocked;
    this.#tellRoom();
  }

  #tellRoom(): void {
    for (const listener of this.#roomListeners) listener();
  }

  #flushChannels(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = [];
    for (const channel of dirty) channel.flush();
  }

  #finish(reason: MessagingError): void {
    if (this.#end !== undefined) return;
    const isOurs = this.#isClosing;
    this.#end = isOurs ? closedByUs() : reason;
    this.#heartbeat?.stop();
    this.#later?.cancel();
    for (const channel of this.#channels.values()) channel.lose(this.#end);
    this.#channels.clear();
    this.#setBlocked(false);
    this.#settleClosed(isOurs ? undefined : reason);
  }
}

function unexpected(what: string): ProtocolError {
  return new ProtocolError('UNEXPECTED_FRAME', `did not expect ${what}`);
}
