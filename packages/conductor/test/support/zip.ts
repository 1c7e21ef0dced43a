import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';

/** A zip archive of these files, written the plain way (APPNOTE 4.3). `method` 8 deflates, 0 stores. */
export function zip(files: Readonly<Record<string, string | Uint8Array>>, options: ZipOptions = {}): Uint8Array {
  const locals: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const raw = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    const body = options.isStored === true ? raw : deflateRawSync(raw);
    const fields = { name: Buffer.from(name), body, raw, offset, options };
    const local = localHeader(fields);
    locals.push(local);
    central.push(centralHeader(fields));
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

/** The same of a folder, stored: unpacking takes no thread of its own, so simulated time does not run ahead of it. */
export function zipFolder(folder: string): Uint8Array {
  return zip(filesIn(folder), { isStored: true });
}

/** All files below a folder by their paths. */
export function filesIn(folder: string): Readonly<Record<string, Uint8Array>> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .toSorted();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
}

export interface ZipOptions {
  readonly isStored?: boolean;
  /** Unix mode of every entry. */
  readonly mode?: number;
  /** What the headers claim; the truth by default. */
  readonly claimedBytes?: number;
}

interface Fields {
  readonly name: Uint8Array;
  readonly body: Uint8Array;
  readonly raw: Uint8Array;
  readonly offset: number;
  readonly options: ZipOptions;
}

function localHeader({ name, body, raw, options }: Fields): Uint8Array {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(options.isStored === true ? 0 : 8, 8);
  header.writeUInt32LE(checksum(raw), 14);
  header.writeUInt32LE(body.length, 18);
  header.writeUInt32LE(options.claimedBytes ?? raw.length, 22);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, name, body]);
}

function centralHeader({ name, body, raw, offset, options }: Fields): Uint8Array {
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(0x0314, 4);
  header.writeUInt16LE(20, 6);
  header.writeUInt16LE(options.isStored === true ? 0 : 8, 10);
  header.writeUInt32LE(checksum(raw), 16);
  header.writeUInt32LE(body.length, 20);
  header.writeUInt32LE(options.claimedBytes ?? raw.length, 24);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt32LE(((options.mode ?? 0o100_644) << 16) >>> 0, 38);
  header.writeUInt32LE(offset, 42);
  return Buffer.concat([header, name]);
}

function checksum(bytes: Uint8Array): number {
  return crc32(bytes);
}
