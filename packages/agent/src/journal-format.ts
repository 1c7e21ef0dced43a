import { crc32 } from 'node:zlib';
import { agentLimits } from './limits.js';

/**
 * A record of the journal, big endian:
 *
 *   "TJR1" | u32 sequence | u32 length of JSON | u32 length of attachment | u32 CRC-32 of all the rest | JSON | attachment
 *
 * The sequence counts from 1 in each file, so that a record that is missing between two good ones is seen as well.
 */
export interface StoredRecord {
  readonly sequence: number;
  /** JSON in UTF-8. */
  readonly json: string;
  /** Bytes that belong to it; empty for most records. */
  readonly attachment: Uint8Array;
}

/** What reading a journal found. */
export interface Scan {
  readonly records: readonly StoredRecord[];
  /** Where the good records end. */
  readonly goodBytes: number;
  /**
   * `tornTail`: something follows the last good record, as a write leaves it that a crash cut short.
   * `damaged`: good records follow a bad or missing one, which no crash does.
   */
  readonly state: 'whole' | 'tornTail' | 'damaged';
}

const magic: Buffer = Buffer.from('TJR1');
const headBytes = 20;
const bytesMax = agentLimits.journalRecordBytesMax.value;

/** The bytes of one record. @throws RangeError when it is larger than the journal takes. */
export function encodeRecord(sequence: number, json: string, attachment: Uint8Array): Buffer {
  const text = Buffer.from(json);
  const bytes = Buffer.allocUnsafe(headBytes + text.length + attachment.length);
  if (bytes.length > bytesMax) throw new RangeError(`a journal record of ${bytes.length} bytes is over ${bytesMax}`);
  magic.copy(bytes);
  bytes.writeUInt32BE(sequence, 4);
  bytes.writeUInt32BE(text.length, 8);
  bytes.writeUInt32BE(attachment.length, 12);
  text.copy(bytes, headBytes);
  bytes.set(attachment, headBytes + text.length);
  bytes.writeUInt32BE(checksum(bytes), 16);
  return bytes;
}

/** Reads every good record of a journal, also those behind damage. */
export function scanRecords(bytes: Buffer): Scan {
  const records: StoredRecord[] = [];
  let goodBytes = 0;
  let isDamaged = false;
  for (let at = 0; at >= 0 && at < bytes.length;) {
    const found = recordAt(bytes, at);
    if (found === undefined) {
      at = bytes.indexOf(magic, at + 1);
      continue;
    }
    if (at !== goodBytes || found.sequence !== (records.at(-1)?.sequence ?? 0) + 1) isDamaged = true;
    records.push(found);
    at += headBytes + Buffer.byteLength(found.json) + found.attachment.length;
    goodBytes = at;
  }
  const state = isDamaged ? 'damaged' : goodBytes === bytes.length ? 'whole' : 'tornTail';
  return { records, goodBytes, state };
}

function recordAt(bytes: Buffer, at: number): StoredRecord | undefined {
  if (bytes.length - at < headBytes || bytes.compare(magic, 0, 4, at, at + 4) !== 0) return undefined;
  const jsonBytes = bytes.readUInt32BE(at + 8);
  const size = headBytes + jsonBytes + bytes.readUInt32BE(at + 12);
  if (size > bytesMax || at + size > bytes.length) return undefined;
  const record = bytes.subarray(at, at + size);
  if (checksum(record) !== record.readUInt32BE(16)) return undefined;
  return {
    sequence: record.readUInt32BE(4),
    json: record.toString('utf8', headBytes, headBytes + jsonBytes),
    attachment: record.subarray(headBytes + jsonBytes),
  };
}

function checksum(record: Buffer): number {
  return crc32(record.subarray(headBytes), crc32(record.subarray(4, 16)));
}
