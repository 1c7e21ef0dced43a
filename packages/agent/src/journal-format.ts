import { crc32 } from 'node:zlib';
import { agentLimits } from './limits.js';

/**
 * A record of the journal, big endian:
 *
 *   "TJR2" | u32 sequence | u32 length of JSON | u32 length of attachment | u32 last durable sequence
 *          | u32 CRC-32 of all the rest | JSON | attachment
 *
 * The sequence counts from 1 in each file, so that a record that is missing between two good ones is seen as well. The
 * last durable sequence tells damage from a power loss: a disk may lose one unsynced write and keep the next.
 */
export interface StoredRecord {
  readonly sequence: number;
  /** Up to this one all records were synced when this one was written. */
  readonly durable: number;
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
   * `tornTail`: something follows the last good record, as writes leave it that a crash or power loss cut short.
   * `damaged`: a record is bad or missing that a later one knows to have been synced, which neither does.
   */
  readonly state: 'whole' | 'tornTail' | 'damaged';
}

const magic: Buffer = Buffer.from('TJR2');
const headBytes = 24;
const bytesMax = agentLimits.journalRecordBytesMax.value;

/** The bytes of one record. @throws RangeError when it is larger than the journal takes. */
export function encodeRecord(
  sequence: number,
  json: string,
  attachment: Uint8Array,
  durable: number = sequence - 1,
): Buffer {
  const text = Buffer.from(json);
  const bytes = Buffer.allocUnsafe(headBytes + text.length + attachment.length);
  if (bytes.length > bytesMax) throw new RangeError(`a journal record of ${bytes.length} bytes is over ${bytesMax}`);
  magic.copy(bytes);
  bytes.writeUInt32BE(sequence, 4);
  bytes.writeUInt32BE(text.length, 8);
  bytes.writeUInt32BE(attachment.length, 12);
  text.copy(bytes, headBytes);
  bytes.set(attachment, headBytes + text.length);
  bytes.writeUInt32BE(durable, 16);
  bytes.writeUInt32BE(checksum(bytes), 20);
  return bytes;
}

/** Reads every good record of a journal, also those behind damage. */
export function scanRecords(bytes: Buffer): Scan {
  const found = findRecords(bytes);
  const hole = found.findIndex(({ at, record }, index) => {
    const before = found[index - 1];
    return at !== (before?.end ?? 0) || record.sequence !== (before?.record.sequence ?? 0) + 1;
  });
  const whole = hole < 0 ? found : found.slice(0, hole);
  const missing = (whole.at(-1)?.record.sequence ?? 0) + 1;
  const isDamaged = found.slice(whole.length).some(({ record }) => record.durable >= missing);
  const good = isDamaged ? found : whole;
  const goodBytes = good.at(-1)?.end ?? 0;
  const state = isDamaged ? 'damaged' : goodBytes === bytes.length ? 'whole' : 'tornTail';
  return { records: good.map(({ record }) => record), goodBytes, state };
}

interface FoundRecord {
  readonly at: number;
  readonly end: number;
  readonly record: StoredRecord;
}

function findRecords(bytes: Buffer): readonly FoundRecord[] {
  const found: FoundRecord[] = [];
  for (let at = 0; at >= 0 && at < bytes.length;) {
    const record = recordAt(bytes, at);
    if (record === undefined) {
      at = bytes.indexOf(magic, at + 1);
      continue;
    }
    const end = at + headBytes + Buffer.byteLength(record.json) + record.attachment.length;
    found.push({ at, end, record });
    at = end;
  }
  return found;
}

function recordAt(bytes: Buffer, at: number): StoredRecord | undefined {
  if (bytes.length - at < headBytes || bytes.compare(magic, 0, 4, at, at + 4) !== 0) return undefined;
  const jsonBytes = bytes.readUInt32BE(at + 8);
  const size = headBytes + jsonBytes + bytes.readUInt32BE(at + 12);
  if (size > bytesMax || at + size > bytes.length) return undefined;
  const record = bytes.subarray(at, at + size);
  if (checksum(record) !== record.readUInt32BE(20)) return undefined;
  return {
    sequence: record.readUInt32BE(4),
    durable: record.readUInt32BE(16),
    json: record.toString('utf8', headBytes, headBytes + jsonBytes),
    attachment: record.subarray(headBytes + jsonBytes),
  };
}

function checksum(record: Buffer): number {
  return crc32(record.subarray(headBytes), crc32(record.subarray(4, 20)));
}
