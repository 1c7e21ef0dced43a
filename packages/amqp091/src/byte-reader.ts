import { ProtocolError } from './errors.js';

/** Where a reader stands in the protocol, for the error it may have to raise. */
export interface ReadPlace {
  readonly classId: number;
  readonly methodId: number;
}

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const nowhere: ReadPlace = { classId: 0, methodId: 0 };

/** Reads values from one payload. Every read beyond its end is a SYNTAX_ERROR; nothing is copied but bytes that are kept. */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #place: ReadPlace;
  #offset: number;

  constructor(bytes: Buffer, range?: { readonly start: number; readonly end: number }, place: ReadPlace = nowhere) {
    this.#bytes = bytes;
    this.#offset = range?.start ?? 0;
    this.#end = range?.end ?? bytes.length;
    this.#place = place;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#end - this.#offset;
  }

  octet(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1));
  }

  short(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }

  long(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  /** Signed 64 bits: a number while it is a safe integer, else a bigint. */
  int64(): number | bigint {
    const at = this.#take(8);
    const high = this.#bytes.readInt32BE(at);
    const value = high * 0x1_0000_0000 + this.#bytes.readUInt32BE(at + 4);
    return Number.isSafeInteger(value) ? value : this.#bytes.readBigInt64BE(at);
  }

  /** Unsigned 64 bits: a number while it is a safe integer, else a bigint. */
  uint64(): number | bigint {
    const at = this.#take(8);
    const high = this.#bytes.readUInt32BE(at);
    const value = high * 0x1_0000_0000 + this.#bytes.readUInt32BE(at + 4);
    return Number.isSafeInteger(value) ? value : this.#bytes.readBigUInt64BE(at);
  }

  /** A delivery tag. One beyond 2^53-1 was never given out by anybody. */
  tag(): number {
    const value = this.uint64();
    if (typeof value === 'bigint') throw this.error(`delivery tag ${value} is out of range`);
    return value;
  }

  float(): number {
    return this.#bytes.readFloatBE(this.#take(4));
  }

  double(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  /** A short string; it must be UTF-8. */
  shortText(): string {
    const length = this.octet();
    const at = this.#take(length);
    return this.#text(at, at + length);
  }

  /** A long string that must be UTF-8. */
  longText(): string {
    const length = this.long();
    const at = this.#take(length);
    return this.#text(at, at + length);
  }

  /** A long string as a copy of its bytes. */
  longBytes(): Uint8Array {
    const length = this.long();
    const at = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(at, at + length));
  }

  /** A reader of the next `length` bytes, which this one skips. */
  part(length: number): ByteReader {
    const start = this.#take(length);
    return new ByteReader(this.#bytes, { start, end: start + length }, this.#place);
  }

  /** Everything must have been read. */
  finish(): void {
    if (this.remaining !== 0) throw this.error(`${this.remaining} bytes too many`);
  }

  error(text: string): ProtocolError {
    return new ProtocolError('SYNTAX_ERROR', text, this.#place);
  }

  #take(length: number): number {
    const at = this.#offset;
    if (length > this.#end - at)
      throw this.error(`a value of ${length} bytes does not fit into the ${this.remaining} left`);
    this.#offset = at + length;
    return at;
  }

  #text(start: number, end: number): string {
    const bytes = this.#bytes;
    for (let index = start; index < end; index++) {
      if ((bytes[index] ?? 0) > 0x7f) return this.#wideText(start, end);
    }
    return bytes.toString('latin1', start, end);
  }

  #wideText(start: number, end: number): string {
    try {
      return strictText.decode(this.#bytes.subarray(start, end));
    } catch (cause) {
      const error = this.error('a string is not UTF-8');
      error.cause = cause;
      throw error;
    }
  }
}
