import { limits } from '@torcello/contracts';
import { type Entry, type ZipFile, fromBufferPromise } from 'yauzl';
import { CompileError } from '../compile/compile-error.js';

/** How much an archive may unpack to. */
export interface ArchiveLimits {
  readonly entriesMax: number;
  readonly unpackedBytesMax: number;
}

const archiveLimits: ArchiveLimits = {
  entriesMax: limits.packageEntriesMax.value,
  unpackedBytesMax: limits.packageUnpackedBytesMax.value,
};

const fileTypeMask = 0o170_000;
const symbolicLink = 0o120_000;

/**
 * The files of a zip archive by path, in memory. Never more than the limits say, whatever the archive claims.
 * @throws CompileError PACKAGE_UNREADABLE: no zip, damaged, over a limit, links, encrypted, or names that leave it.
 */
export async function unpackArchive(
  archive: Uint8Array,
  bounds: ArchiveLimits = archiveLimits,
): Promise<ReadonlyMap<string, Uint8Array>> {
  try {
    const zip = await fromBufferPromise(Buffer.from(archive), { strictFileNames: true, validateEntrySizes: true });
    return await unpack(zip, bounds);
  } catch (error) {
    if (error instanceof CompileError) throw error;
    throw unreadable((error as Error).message);
  }
}

async function unpack(zip: ZipFile, bounds: ArchiveLimits): Promise<ReadonlyMap<string, Uint8Array>> {
  if (zip.entryCount > bounds.entriesMax) throw unreadable(`it has over ${bounds.entriesMax} entries`);
  const files = new Map<string, Uint8Array>();
  let leftBytes = bounds.unpackedBytesMax;
  for await (const entry of zip.eachEntry()) {
    if (entry.fileName.endsWith('/')) continue;
    const flaw = flawOf(entry, files);
    if (flaw !== undefined) throw unreadable(`${entry.fileName} ${flaw}`);
    const bytes = await readEntry(zip, entry, leftBytes);
    if (bytes === undefined) throw unreadable(`it unpacks to over ${bounds.unpackedBytesMax} bytes`);
    leftBytes -= bytes.length;
    files.set(entry.fileName, bytes);
  }
  return files;
}

/** yauzl itself refuses absolute names, `..` and backslashes. */
function flawOf(entry: Entry, files: ReadonlyMap<string, Uint8Array>): string | undefined {
  if (files.has(entry.fileName)) return 'is there twice';
  if (entry.isEncrypted()) return 'is encrypted';
  const mode = entry.externalFileAttributes >>> 16;
  return (mode & fileTypeMask) === symbolicLink ? 'is a symbolic link' : undefined;
}

async function readEntry(zip: ZipFile, entry: Entry, bytesMax: number): Promise<Uint8Array | undefined> {
  if (entry.uncompressedSize > bytesMax) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function unreadable(problem: string): CompileError {
  return new CompileError(
    'PACKAGE_UNREADABLE',
    { file: 'package' },
    { problem, cure: 'build the package again and import it' },
  );
}
