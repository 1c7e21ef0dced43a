import { CompileError } from './compile-error.js';
import { type ApplicationSource, applicationFile, readApplication } from './application-source.js';

/** A package, unpacked and checked. Immutable; conductors share it between deployments. */
export interface PackageContent {
  readonly application: ApplicationSource;
  /** Everything in the archive by its path, with forward slashes. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly sizeBytes: number;
}

/** @throws CompileError when the package is not one that can be run. */
export function readPackage(files: ReadonlyMap<string, Uint8Array>): PackageContent {
  const bytes = files.get(applicationFile);
  if (bytes === undefined) {
    throw new CompileError(
      'PACKAGE_UNREADABLE',
      { file: applicationFile },
      {
        problem: 'the package has no such file, so this release cannot run it',
        cure: 'import a package of the format Torcello/1.0',
      },
    );
  }
  let sizeBytes = 0;
  for (const file of files.values()) sizeBytes += file.length;
  return { application: readApplication(decodeText(applicationFile, bytes)), files, sizeBytes };
}

/** Text of a file in UTF-8. @throws CompileError when it is something else. */
export function decodeText(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CompileError(
      'PACKAGE_UNREADABLE',
      { file },
      {
        problem: 'it is not text in UTF-8',
        cure: 'save it as UTF-8, or copy it with "source" instead of "template"',
      },
    );
  }
}
