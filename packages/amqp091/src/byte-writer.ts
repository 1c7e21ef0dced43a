import { EncodeError } from './errors.js';

const slabBytes = 64 * 1024;
/** For writers that encode one small thing. */
export const smallSlabBytes: number = 512;
/** Bodies from this size on are handed to the socket as they are; smaller ones are cheaper to copy. */
const copyBytesMax = 8 * 1024;
/** Up to here a loop over ASCII characters is faster than a call into the runtime. */
const shortTextMax = 40;

/**
 * Gathers bytes for one write of the socket. Small values go into a slab, large bodies are passed on uncopied. What was
 * written since `mark` (or the last uncopied body) can be taken back with `rollback`, so that a value that cannot be
 * encoded leaves no trace.
 */
export class ByteWriter {
  readonly #slabBytes: number;
  #slab: Buffer;
  /** Where the bytes that are not in `#sealed` yet begin. */
  #start = 0;
  #offset = 0;
  /** Nothing before this place moves when the slab is changed. */
  #mark = 0;
  #sealed: Uint8Array[] = [];
  #sealedBytes = 0;

  constructor(bytesPerSlab: number = slabBytes) {
    this.#slabBytes = bytesPerSlab;
    this.#slab = Buffer.allocUnsafeSlow(bytesPerSlab);
  }

  /** Bytes that wait for `take`. */
  get byteLength(): number {
    return this.#sealedBytes + this.#offset - this.#start;
  }

  /** Hands over everything written so far, in order, and starts anew. */
  take(): Uint8Array[] {
    this.#seal();
    const chunks = this.#sealed;
    this.#sealed = [];
    this.#sealedBytes = 0;
    this.mark();
    return chunks;
  }

  /** From here on `rollback` takes back. */
  mark(): void {
    this.#mark = this.#offset;
  }

  rollback(): void {
    this.#offset = this.#mark;
  }

  /** Makes room for a value whose size is filled in later; returns the place for `patchLong`. */
  reserveLong(): number {
    this.#ensure(4);
    this.#offset += 4;
    return this.#offset - this.#mark;
  }

  /** Fills a reserved place with the number of bytes written since. */
  patchLong(place: number): number {
    const at = this.#mark + place;
    const length = this.#offset - at;
    this.#slab.writeUInt32BE(length, at - 4);
    return length;
  }

  octet(value: number): void {
    this.#ensure(1);
    this.#slab[this.#offset++] = value;
  }

  short(value: number): void {
    this.#ensure(2);
    const slab = this.#slab;
    slab[this.#offset++] = value >>> 8;
    slab[this.#offset++] = value;
  }

  long(value: number): void {
    this.#ensure(4);
    const slab = this.#slab;
    slab[this.#offset++] = value >>> 24;
    slab[this.#offset++] = value >>> 16;
    slab[this.#offset++] = value >>> 8;
    slab[this.#offset++] = value;
  }

  /** A whole number from -(2^53-1) to 2^53-1, in two's complement. */
  longlong(value: number): void {
    const high = Math.floor(value / 0x1_0000_0000);
    this.long(high);
    this.long(value - high * 0x1_0000_0000);
  }

  bigLonglong(value: bigint): void {
    this.#ensure(8);
    this.#offset = this.#slab.writeBigUInt64BE(BigInt.asUintN(64, value), this.#offset);
  }

  float(value: number): void {
    this.#ensure(4);
    this.#offset = this.#slab.writeFloatBE(value, this.#offset);
  }

  double(value: number): void {
    this.#ensure(8);
    this.#offset = this.#slab.writeDoubleBE(value, this.#offset);
  }

  /** UTF-8 with its length in one octet: at most 255 bytes. */
  shortText(text: string): void {
    if (text.length > 255) throw tooLong(text);
    this.#ensure(1 + 3 * text.length);
    const at = this.#offset;
    this.#offset = at + 1;
    const written = this.#text(text);
    if (written > 255) throw tooLong(text);
    this.#slab[at] = written;
  }

  /** UTF-8 with its length in four octets. */
  longText(text: string): void {
    this.#ensure(4 + 3 * text.length);
    const at = this.#offset;
    this.#offset = at + 4;
    this.#slab.writeUInt32BE(this.#text(text), at);
  }

  longBytes(bytes: Uint8Array): void {
    this.long(bytes.byteLength);
    this.raw(bytes);
  }

  /** Copies the bytes. */
  raw(bytes: Uint8Array): void {
    this.#ensure(bytes.byteLength);
    this.#slab.set(bytes, this.#offset);
    this.#offset += bytes.byteLength;
  }

  /** Copies small bodies and passes large ones on: the caller must not change them afterwards. */
  body(bytes: Uint8Array): void {
    if (bytes.byteLength <= copyBytesMax) return this.raw(bytes);
    this.#seal();
    this.#sealed.push(bytes);
    this.#sealedBytes += bytes.byteLength;
    this.mark();
  }

  #text(text: string): number {
    const start = this.#offset;
    if (text.length <= shortTextMax) {
      const slab = this.#slab;
      let index = 0;
      for (; index < text.length; index++) {
        const unit = text.charCodeAt(index);
        if (unit > 0x7f) break;
        slab[start + index] = unit;
      }
      if (index === text.length) {
        this.#offset = start + index;
        return index;
      }
    }
    const written = this.#slab.write(text, start, 'utf8');
    this.#offset = start + written;
    return written;
  }

  #seal(): void {
    if (this.#offset === this.#start) return;
    this.#sealed.push(this.#slab.subarray(this.#start, this.#offset));
    this.#sealedBytes += this.#offset - this.#start;
    this.#start = this.#offset;
  }

  #ensure(bytes: number): void {
    if (this.#offset + bytes > this.#slab.length) this.#changeSlab(bytes);
  }

  /** Moves what was written since the mark into a new slab; what lies before it is sealed. */
  #changeSlab(bytes: number): void {
    const moved = this.#offset - this.#mark;
    if (this.#mark > this.#start) {
      this.#sealed.push(this.#slab.subarray(this.#start, this.#mark));
      this.#sealedBytes += this.#mark - this.#start;
    }
    const slab = Buffer.allocUnsafeSlow(Math.max(this.#slabBytes, 2 * (moved + bytes)));
    this.#slab.copy(slab, 0, this.#mark, this.#offset);
    this.#slab = slab;
    this.#start = 0;
    this.#mark = 0;
    this.#offset = moved;
  }
}

function tooLong(text: string): EncodeError {
  return new EncodeError('STRING_TOO_LONG', `"${text.slice(0, 40)}…" is longer than the 255 bytes of a short string`);
}
