import { ByteReader } from './byte-reader.js';
import { ByteWriter, smallSlabBytes } from './byte-writer.js';
import { EncodeError } from './errors.js';
import { readTable, writeTable, type DecodeTableOptions } from './field-table.js';
import type { FieldTable } from './field-values.js';
import { headerLimits } from './limits.js';

/** The properties of a message (§1.8 "basic"). Absent is not the same as empty. */
export interface BasicProperties {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly headers?: FieldTable;
  /** 1 is transient, 2 is persistent. */
  readonly deliveryMode?: number;
  readonly priority?: number;
  readonly correlationId?: string;
  readonly replyTo?: string;
  /** Milliseconds, as text. */
  readonly expiration?: string;
  readonly messageId?: string;
  /** Seconds since 1970; a bigint when some client wrote a number beyond 2^53. */
  readonly timestamp?: number | bigint;
  readonly type?: string;
  readonly userId?: string;
  readonly appId?: string;
  /** Reserved by the protocol; some clients still use it. */
  readonly clusterId?: string;
}

type PropertyType = 'shortstr' | 'octet' | 'table' | 'timestamp';
type Row = readonly [name: keyof BasicProperties, type: PropertyType];

/** In the order of the wire; the first one owns the highest bit of the flags (§4.2.6.1). */
const rows: readonly Row[] = [
  ['contentType', 'shortstr'],
  ['contentEncoding', 'shortstr'],
  ['headers', 'table'],
  ['deliveryMode', 'octet'],
  ['priority', 'octet'],
  ['correlationId', 'shortstr'],
  ['replyTo', 'shortstr'],
  ['expiration', 'shortstr'],
  ['messageId', 'shortstr'],
  ['timestamp', 'timestamp'],
  ['type', 'shortstr'],
  ['userId', 'shortstr'],
  ['appId', 'shortstr'],
  ['clusterId', 'shortstr'],
];

const usedFlags = 0xfffc;

/** Writes flags and values of the properties that are there. */
export function writeProperties(writer: ByteWriter, properties: BasicProperties): void {
  let flags = 0;
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index];
    if (row !== undefined && properties[row[0]] !== undefined) flags |= 0x8000 >>> index;
  }
  writer.short(flags);
  for (const [name, type] of rows) {
    const value = properties[name];
    if (value !== undefined) writeProperty(writer, type, value);
  }
}

function writeProperty(
  writer: ByteWriter,
  type: PropertyType,
  value: NonNullable<BasicProperties[keyof BasicProperties]>,
): void {
  if (type === 'shortstr' && typeof value === 'string') writer.shortText(value);
  else if (type === 'octet' && typeof value === 'number' && value === (value & 0xff)) writer.octet(value);
  else if (type === 'table' && typeof value === 'object') writeTable(writer, value);
  else if (type === 'timestamp' && isSeconds(value)) writer.bigLonglong(BigInt(value));
  else throw new EncodeError('OUT_OF_RANGE', `a property of type ${type} cannot hold this ${typeof value}`);
}

function isSeconds(value: unknown): value is number | bigint {
  if (typeof value === 'bigint') return value >= 0n && value < 2n ** 64n;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Reads flags and values; nothing may follow them. */
export function readProperties(reader: ByteReader, options?: DecodeTableOptions): BasicProperties {
  const flags = reader.short();
  if ((flags & ~usedFlags) !== 0) throw reader.error('property flags that nobody defined are set');
  const properties: Record<string, unknown> = {};
  for (let index = 0; index < rows.length; index++) {
    if ((flags & (0x8000 >>> index)) === 0) continue;
    const row = rows[index];
    if (row !== undefined) properties[row[0]] = readProperty(reader, row[1], options);
  }
  reader.finish();
  return properties;
}

function readProperty(reader: ByteReader, type: PropertyType, options: DecodeTableOptions | undefined): unknown {
  switch (type) {
    case 'shortstr':
      return reader.shortText();
    case 'octet':
      return reader.octet();
    case 'table':
      return readTable(reader, options, headerLimits);
    case 'timestamp':
      return reader.uint64();
  }
}

/** Reads properties from the bytes that `ContentHeader.propertyBytes` holds. */
export function decodeProperties(bytes: Uint8Array, options?: DecodeTableOptions): BasicProperties {
  return readProperties(new ByteReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)), options);
}

/** Properties as bytes, for a header that is kept and passed on. */
export function encodeProperties(properties: BasicProperties): Uint8Array {
  const writer = new ByteWriter(smallSlabBytes);
  writeProperties(writer, properties);
  return Buffer.concat(writer.take());
}
