import { crc32 } from 'node:zlib';
import { StoreDamage } from './message-store.js';

/** Bytes of the checksum in front of every stored value: CRC-32 of the rest, little endian. */
export const checksumBytes = 4;

/** Fills in the checksum of a value that was built with room for it in front. */
export function seal(value: Buffer): Buffer {
  value.writeUInt32LE(crc32(value.subarray(checksumBytes)), 0);
  return value;
}

/** A sealed value from text. */
export function sealedText(text: string): Buffer {
  const value = Buffer.allocUnsafe(checksumBytes + Buffer.byteLength(text));
  value.write(text, checksumBytes);
  return seal(value);
}

/** What is behind the checksum. @throws StoreDamage when it does not hold; `what` names the value in the report. */
export function unsealed(value: Uint8Array, what: string): Buffer {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < checksumBytes) throw new StoreDamage(what, `it has ${bytes.length} bytes`);
  const rest = bytes.subarray(checksumBytes);
  if (crc32(rest) !== bytes.readUInt32LE(0)) throw new StoreDamage(what, 'its checksum does not hold');
  return rest;
}
