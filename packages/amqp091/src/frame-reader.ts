import { ByteReader } from './byte-reader.js';
import { ProtocolError } from './errors.js';
import type { DecodeTableOptions } from './field-table.js';
import { frameEnd, frameTypes } from './frame-writer.js';
import { frameOverheadBytes, frameSizeBytesDefault } from './limits.js';
import { readMethod } from './method-codec.js';
import type { Method } from './method-types.js';

/** One frame, read and checked. Bytes inside are views of what was pushed. */
export type Frame = ProtocolHeaderFrame | MethodFrame | HeaderFrame | BodyFrame | HeartbeatFrame;

/** The first eight bytes of a client, or of a server that wants another version. */
export interface ProtocolHeaderFrame {
  readonly type: 'protocolHeader';
  /** Whether it asks for AMQP 0-9-1, or for 0-9, whose clients are content with it. */
  readonly isSupported: boolean;
  readonly bytes: Uint8Array;
}
export interface MethodFrame {
  readonly type: 'method';
  readonly channel: number;
  readonly method: Method;
}
export interface HeaderFrame {
  readonly type: 'header';
  readonly channel: number;
  readonly classId: number;
  readonly bodySizeBytes: number;
  /** Flags and values, still encoded: for `decodeProperties`, and to be passed on. */
  readonly propertyBytes: Uint8Array;
}
export interface BodyFrame {
  readonly type: 'body';
  readonly channel: number;
  readonly payload: Uint8Array;
}
export interface HeartbeatFrame {
  readonly type: 'heartbeat';
}

export interface FrameReaderOptions extends DecodeTableOptions {
  /** A server's first eight bytes are a protocol header, whatever they hold. A client sees one only when refused. */
  readonly role: 'client' | 'server';
  /** The largest frame to accept; settable later, when tuning is done. Default 128 KiB. */
  readonly frameSizeBytesMax?: number;
}

const headBytes = 7;
const protocolHeaderBytes = 8;
const heartbeat: HeartbeatFrame = { type: 'heartbeat' };
const supported = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]);
/** What clients of AMQP 0-9 send, and some libraries for 0-9-1; RabbitMQ takes it as that. */
const alsoSupported = Buffer.from([0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 9]);

/**
 * Cuts a stream of bytes, however it was split, into frames. `push` a chunk, then call `next` until it gives undefined.
 * Holds at most one unfinished frame, and refuses one that says it is too large before any of it is kept. After a
 * `ProtocolError` the stream is lost: every further `next` throws the same error.
 */
export class FrameReader {
  /** The largest frame to accept, the eight bytes around the payload included. */
  frameSizeBytesMax: number;
  readonly #options: FrameReaderOptions;
  #chunk: Buffer = Buffer.alloc(0);
  #offset = 0;
  /** The beginning of a frame that goes over a chunk's end. */
  #partial: Buffer | undefined;
  #partialLength = 0;
  #isAtStart = true;
  #error: ProtocolError | undefined;

  constructor(options: FrameReaderOptions) {
    this.#options = options;
    this.frameSizeBytesMax = options.frameSizeBytesMax ?? frameSizeBytesDefault;
  }

  /** Takes the next bytes of the stream. They must not change afterwards. */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const isDrained = this.#offset === this.#chunk.length;
    this.#chunk = isDrained ? bytes : Buffer.concat([this.#chunk.subarray(this.#offset), bytes]);
    this.#offset = 0;
  }

  /** The next whole frame, or undefined when more bytes are needed. */
  next(): Frame | undefined {
    if (this.#error !== undefined) throw this.#error;
    try {
      return this.#next();
    } catch (error) {
      if (error instanceof ProtocolError) this.#fail(error);
      throw error;
    }
  }

  #fail(error: ProtocolError): void {
    this.#error = error;
    this.#partial = undefined;
    this.#chunk = Buffer.alloc(0);
    this.#offset = 0;
  }

  #next(): Frame | undefined {
    if (this.#partialLength === 0 && !this.#isAtStart && this.#chunk.length - this.#offset >= headBytes) {
      const [chunk, at] = [this.#chunk, this.#offset];
      const size = chunk.readUInt32BE(at + 3);
      if (chunk.length - at >= size + frameOverheadBytes) return this.#wholeFrame(chunk, at, size);
    }
    return this.#cutFrame();
  }

  /** A frame that lies within the chunk, as nearly all do. */
  #wholeFrame(chunk: Buffer, at: number, size: number): Frame {
    const [type, channel] = [chunk.readUInt8(at), chunk.readUInt16BE(at + 1)];
    this.#check(type, channel, size);
    const end = at + headBytes + size;
    this.#offset = end + 1;
    if (chunk[end] !== frameEnd) throw new ProtocolError('FRAME_ERROR', 'the frame has no end mark');
    return this.#frame(type, channel, chunk.subarray(at + headBytes, end));
  }

  /** A frame of which a part came before or is still to come. */
  #cutFrame(): Frame | undefined {
    const head = this.#peek(headBytes);
    if (head === undefined) return undefined;
    if (this.#isAtStart && (this.#options.role === 'server' || head[0] === supported[0])) return this.#protocolHeader();
    const type = head.readUInt8(0);
    const channel = head.readUInt16BE(1);
    const size = head.readUInt32BE(3);
    this.#check(type, channel, size);
    const frame = this.#take(size + frameOverheadBytes);
    if (frame === undefined) return undefined;
    this.#isAtStart = false;
    if (frame[frame.length - 1] !== frameEnd) throw new ProtocolError('FRAME_ERROR', 'the frame has no end mark');
    return this.#frame(type, channel, frame.subarray(headBytes, headBytes + size));
  }

  #protocolHeader(): ProtocolHeaderFrame | undefined {
    const bytes = this.#take(protocolHeaderBytes);
    if (bytes === undefined) return undefined;
    this.#isAtStart = false;
    const isSupported = bytes.equals(supported) || bytes.equals(alsoSupported);
    return { type: 'protocolHeader', isSupported, bytes };
  }

  #check(type: number, channel: number, size: number): void {
    if (type !== 1 && type !== 2 && type !== 3 && type !== 8) {
      throw new ProtocolError('FRAME_ERROR', `there is no frame type ${type}`);
    }
    if (size + frameOverheadBytes > this.frameSizeBytesMax) {
      const text = `a frame of ${size + frameOverheadBytes} bytes is over ${this.frameSizeBytesMax}`;
      throw new ProtocolError('FRAME_ERROR', text);
    }
    if (type !== frameTypes.heartbeat) return;
    if (size !== 0) throw new ProtocolError('FRAME_ERROR', 'a heartbeat has no payload');
    if (channel !== 0) throw new ProtocolError('UNEXPECTED_FRAME', `a heartbeat on channel ${channel}`);
  }

  #frame(type: number, channel: number, payload: Buffer): Frame {
    if (type === frameTypes.body) return { type: 'body', channel, payload };
    if (type === frameTypes.method) return { type: 'method', channel, method: readMethod(payload, this.#options) };
    return type === frameTypes.header ? readHeader(channel, payload) : heartbeat;
  }

  /** The next `length` bytes without taking them; undefined, and kept for later, when they are not all there. */
  #peek(length: number): Buffer | undefined {
    if (this.#partialLength > 0) {
      this.#fill(length);
      return this.#partialLength < length ? undefined : this.#partial;
    }
    if (this.#chunk.length - this.#offset >= length) return this.#chunk.subarray(this.#offset, this.#offset + length);
    this.#fill(length);
    return undefined;
  }

  #take(length: number): Buffer | undefined {
    if (this.#partialLength === 0 && this.#chunk.length - this.#offset >= length) {
      this.#offset += length;
      return this.#chunk.subarray(this.#offset - length, this.#offset);
    }
    this.#fill(length);
    if (this.#partialLength < length) return undefined;
    const whole = this.#partial?.subarray(0, length);
    this.#partial = undefined;
    this.#partialLength = 0;
    return whole;
  }

  /** Moves bytes of the chunk into the partial frame until that holds `length`. It grows with what came, not with what was promised. */
  #fill(length: number): void {
    const wanted = Math.min(length - this.#partialLength, this.#chunk.length - this.#offset);
    if (wanted <= 0) return;
    const needed = this.#partialLength + wanted;
    let partial = this.#partial;
    if (partial === undefined || partial.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.min(Math.max(length, 64), Math.max(64, 2 * needed)));
      partial?.copy(grown, 0, 0, this.#partialLength);
      this.#partial = partial = grown;
    }
    this.#chunk.copy(partial, this.#partialLength, this.#offset, this.#offset + wanted);
    this.#partialLength = needed;
    this.#offset += wanted;
  }
}

const basicClassId = 60;

function readHeader(channel: number, payload: Buffer): HeaderFrame {
  const reader = new ByteReader(payload);
  const classId = reader.short();
  if (classId !== basicClassId) throw new ProtocolError('UNEXPECTED_FRAME', `a content header of class ${classId}`);
  reader.short();
  const bodySizeBytes = reader.uint64();
  if (typeof bodySizeBytes === 'bigint') throw reader.error(`a body of ${bodySizeBytes} bytes`);
  return { type: 'header', channel, classId, bodySizeBytes, propertyBytes: payload.subarray(reader.offset) };
}
