import { createHash } from 'node:crypto';
import { checkApplication, limits, manifestSchema, namedFiles, packageFormat, schemaFlaws } from '@torcello/contracts';
import type { ApplicationDefinition, Flaw, PackageManifest } from '@torcello/contracts';
import { parse } from 'yaml';
import { Refusal } from '../errors.js';
import { readArchive } from './archive.js';
import { compileProperties } from './properties.js';
import { normalizeVersion } from './versions.js';

/** What a package says of itself, checked. */
export interface ReadPackage {
  readonly manifest: PackageManifest;
  readonly version: string;
  /** SHA-256 of the archive, hexadecimal. */
  readonly digest: string;
  /** Undefined for formats that are only stored. */
  readonly definition: ApplicationDefinition | undefined;
}

/**
 * Reads and checks a package archive: manifest, application, every file that it names.
 * @throws Refusal package_invalid, too_large.
 */
export async function readPackage(archive: Uint8Array): Promise<ReadPackage> {
  const { packageBytesMax } = limits;
  if (archive.length > packageBytesMax.value) {
    throw new Refusal(
      'too_large',
      `the package has ${archive.length} bytes; at most ${packageBytesMax.value} are allowed`,
    );
  }
  const { names, bodies } = await readArchive(archive, ['manifest.yaml', 'application.yaml']);
  const manifest = readManifest(bodies.get('manifest.yaml'));
  const version = normalizeVersion(String(manifest.Version ?? '0.0.0'));
  const digest = createHash('sha256').update(archive).digest('hex');
  const isOurs = manifest.Format.startsWith('Torcello/');
  if (!isOurs) return { manifest, version, digest, definition: undefined };
  if (manifest.Format !== packageFormat) {
    throw new Refusal(
      'package_invalid',
      `manifest.yaml: this release knows the format ${packageFormat}, not ${manifest.Format}`,
    );
  }
  return { manifest, version, digest, definition: readApplication(bodies.get('application.yaml'), names) };
}

function readManifest(body: Uint8Array | undefined): PackageManifest {
  const document = readYaml('manifest.yaml', body);
  refuseFlaws('manifest.yaml', schemaFlaws(manifestSchema, document));
  const manifest = document as Omit<PackageManifest, 'Format'> & { readonly Format: string | number };
  // Murano's oldest packages write a bare number for MuranoPL.
  const format = typeof manifest.Format === 'number' ? `MuranoPL/${manifest.Format}` : manifest.Format;
  return { ...manifest, Format: format };
}

function readApplication(body: Uint8Array | undefined, names: ReadonlySet<string>): ApplicationDefinition {
  const document = readYaml('application.yaml', body);
  refuseFlaws('application.yaml', checkApplication(document));
  const definition = document as ApplicationDefinition;
  const missing = namedFiles(definition).filter((name) => !names.has(name));
  if (missing.length > 0) {
    throw new Refusal(
      'package_invalid',
      `application.yaml names files that are not in the package: ${missing.join(', ')}`,
      {
        cure: `add ${missing.join(', ')} to the package`,
      },
    );
  }
  if (definition.properties !== undefined) compileProperties(definition.properties);
  return definition;
}

function readYaml(name: string, body: Uint8Array | undefined): unknown {
  if (body === undefined) throw new Refusal('package_invalid', `the package has no ${name} at its top`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    return parse(text, { maxAliasCount: 50, uniqueKeys: true, logLevel: 'error' }) as unknown;
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new Refusal('package_invalid', `${name} is no YAML: ${why}`, { cause });
  }
}

function refuseFlaws(name: string, flaws: readonly Flaw[]): void {
  if (flaws.length === 0) return;
  const lines = flaws.slice(0, 5).map((flaw) => `${flaw.path === '' ? 'it' : flaw.path} ${flaw.message}`);
  throw new Refusal('package_invalid', `${name}: ${lines.join('; ')}`);
}
