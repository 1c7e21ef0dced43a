import yauzl from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { limits } from '@torcello/contracts';
import { Refusal } from '../errors.js';

/** Names of all files in an archive, and the bytes of those that were asked for. */
export interface ArchiveContents {
  readonly names: ReadonlySet<string>;
  readonly bodies: ReadonlyMap<string, Uint8Array>;
}

/** Files that are read while importing are small. */
const readBytesMax = 1_048_576;

/**
 * Looks into a package archive without unpacking it. Every bound is kept while reading, never trusting the archive's
 * own numbers.
 * @throws Refusal package_invalid, too_large.
 */
export async function readArchive(archive: Uint8Array, wanted: readonly string[]): Promise<ArchiveContents> {
  const zip = await open(archive);
  const names = new Set<string>();
  const bodies = new Map<string, Uint8Array>();
  let unpackedBytes = 0;
  try {
    for await (const entry of entriesOf(zip)) {
      checkEntry(entry);
      if (entry.fileName.endsWith('/')) continue;
      if (names.has(entry.fileName)) throw new Refusal('package_invalid', `the archive holds ${entry.fileName} twice`);
      names.add(entry.fileName);
      unpackedBytes += entry.uncompressedSize;
      if (names.size > limits.packageEntriesMax.value)
        throw tooLarge(`more than ${limits.packageEntriesMax.value} files`);
      if (unpackedBytes > limits.packageUnpackedBytesMax.value)
        throw tooLarge(`files of more than ${limits.packageUnpackedBytesMax.value} bytes in all`);
      if (wanted.includes(entry.fileName)) bodies.set(entry.fileName, await readEntry(zip, entry));
    }
  } finally {
    zip.close();
  }
  return { names, bodies };
}

function tooLarge(what: string): Refusal {
  return new Refusal('too_large', `the package has ${what}`);
}

function open(archive: Uint8Array): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    // yauzl itself refuses absolute paths, "..", backslashes and sizes that do not match what is unpacked.
    yauzl.fromBuffer(
      Buffer.from(archive),
      { lazyEntries: true, validateEntrySizes: true, strictFileNames: true },
      (error, zip) => {
        if (error !== null) reject(broken(error));
        else resolve(zip);
      },
    );
  });
}

function broken(cause: unknown): Refusal {
  const why = cause instanceof Error ? cause.message : 'unreadable';
  return new Refusal('package_invalid', `the package is no usable zip archive: ${why}`, { cause });
}

async function* entriesOf(zip: ZipFile): AsyncGenerator<Entry> {
  let wake: () => void = () => undefined;
  let next: Entry | undefined;
  let isOver = false;
  let failure: unknown;
  zip.on('entry', (entry: Entry) => ((next = entry), wake()));
  zip.on('end', () => ((isOver = true), wake()));
  zip.on('error', (error: unknown) => ((failure = error), (isOver = true), wake()));
  while (!isOver) {
    const woken = new Promise<void>((resolve) => (wake = resolve));
    zip.readEntry();
    await woken;
    if (failure !== undefined) throw broken(failure);
    if (next !== undefined) yield next;
    next = undefined;
  }
}

/** No links and devices: only what is a plain file or folder, or says nothing about it. */
function checkEntry(entry: Entry): void {
  const kind = (entry.externalFileAttributes >>> 16) & 0o170000;
  const isPlain = kind === 0 || kind === 0o100000 || kind === 0o040000;
  if (!isPlain) throw new Refusal('package_invalid', `${entry.fileName} in the package is neither file nor folder`);
  if (entry.isEncrypted()) throw new Refusal('package_invalid', `${entry.fileName} in the package is encrypted`);
}

async function readEntry(zip: ZipFile, entry: Entry): Promise<Uint8Array> {
  if (entry.uncompressedSize > readBytesMax)
    throw tooLarge(`${entry.fileName} of ${entry.uncompressedSize} bytes; at most ${readBytesMax} are allowed`);
  const parts: Buffer[] = [];
  try {
    const stream = await new Promise<AsyncIterable<Buffer>>((resolve, reject) => {
      zip.openReadStream(entry, (error, opened) => (error === null ? resolve(opened) : reject(error)));
    });
    for await (const part of stream) parts.push(part);
  } catch (error) {
    throw broken(error);
  }
  return Buffer.concat(parts);
}
