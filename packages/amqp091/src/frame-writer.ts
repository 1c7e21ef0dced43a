import { ByteWriter, smallSlabBytes } from './byte-writer.js';
import { EncodeError } from './errors.js';
import { frameOverheadBytes, frameSizeBytesDefault } from './limits.js';
import { writeMethod } from './method-codec.js';
import { methodSpec, type OutgoingContentMethod, type OutgoingMethod } from './method-types.js';
import { writeProperties, type BasicProperties } from './properties.js';

/** The mark behind every frame (§4.2.3). */
export const frameEnd: number = 0xce;
/** First octet of a frame (§4.2.3). */
export const frameTypes = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;

const basicClassId = 60;

/** What goes with a method that has content. */
export interface OutgoingContent {
  /** Properties to encode, or the bytes of a header that was read, passed on as they are. */
  readonly properties: BasicProperties | Uint8Array;
  readonly body: Uint8Array;
}

/**
 * Turns commands into bytes for one write of the socket. Gather what a turn of the event loop has to send, then `take`.
 * A command that cannot be encoded throws an `EncodeError` and leaves nothing behind.
 */
export class FrameWriter {
  /** The negotiated frame size, the eight bytes around the payload included. */
  frameSizeBytesMax: number;
  readonly #writer: ByteWriter;

  constructor(options: { readonly frameSizeBytesMax?: number; readonly slabBytes?: number } = {}) {
    this.frameSizeBytesMax = options.frameSizeBytesMax ?? frameSizeBytesDefault;
    this.#writer = new ByteWriter(options.slabBytes);
  }

  /** Bytes that wait for `take`. */
  get byteLength(): number {
    return this.#writer.byteLength;
  }

  /** Everything written since the last `take`, in order. Large bodies are the caller's own arrays, not copies. */
  take(): Uint8Array[] {
    return this.#writer.take();
  }

  /** The eight bytes that a client begins with, and a server refuses with (§4.2.2). */
  protocolHeader(): void {
    this.#writer.raw(protocolHeaderBytes);
  }

  heartbeat(): void {
    this.#writer.raw(heartbeatBytes);
  }

  method(channel: number, method: OutgoingMethod): void {
    this.#undoable(() => this.#methodFrame(channel, method));
  }

  /** Method, header and as many body frames as the frame size asks for. */
  content(channel: number, method: OutgoingContentMethod, content: OutgoingContent): void {
    this.#undoable(() => {
      this.#methodFrame(channel, method);
      this.#headerFrame(channel, content);
    });
    const payloadMax = this.frameSizeBytesMax - frameOverheadBytes;
    const { body } = content;
    for (let offset = 0; offset < body.byteLength; offset += payloadMax) {
      const whole = body.byteLength <= payloadMax;
      this.#bodyFrame(channel, whole ? body : body.subarray(offset, offset + payloadMax));
    }
  }

  #undoable(write: () => void): void {
    this.#writer.mark();
    try {
      write();
    } catch (error) {
      this.#writer.rollback();
      throw error;
    }
  }

  #methodFrame(channel: number, method: OutgoingMethod): void {
    const place = this.#begin(frameTypes.method, channel);
    writeMethod(this.#writer, method);
    this.#end(place, method.name);
  }

  #headerFrame(channel: number, { properties, body }: OutgoingContent): void {
    const place = this.#begin(frameTypes.header, channel);
    this.#writer.short(basicClassId);
    this.#writer.short(0);
    this.#writer.longlong(body.byteLength);
    if (properties instanceof Uint8Array) this.#writer.raw(properties);
    else writeProperties(this.#writer, properties);
    this.#end(place, 'the message header');
  }

  #bodyFrame(channel: number, payload: Uint8Array): void {
    this.#writer.octet(frameTypes.body);
    this.#writer.short(channel);
    this.#writer.long(payload.byteLength);
    this.#writer.body(payload);
    this.#writer.octet(frameEnd);
  }

  #begin(type: number, channel: number): number {
    this.#writer.octet(type);
    this.#writer.short(channel);
    return this.#writer.reserveLong();
  }

  #end(place: number, what: string): void {
    const length = this.#writer.patchLong(place);
    this.#writer.octet(frameEnd);
    if (length + frameOverheadBytes > this.frameSizeBytesMax) {
      const text = `${what} needs a frame of ${length + frameOverheadBytes} bytes, ${this.frameSizeBytesMax} were agreed`;
      throw new EncodeError('FRAME_TOO_LARGE', text);
    }
  }
}

const protocolHeaderBytes: Uint8Array = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1);
const heartbeatBytes: Uint8Array = Uint8Array.of(frameTypes.heartbeat, 0, 0, 0, 0, 0, 0, frameEnd);

/** One method frame. For tests and handshakes; a `FrameWriter` does better for many. */
export function encodeMethod(channel: number, method: OutgoingMethod): Uint8Array {
  if (methodSpec(method.name).hasContent) throw new TypeError(`${method.name} needs its content`);
  const writer = new FrameWriter({ frameSizeBytesMax: Number.MAX_SAFE_INTEGER, slabBytes: smallSlabBytes });
  writer.method(channel, method);
  return Buffer.concat(writer.take());
}

/** A method with its content in frames of at most `frameSizeBytesMax`, as one piece. */
export function encodeContent(
  channel: number,
  method: OutgoingContentMethod,
  content: OutgoingContent,
  frameSizeBytesMax: number = frameSizeBytesDefault,
): Uint8Array {
  const writer = new FrameWriter({ frameSizeBytesMax, slabBytes: smallSlabBytes });
  writer.content(channel, method, content);
  return Buffer.concat(writer.take());
}
