/** The part of yauzl 3 that is used here; the library brings no types of its own. */
declare module 'yauzl' {
  import type { EventEmitter } from 'node:events';
  import type { Readable } from 'node:stream';

  export interface Entry {
    readonly fileName: string;
    readonly uncompressedSize: number;
    readonly externalFileAttributes: number;
    isEncrypted(): boolean;
  }
  export interface ZipFile extends EventEmitter {
    readEntry(): void;
    openReadStream(entry: Entry, callback: (error: Error | null, stream: Readable) => void): void;
    close(): void;
  }
  export interface Options {
    readonly lazyEntries?: boolean;
    readonly validateEntrySizes?: boolean;
    readonly strictFileNames?: boolean;
  }
  const yauzl: {
    fromBuffer(bytes: Buffer, options: Options, callback: (error: Error | null, zip: ZipFile) => void): void;
  };
  // oxlint-disable-next-line import/no-default-export -- the library's own shape
  export default yauzl;
}
