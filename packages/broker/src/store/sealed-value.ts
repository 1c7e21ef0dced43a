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
export function unsealed(value: Uint8Array, what: string | (() => string)): Buffer {
  const damage = (why: string): StoreDamage => new StoreDamage(typeof what === 'string' ? what : what(), why);
  const { buffer, byteOffset, length } = value;
  if (length < checksumBytes) throw damage(`it has ${length} bytes`);
  const rest = Buffer.from(buffer, byteOffset + checksumBytes, length - checksumBytes);
  if (crc32(rest) !== checksumIn(value)) throw damage('its checksum does not hold');
  return rest;
}

function checksumIn(value: Uint8Array): number {
  const low = ((value[1] ?? 0) << 8) | (value[0] ?? 0);
  const high = ((value[3] ?? 0) << 8) | (value[2] ?? 0);
  return high * 2 ** 16 + low;
}
