import { crc32 } from 'node:zlib';
import { StoreDamage } from './message-store.js';
import type { StoreOperation } from './message-store.js';

/**
 * One life of the journal, from one emptying to the next. The number counts up; the salt is drawn by lot, so that no
 * message body can pass for a record.
 */
export interface JournalGeneration {
  readonly number: number;
  /** Eight bytes. */
  readonly salt: Buffer;
}

/** What stands before the changes of one commit. */
export interface RecordHead {
  readonly generation: JournalGeneration;
  /** Place of the commit in its generation, counting from 0. */
  readonly sequence: number;
  /** Bytes of the changes behind the head. */
  readonly length: number;
}

const magic = Buffer.from('TCJ1');
const saltBytes = 8;
const sequenceAt = magic.length + 4 + saltBytes;
const checksumAt = sequenceAt + 8;
/** Bytes before the changes of a commit: mark, generation, sequence, length, and the CRC-32 of all that and the changes. */
export const headBytes: number = checksumAt + 4;
const uint32 = 2 ** 32;
const kinds = { 'put-message': 1, 'delete-message': 2, 'put-entity': 3, 'delete-entity': 4 } as const;
const placeBytes = 12;

/** What every record of a generation begins with. */
export function recordPrefix({ number, salt }: JournalGeneration): Buffer {
  const prefix = Buffer.alloc(sequenceAt);
  magic.copy(prefix);
  prefix.writeUInt32LE(number, magic.length);
  salt.copy(prefix, magic.length + 4);
  return prefix;
}

/** Bytes that a record of these changes takes, the head included. */
export function recordBytes(operations: readonly StoreOperation[]): number {
  let bytes = headBytes;
  for (const operation of operations) {
    if (operation.kind === 'put-message') bytes += 1 + placeBytes + 4 + operation.value.length;
    else if (operation.kind === 'delete-message') bytes += 1 + placeBytes;
    else {
      bytes += 1 + 4 + Buffer.byteLength(operation.key);
      if (operation.kind === 'put-entity') bytes += 4 + Buffer.byteLength(operation.value);
    }
  }
  return bytes;
}

/** Writes a record to the beginning of `target`, which has room for it, and gives its bytes. */
export function writeRecord(
  target: Buffer,
  { generation, sequence }: Omit<RecordHead, 'length'>,
  operations: readonly StoreOperation[],
): Buffer {
  let at = headBytes;
  for (const operation of operations) at = writeOperation(target, at, operation);
  recordPrefix(generation).copy(target);
  target.writeUInt32LE(sequence, sequenceAt);
  target.writeUInt32LE(at - headBytes, sequenceAt + 4);
  target.writeUInt32LE(checksumOf(target, at), checksumAt);
  return target.subarray(0, at);
}

/** The head of the record at the beginning of these bytes; undefined when there is no whole one. */
export function readHead(bytes: Buffer): RecordHead | undefined {
  if (bytes.length < headBytes || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  const length = bytes.readUInt32LE(sequenceAt + 4);
  const end = headBytes + length;
  if (end > bytes.length || bytes.readUInt32LE(checksumAt) !== checksumOf(bytes, end)) return undefined;
  const salt = bytes.subarray(sequenceAt - saltBytes, sequenceAt);
  const generation = { number: bytes.readUInt32LE(magic.length), salt };
  return { generation, sequence: bytes.readUInt32LE(sequenceAt), length };
}

/** The changes of a record whose head was read, without the head. @throws StoreDamage. */
export function* readOperations(bytes: Buffer): Iterable<StoreOperation> {
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at++];
    if (kind === kinds['put-message'] || kind === kinds['delete-message']) {
      const place = {
        queue: bytes.readUInt32LE(at),
        position: bytes.readUInt32LE(at + 4) * uint32 + bytes.readUInt32LE(at + 8),
      };
      at += placeBytes;
      if (kind === kinds['delete-message']) {
        yield { kind: 'delete-message', place };
        continue;
      }
      const value = part(bytes, at);
      at += 4 + value.length;
      yield { kind: 'put-message', place, value };
    } else if (kind === kinds['put-entity'] || kind === kinds['delete-entity']) {
      const key = part(bytes, at);
      at += 4 + key.length;
      if (kind === kinds['delete-entity']) {
        yield { kind: 'delete-entity', key: key.toString('utf8') };
        continue;
      }
      const value = part(bytes, at);
      at += 4 + value.length;
      yield { kind: 'put-entity', key: key.toString('utf8'), value: value.toString('utf8') };
    } else throw new StoreDamage('journal', `there is no change of kind ${kind}`);
  }
}

function writeOperation(target: Buffer, start: number, operation: StoreOperation): number {
  let at = target.writeUInt8(kinds[operation.kind], start);
  if (operation.kind === 'put-message' || operation.kind === 'delete-message') {
    const { queue, position } = operation.place;
    at = target.writeUInt32LE(queue, at);
    at = target.writeUInt32LE(Math.floor(position / uint32), at);
    at = target.writeUInt32LE(position % uint32, at);
    if (operation.kind === 'delete-message') return at;
    at = target.writeUInt32LE(operation.value.length, at);
    target.set(operation.value, at);
    return at + operation.value.length;
  }
  at = writeText(target, at, operation.key);
  return operation.kind === 'put-entity' ? writeText(target, at, operation.value) : at;
}

function writeText(target: Buffer, at: number, text: string): number {
  const bytes = target.write(text, at + 4);
  target.writeUInt32LE(bytes, at);
  return at + 4 + bytes;
}

function part(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at + 4, at + 4 + bytes.readUInt32LE(at));
}

/** Over everything up to `end` but the checksum itself. */
function checksumOf(bytes: Buffer, end: number): number {
  return crc32(bytes.subarray(headBytes, end), crc32(bytes.subarray(0, checksumAt)));
}
