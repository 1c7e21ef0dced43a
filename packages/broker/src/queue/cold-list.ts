/** What is kept in memory of a message that lies on disk only. */
export interface ColdEntry {
  readonly position: number;
  /** Length of the body. */
  readonly bytes: number;
  readonly isRedelivered: boolean;
  /** Instant of its end on the monotonic clock, in milliseconds. */
  readonly expiresAtMs: number | undefined;
  /** Of the body that it shares with others; undefined when its body is its own. */
  readonly bodyNumber: number | undefined;
}

const chunkLengthMin = 16;
const chunkLengthMax = 4096;
const redeliveredBit = 2 ** 31;

/** Places of messages that lie on disk only, in order: twelve bytes each, eight more where messages expire or share bodies. */
export class ColdList {
  readonly #chunks: Chunk[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(entry: ColdEntry): void {
    let last = this.#chunks.at(-1);
    if (last === undefined || last.isFull) {
      last = new Chunk(Math.min(chunkLengthMax, Math.max(chunkLengthMin, this.#length)));
      this.#chunks.push(last);
    }
    last.push(entry);
    this.#length++;
  }

  shift(): ColdEntry | undefined {
    const [first] = this.#chunks;
    if (first === undefined) return undefined;
    const entry = first.shift();
    this.#length--;
    if (first.isEmpty) this.#chunks.shift();
    return entry;
  }
}

class Chunk {
  readonly #positions: Float64Array;
  /** Length of the body, and in the highest bit whether somebody may have seen it. */
  readonly #bytes: Uint32Array;
  #expiries: Float64Array | undefined;
  /** 0 for a message with a body of its own. */
  #bodyNumbers: Float64Array | undefined;
  #from = 0;
  #to = 0;

  constructor(capacity: number) {
    this.#positions = new Float64Array(capacity);
    this.#bytes = new Uint32Array(capacity);
  }

  get isFull(): boolean {
    return this.#to === this.#positions.length;
  }

  get isEmpty(): boolean {
    return this.#from === this.#to;
  }

  push({ position, bytes, isRedelivered, expiresAtMs, bodyNumber }: ColdEntry): void {
    const at = this.#to++;
    this.#positions[at] = position;
    this.#bytes[at] = isRedelivered ? bytes + redeliveredBit : bytes;
    if (bodyNumber !== undefined) {
      this.#bodyNumbers ??= new Float64Array(this.#positions.length);
      this.#bodyNumbers[at] = bodyNumber;
    }
    if (expiresAtMs === undefined) return;
    this.#expiries ??= new Float64Array(this.#positions.length).fill(Infinity);
    this.#expiries[at] = expiresAtMs;
  }

  shift(): ColdEntry {
    const at = this.#from++;
    const marked = this.#bytes[at] ?? 0;
    const isRedelivered = marked >= redeliveredBit;
    const expiresAtMs = this.#expiries?.[at] ?? Infinity;
    return {
      position: this.#positions[at] ?? 0,
      bytes: isRedelivered ? marked - redeliveredBit : marked,
      isRedelivered,
      expiresAtMs: expiresAtMs === Infinity ? undefined : expiresAtMs,
      bodyNumber: this.#bodyNumbers?.[at] || undefined,
    };
  }
}
