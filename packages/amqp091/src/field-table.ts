import { ByteReader } from './byte-reader.js';
import { ByteWriter, smallSlabBytes } from './byte-writer.js';
import { EncodeError } from './errors.js';
import { Typed, typed, type DecimalNumber, type FieldTable, type FieldTag, type FieldValue } from './field-values.js';
import { decodeLimits, type DecodeLimits } from './limits.js';

/** How a table is read. */
export interface DecodeTableOptions {
  readonly limits?: DecodeLimits;
  /**
   * Wrap every value in `Typed` that would otherwise be written back with another type letter. For a broker that passes
   * tables on. Default false: plain values.
   */
  readonly keepTypes?: boolean;
}

interface Reading {
  readonly limits: DecodeLimits;
  readonly keepTypes: boolean;
  entries: number;
}

const encodeDepthMax = 64;
const dateMsMax = 8.64e15;
const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads one field table, its length first (§4.2.5.5). `usual` are the limits where the options name none. */
export function readTable(
  reader: ByteReader,
  options: DecodeTableOptions = {},
  usual: DecodeLimits = decodeLimits,
): FieldTable {
  const limits = options.limits ?? usual;
  const length = reader.long();
  if (length > limits.tableBytesMax) throw reader.error(`a table of ${length} bytes is over ${limits.tableBytesMax}`);
  return readEntries(reader.part(length), { limits, keepTypes: options.keepTypes ?? false, entries: 0 }, 1);
}

/** Writes one field table, its length first. */
export function writeTable(writer: ByteWriter, table: FieldTable): void {
  writeEntries(writer, table, 1);
}

function readEntries(reader: ByteReader, reading: Reading, depth: number): FieldTable {
  if (depth > reading.limits.tableDepthMax)
    throw reader.error(`tables are nested deeper than ${reading.limits.tableDepthMax}`);
  const table: Record<string, FieldValue> = {};
  while (reader.remaining > 0) {
    const key = reader.shortText();
    const value = readValue(reader, reading, depth);
    if (key === '__proto__')
      Object.defineProperty(table, key, { value, enumerable: true, writable: true, configurable: true });
    else table[key] = value;
  }
  return table;
}

function readArray(reader: ByteReader, reading: Reading, depth: number): readonly FieldValue[] {
  if (depth > reading.limits.tableDepthMax)
    throw reader.error(`tables are nested deeper than ${reading.limits.tableDepthMax}`);
  const values: FieldValue[] = [];
  while (reader.remaining > 0) values.push(readValue(reader, reading, depth));
  return values;
}

function readValue(reader: ByteReader, reading: Reading, depth: number): FieldValue {
  reading.entries += 1;
  const { tableEntriesMax } = reading.limits;
  if (reading.entries > tableEntriesMax) throw reader.error(`a table holds more than ${tableEntriesMax} values`);
  const letter = String.fromCharCode(reader.octet());
  if (letter === 'F') return readEntries(reader.part(reader.long()), reading, depth + 1);
  if (letter === 'A') return readArray(reader.part(reader.long()), reading, depth + 1);
  const read = Object.hasOwn(scalarReaders, letter) ? scalarReaders[letter as ScalarTag] : undefined;
  if (read === undefined) throw reader.error(`there is no field type 0x${letter.charCodeAt(0).toString(16)}`);
  const value = read(reader);
  return reading.keepTypes ? keepType(letter as ScalarTag, value) : value;
}

type ScalarTag = Exclude<FieldTag, 'F' | 'A'>;

const scalarReaders: Readonly<Record<ScalarTag, (reader: ByteReader) => FieldValue>> = {
  t: (reader) => reader.octet() !== 0,
  b: (reader) => reader.int8(),
  B: (reader) => reader.octet(),
  s: (reader) => reader.int16(),
  u: (reader) => reader.short(),
  I: (reader) => reader.int32(),
  i: (reader) => reader.long(),
  l: (reader) => reader.int64(),
  L: (reader) => reader.int64(),
  f: (reader) => reader.float(),
  d: (reader) => reader.double(),
  D: (reader) => typed('D', { scale: reader.octet(), unscaled: reader.int32() }),
  S: (reader) => textOrBytes(reader.longBytes()),
  x: (reader) => reader.longBytes(),
  T: (reader) => dateOrTyped(reader.uint64()),
  V: () => null,
};

/** Most peers write text as `S`; some write bytes with it, and those stay bytes. */
function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return strictText.decode(bytes);
  } catch {
    return bytes;
  }
}

function dateOrTyped(seconds: number | bigint): Date | Typed {
  return typeof seconds === 'number' && seconds * 1000 <= dateMsMax ? new Date(seconds * 1000) : typed('T', seconds);
}

function keepType(letter: ScalarTag, value: FieldValue): FieldValue {
  return value instanceof Typed || naturalTag(value) === letter ? value : new Typed(letter, value as Typed['value']);
}

function writeEntries(writer: ByteWriter, table: FieldTable, depth: number): void {
  if (depth > encodeDepthMax)
    throw new EncodeError('TABLE_TOO_DEEP', `a table is nested deeper than ${encodeDepthMax}`);
  const place = writer.reserveLong();
  for (const key of Object.keys(table)) {
    const value = table[key];
    if (value === undefined) continue;
    writer.shortText(key);
    writeValue(writer, value, depth);
  }
  writer.patchLong(place);
}

function writeArray(writer: ByteWriter, values: readonly FieldValue[], depth: number): void {
  if (depth > encodeDepthMax)
    throw new EncodeError('TABLE_TOO_DEEP', `an array is nested deeper than ${encodeDepthMax}`);
  const place = writer.reserveLong();
  for (const value of values) writeValue(writer, value ?? null, depth);
  writer.patchLong(place);
}

function writeValue(writer: ByteWriter, value: FieldValue, depth: number): void {
  const tag = value instanceof Typed ? value.tag : naturalTag(value);
  const content = value instanceof Typed ? value.value : value;
  writer.octet(tag.charCodeAt(0));
  if (tag === 'F') writeEntries(writer, asTable(content), depth + 1);
  else if (tag === 'A') writeArray(writer, asArray(content), depth + 1);
  else scalarWriters[tag](writer, content);
}

/** The type letter that a plain value is written with. */
function naturalTag(value: FieldValue): FieldTag {
  switch (typeof value) {
    case 'string':
      return 'S';
    case 'number':
      return numberTag(value);
    case 'boolean':
      return 't';
    case 'bigint':
      return 'l';
    case 'object':
      return objectTag(value);
    case 'undefined':
      return 'V';
    default:
      throw unsupported(value);
  }
}

function numberTag(value: number): FieldTag {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) return 'd';
  return value === (value | 0) ? 'I' : 'l';
}

function objectTag(value: object | null): FieldTag {
  if (value === null) return 'V';
  if (Array.isArray(value)) return 'A';
  if (value instanceof Date) return 'T';
  return value instanceof Uint8Array ? 'x' : 'F';
}

const scalarWriters: Readonly<Record<ScalarTag, (writer: ByteWriter, value: unknown) => void>> = {
  t: (writer, value) => writer.octet(value === true ? 1 : 0),
  b: (writer, value) => writer.octet(integer(value, -0x80, 0x7f)),
  B: (writer, value) => writer.octet(integer(value, 0, 0xff)),
  s: (writer, value) => writer.short(integer(value, -0x8000, 0x7fff)),
  u: (writer, value) => writer.short(integer(value, 0, 0xffff)),
  I: (writer, value) => writer.long(integer(value, -0x8000_0000, 0x7fff_ffff)),
  i: (writer, value) => writer.long(integer(value, 0, 0xffff_ffff)),
  l: (writer, value) => writer.bigLonglong(wide(value, int64Min, int64Max)),
  L: (writer, value) => writer.bigLonglong(wide(value, int64Min, int64Max)),
  f: (writer, value) => writer.float(number(value)),
  d: (writer, value) => writer.double(number(value)),
  D: (writer, value) => writeDecimal(writer, value as DecimalNumber),
  S: (writer, value) => (typeof value === 'string' ? writer.longText(value) : writer.longBytes(asBytes(value))),
  x: (writer, value) => writer.longBytes(asBytes(value)),
  T: (writer, value) => writer.bigLonglong(seconds(value)),
  V: () => undefined,
};

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;
const uint64Max = 2n ** 64n - 1n;

function writeDecimal(writer: ByteWriter, value: DecimalNumber): void {
  writer.octet(integer(value.scale, 0, 0xff));
  writer.long(integer(value.unscaled, -0x8000_0000, 0x7fff_ffff));
}

function integer(value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new EncodeError('OUT_OF_RANGE', `${String(value)} is no whole number from ${least} to ${most}`);
}

function number(value: unknown): number {
  if (typeof value === 'number') return value;
  throw unsupported(value);
}

function wide(value: unknown, least: bigint, most: bigint): bigint {
  const isWhole = typeof value === 'bigint' || Number.isSafeInteger(value);
  const whole = isWhole ? BigInt(value as number | bigint) : undefined;
  if (whole !== undefined && whole >= least && whole <= most) return whole;
  throw new EncodeError('OUT_OF_RANGE', `${String(value)} is no whole number of 64 bits`);
}

function seconds(value: unknown): bigint {
  return wide(value instanceof Date ? Math.floor(value.getTime() / 1000) : value, 0n, uint64Max);
}

function asBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw unsupported(value);
}

function asTable(value: unknown): FieldTable {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as FieldTable;
  throw unsupported(value);
}

function asArray(value: unknown): readonly FieldValue[] {
  if (Array.isArray(value)) return value as readonly FieldValue[];
  throw unsupported(value);
}

function unsupported(value: unknown): EncodeError {
  return new EncodeError('UNSUPPORTED_VALUE', `a ${typeof value} cannot stand in a field table here`);
}

/** Reads a table from bytes that hold it and nothing else. */
export function decodeTable(bytes: Uint8Array, options?: DecodeTableOptions): FieldTable {
  const reader = new ByteReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const table = readTable(reader, options);
  reader.finish();
  return table;
}

/** A table as bytes, its length first. */
export function encodeTable(table: FieldTable): Uint8Array {
  const writer = new ByteWriter(smallSlabBytes);
  writeTable(writer, table);
  return Buffer.concat(writer.take());
}
