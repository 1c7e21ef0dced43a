import { inflateRawSync } from 'node:zlib';

/** One file of an archive made by `zip`, found by its local header. */
export function unpackSync(archive: Uint8Array, wanted: string): string {
  const bytes = Buffer.from(archive);
  for (let at = 0; bytes.readUInt32LE(at) === 0x04034b50;) {
    const nameLength = bytes.readUInt16LE(at + 26);
    const bodyStart = at + 30 + nameLength + bytes.readUInt16LE(at + 28);
    const bodyEnd = bodyStart + bytes.readUInt32LE(at + 18);
    if (bytes.subarray(at + 30, at + 30 + nameLength).toString() === wanted) {
      const body = bytes.subarray(bodyStart, bodyEnd);
      return (bytes.readUInt16LE(at + 8) === 0 ? body : inflateRawSync(body)).toString();
    }
    at = bodyEnd;
  }
  throw new Error(`no ${wanted} in the archive`);
}
