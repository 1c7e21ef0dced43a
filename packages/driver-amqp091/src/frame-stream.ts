import type { Duplex } from 'node:stream';
import { FrameReader, FrameWriter, ProtocolError, type Frame } from '@torcello/amqp091';
import type { MessagingError } from '@torcello/messaging';
import { brokenProtocol, connectionLost } from './broker-errors.js';
import { driverLimits } from './limits.js';

/** Who is told about frames, the end of the stream, and free room in it. */
export interface FrameListener {
  onFrame(frame: Frame): void;
  onEnd(reason: MessagingError): void;
  onDrain?(): void;
  /** Called right before bytes leave, for what was gathered during the turn. */
  onFlush?(): void;
}

/**
 * Frames over a byte stream: everything written during one turn of the event loop leaves in one write. Frames that
 * come while nobody listens are kept, so that a hand-over between listeners loses nothing.
 */
export class FrameStream {
  readonly writer: FrameWriter = new FrameWriter();
  readonly reader: FrameReader = new FrameReader({ role: 'client' });
  readonly #stream: Duplex;
  #listener: FrameListener | undefined;
  #backlog: Frame[] = [];
  #end: MessagingError | undefined;
  #isFlushPlanned = false;
  #bytesRead = 0;
  #bytesWritten = 0;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Uint8Array) => this.#onData(chunk));
    stream.on('error', (error) => this.destroy(connectionLost(error.message, error)));
    stream.on('close', () => this.destroy(connectionLost('the broker went away')));
    stream.on('end', () => this.destroy(connectionLost('the broker went away')));
    stream.on('drain', () => this.#listener?.onDrain?.());
  }

  /** Grow with every byte; compare to see whether there was traffic. */
  get bytesRead(): number {
    return this.#bytesRead;
  }
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** More is waiting for the socket than should be. */
  get isCongested(): boolean {
    return this.#stream.writableLength + this.writer.byteLength > driverLimits.socketBacklogBytesMax;
  }

  /** Hands over everything that comes from now on, and what came while nobody listened. */
  listen(listener: FrameListener | undefined): void {
    this.#listener = listener;
    this.#deliverBacklog();
    if (this.#end !== undefined) this.#listener?.onEnd(this.#end);
  }

  /** The written bytes leave at the end of this turn of the event loop. */
  flushSoon(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    setImmediate(() => {
      this.#isFlushPlanned = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.#end !== undefined) return;
    this.#listener?.onFlush?.();
    this.#bytesWritten += this.writer.byteLength;
    const chunks = this.writer.take();
    if (chunks.length > 1) this.#stream.cork();
    for (const chunk of chunks) this.#stream.write(chunk);
    if (chunks.length > 1) this.#stream.uncork();
  }

  /** Ends the stream at once; the listener hears the reason, once. */
  destroy(reason: MessagingError): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    // Ending first lets the last words out, where the other side still listens; a pipe only knows ends.
    this.#stream.end();
    setImmediate(() => this.#stream.destroy());
    this.#listener?.onEnd(reason);
  }

  #onData(chunk: Uint8Array): void {
    this.#bytesRead += chunk.byteLength;
    this.reader.push(chunk);
    try {
      for (let frame = this.reader.next(); frame !== undefined; frame = this.reader.next()) {
        if (this.#end !== undefined) return;
        if (this.#listener === undefined) this.#backlog.push(frame);
        else this.#listener.onFrame(frame);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.refuse(error);
    }
  }

  /** Tells the broker what it did wrong, and goes. */
  refuse(error: ProtocolError): void {
    if (this.#end !== undefined) return;
    const { replyCode, classId, methodId } = error;
    this.writer.method(0, { name: 'connection.close', replyCode, replyText: error.replyName, classId, methodId });
    this.flush();
    this.destroy(brokenProtocol(error));
  }

  #deliverBacklog(): void {
    while (this.#listener !== undefined && this.#backlog.length > 0) {
      const frame = this.#backlog.shift();
      if (frame !== undefined && this.#end === undefined) this.#listener.onFrame(frame);
    }
  }
}
