import { createHash } from 'node:crypto';
import { type DeploymentModel, type DeploymentService, limits } from '@torcello/contracts';
import { CompileError } from '../compile/compile-error.js';
import { type PackageContent, readPackage } from '../compile/package-content.js';
import { unpackArchive } from './archive.js';
import type { Download } from './download.js';

/**
 * Packages by the digest of their archive, fetched from the API when they are first needed. Two deployments that need
 * the same one at once fetch it once. The oldest ones are forgotten when all together are over the limit.
 */
export class PackageStore {
  readonly #download: Download;
  readonly #bytesMax: number;
  /** In the order of their latest use. */
  readonly #kept = new Map<string, PackageContent>();
  readonly #fetching = new Map<string, Promise<PackageContent>>();
  #keptBytes = 0;

  constructor(download: Download, bytesMax: number) {
    this.#download = download;
    this.#bytesMax = bytesMax;
  }

  /**
   * The package of a service.
   * @throws CompileError when it cannot be used, whatever is tried; any other error when the API could not be reached.
   */
  async get(model: DeploymentModel, service: DeploymentService, signal: AbortSignal): Promise<PackageContent> {
    const { digest } = service.package;
    const kept = this.#kept.get(digest);
    if (kept !== undefined) {
      this.#kept.delete(digest);
      this.#kept.set(digest, kept);
      return kept;
    }
    // Shared by whoever asks meanwhile; the first one's signal ends it, and then the others ask again.
    for (;;) {
      const fetching = this.#fetching.get(digest);
      if (fetching === undefined) return await this.#fetch(model, service, signal);
      try {
        return await fetching;
      } catch (error) {
        if (error instanceof CompileError) throw error;
        signal.throwIfAborted();
      }
    }
  }

  async #fetch(model: DeploymentModel, service: DeploymentService, signal: AbortSignal): Promise<PackageContent> {
    const { digest } = service.package;
    const fetching = this.#read(model, service, signal);
    this.#fetching.set(digest, fetching);
    try {
      const content = await fetching;
      this.#keep(digest, content);
      return content;
    } finally {
      this.#fetching.delete(digest);
    }
  }

  async #read(model: DeploymentModel, service: DeploymentService, signal: AbortSignal): Promise<PackageContent> {
    const archive = await this.#download({
      url: new URL(service.package.path, model.filesUrl).href,
      token: model.filesToken,
      bytesMax: limits.packageBytesMax.value,
      signal,
    });
    const digest = createHash('sha256').update(archive).digest('hex');
    if (digest !== service.package.digest) throw digestDiffers(service, digest);
    return readPackage(await unpackArchive(archive));
  }

  #keep(digest: string, content: PackageContent): void {
    this.#kept.set(digest, content);
    this.#keptBytes += content.sizeBytes;
    for (const [oldest, { sizeBytes }] of this.#kept) {
      if (this.#keptBytes <= this.#bytesMax) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= sizeBytes;
    }
  }
}

function digestDiffers({ type, package: { digest } }: DeploymentService, found: string): CompileError {
  return new CompileError(
    'PACKAGE_UNREADABLE',
    { file: 'package' },
    {
      problem: `the archive of ${type} has the digest ${found.slice(0, 12)}…, expected was ${digest.slice(0, 12)}…`,
      cure: 'import the package again',
    },
  );
}
