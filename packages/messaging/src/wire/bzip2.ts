import { MessagingError } from '../errors.js';

const [blockMagic, endMagic] = [0x314159265359, 0x177245385090];
const symbolsPerSelector = 50;
const codeBitsMax = 20;

/**
 * Unpacks bzip2, as Python peers with `kombu_compression=bz2` send it. Reading only.
 * @param sizeBytesMax - of what comes out.
 * @throws UNDECODABLE when it is damaged or larger.
 */
export function bunzip2(packed: Uint8Array, sizeBytesMax: number): Uint8Array {
  const bits = new BitReader(packed);
  const output = new Output(sizeBytesMax);
  if (bits.read(24) !== 0x425a68) throw damaged('it does not begin as one');
  const level = bits.read(8) - 0x30;
  if (level < 1 || level > 9) throw damaged('its block size is none');
  for (;;) {
    const magic = bits.read(24) * 0x1000000 + bits.read(24);
    const crc = bits.read(16) * 0x10000 + bits.read(16);
    if (magic === endMagic) return output.take();
    if (magic !== blockMagic) throw damaged('a block does not begin as one');
    output.beginBlock();
    writeBlock(bits, level * 100_000, output);
    if (output.crc !== crc) throw damaged('a checksum does not match');
  }
}

/** One block: Huffman codes, then move-to-front and run lengths, then the Burrows-Wheeler transform back. */
function writeBlock(bits: BitReader, sizeMax: number, output: Output): void {
  if (bits.read(1) === 1) throw damaged('it is of a kind that has not been written for decades');
  const start = bits.read(24);
  const used = readUsedBytes(bits);
  const tables = bits.read(3);
  const selectors = readSelectors(bits, tables);
  const codes = Array.from({ length: tables }, () => new HuffmanCode(readLengths(bits, used.length + 2)));
  const symbols = new SymbolReader(bits, codes, selectors);
  const block = readBlock(symbols, used, sizeMax);
  if (start >= block.length) throw damaged('a block begins outside of itself');
  untransform(block, start, output);
}

function readUsedBytes(bits: BitReader): number[] {
  const groups = bits.read(16);
  const used: number[] = [];
  for (let group = 0; group < 16; group += 1) {
    if ((groups & (0x8000 >> group)) === 0) continue;
    const members = bits.read(16);
    for (let at = 0; at < 16; at += 1) if ((members & (0x8000 >> at)) !== 0) used.push(group * 16 + at);
  }
  return used;
}

function readSelectors(bits: BitReader, tables: number): Uint8Array {
  if (tables < 2 || tables > 6) throw damaged('it has no code tables');
  const selectors = new Uint8Array(bits.read(15));
  const order = Array.from({ length: tables }, (_, at) => at);
  for (let at = 0; at < selectors.length; at += 1) {
    let place = 0;
    while (bits.read(1) === 1) place += 1;
    if (place >= tables) throw damaged('a table does not exist');
    selectors[at] = moveToFront(order, place);
  }
  return selectors;
}

function readLengths(bits: BitReader, symbols: number): number[] {
  let length = bits.read(5);
  return Array.from({ length: symbols }, () => {
    while (bits.read(1) === 1) length += bits.read(1) === 1 ? -1 : 1;
    if (length < 1 || length > codeBitsMax) throw damaged('a code has no length');
    return length;
  });
}

function readBlock(symbols: SymbolReader, used: number[], sizeMax: number): Uint8Array {
  const block = new Uint8Array(sizeMax);
  const order = [...used];
  const end = used.length + 1;
  let size = 0;
  let [run, weight] = [0, 1];
  const put = (byte: number, count: number): void => {
    if (size + count > sizeMax) throw damaged('a block is too large');
    block.fill(byte, size, size + count);
    size += count;
  };
  for (;;) {
    const symbol = symbols.next();
    if (symbol <= 1) {
      run += weight << symbol;
      weight <<= 1;
      if (run > sizeMax) throw damaged('a run is too long');
      continue;
    }
    if (run > 0) put(order[0] ?? 0, run);
    [run, weight] = [0, 1];
    if (symbol === end) return block.subarray(0, size);
    put(moveToFront(order, symbol - 1), 1);
  }
}

function untransform(block: Uint8Array, start: number, output: Output): void {
  const counts = new Uint32Array(257);
  for (const byte of block) counts[byte + 1] = (counts[byte + 1] ?? 0) + 1;
  for (let byte = 0; byte < 256; byte += 1) counts[byte + 1] = (counts[byte + 1] ?? 0) + (counts[byte] ?? 0);
  const next = new Uint32Array(block.length);
  for (const [at, byte] of block.entries()) {
    const place = counts[byte] ?? 0;
    next[place] = at;
    counts[byte] = place + 1;
  }
  let at = next[start] ?? 0;
  for (let left = block.length; left > 0; left -= 1) {
    output.put(block[at] ?? 0);
    at = next[at] ?? 0;
  }
}

function moveToFront(order: number[], place: number): number {
  const [value] = order.splice(place, 1);
  if (value === undefined) throw damaged('a symbol does not exist');
  order.unshift(value);
  return value;
}

/** What comes out, after the outermost run lengths: four equal bytes are followed by how many more there are. */
class Output {
  #bytes = new Uint8Array(4096);
  #size = 0;
  readonly #sizeMax: number;
  #last = -1;
  #repeats = 0;
  #crc = 0;

  constructor(sizeBytesMax: number) {
    this.#sizeMax = sizeBytesMax;
  }

  get crc(): number {
    return ~this.#crc >>> 0;
  }

  beginBlock(): void {
    [this.#last, this.#repeats, this.#crc] = [-1, 0, 0xffffffff];
  }

  put(byte: number): void {
    if (this.#repeats === 4) {
      for (let left = byte; left > 0; left -= 1) this.#append(this.#last);
      [this.#last, this.#repeats] = [-1, 0];
      return;
    }
    this.#repeats = byte === this.#last ? this.#repeats + 1 : 1;
    this.#last = byte;
    this.#append(byte);
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  #append(byte: number): void {
    if (this.#size >= this.#sizeMax) throw damaged(`it holds more than ${this.#sizeMax} bytes`);
    if (this.#size === this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#size] = byte;
    this.#size += 1;
    this.#crc = (this.#crc << 8) ^ (crcTable[((this.#crc >>> 24) ^ byte) & 0xff] ?? 0);
  }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x80000000) === 0 ? crc << 1 : (crc << 1) ^ 0x04c11db7;
  return crc;
});

/** Codes of one table, canonical: by length, then by symbol. */
class HuffmanCode {
  readonly #symbols: number[];
  readonly #counts = new Uint32Array(codeBitsMax + 1);

  constructor(lengths: readonly number[]) {
    this.#symbols = lengths
      .map((_, symbol) => symbol)
      .toSorted((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
    for (const length of lengths) this.#counts[length] = (this.#counts[length] ?? 0) + 1;
  }

  read(bits: BitReader): number {
    let [code, first, index] = [0, 0, 0];
    for (let length = 1; length <= codeBitsMax; length += 1) {
      code |= bits.read(1);
      const count = this.#counts[length] ?? 0;
      if (code - first < count) return this.#symbols[index + code - first] ?? 0;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw damaged('a code does not exist');
  }
}

/** Symbols of a block: every fifty of them come from the table that the next selector names. */
class SymbolReader {
  readonly #bits: BitReader;
  readonly #codes: readonly HuffmanCode[];
  readonly #selectors: Uint8Array;
  #read = 0;

  constructor(bits: BitReader, codes: readonly HuffmanCode[], selectors: Uint8Array) {
    this.#bits = bits;
    this.#codes = codes;
    this.#selectors = selectors;
  }

  next(): number {
    const selector = this.#selectors[Math.floor(this.#read / symbolsPerSelector)];
    const code = selector === undefined ? undefined : this.#codes[selector];
    if (code === undefined) throw damaged('a table is missing');
    this.#read += 1;
    return code.read(this.#bits);
  }
}

class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #held = 0;
  #heldBits = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @param count - at most 24. */
  read(count: number): number {
    while (this.#heldBits < count) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw damaged('it ends too early');
      this.#at += 1;
      this.#held = ((this.#held << 8) | byte) >>> 0;
      this.#heldBits += 8;
    }
    this.#heldBits -= count;
    const value = this.#held >>> this.#heldBits;
    this.#held &= (1 << this.#heldBits) - 1;
    return value & ((1 << count) - 1);
  }
}

function damaged(why: string): MessagingError {
  return new MessagingError('UNDECODABLE', `a bzip2 body cannot be read: ${why}`);
}
