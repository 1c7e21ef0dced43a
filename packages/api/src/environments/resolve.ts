import type { ApplicationDefinition, DeploymentService } from '@torcello/contracts';
import type { Owners } from '../access/owners.js';
import type { Db } from '../database/store.js';
import type { PackageRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import { completeProperties } from '../packages/properties.js';
import { compareVersions, normalizeVersion } from '../packages/versions.js';
import { propertiesOf } from './services.js';
import type { ServiceObject } from './services.js';

/**
 * Finds the package of every service and fills in its properties.
 * @throws Refusal unknown_package, package_not_runnable, invalid_property.
 */
export async function resolveServices(
  db: Db,
  services: readonly ServiceObject[],
  isVisible: (row: PackageRow) => boolean,
): Promise<readonly DeploymentService[]> {
  const resolved: DeploymentService[] = [];
  for (const service of services) resolved.push(await resolveService(db, service, isVisible));
  return resolved;
}

/** Packages that an environment may use: those of its tenant, and public ones. */
export function visiblePackages(owners: Owners, environmentId: string): (row: PackageRow) => boolean {
  const tenantId = owners.tenantOf(environmentId);
  return (row) => row.is_public === 1 || owners.tenantOf(row.id) === tenantId;
}

async function resolveService(
  db: Db,
  service: ServiceObject,
  isVisible: (row: PackageRow) => boolean,
): Promise<DeploymentService> {
  const found = await findPackage(db, service['?'].type, isVisible);
  if (found.definition === null) {
    throw new Refusal('package_not_runnable', `${found.full_name} is a package of the format ${found.format}`, {
      cure: 'deploy packages of the format Torcello/1.0',
    });
  }
  const definition = JSON.parse(found.definition) as ApplicationDefinition;
  const { id } = service['?'];
  return {
    id,
    type: found.full_name,
    properties: completeProperties(definition.properties, propertiesOf(service), `service ${id} of ${found.full_name}`),
    package: { id: found.id, digest: found.digest, path: `/v1/catalog/packages/${found.id}/download` },
    definition,
  };
}

/** The package that a type names; without a version the newest. */
async function findPackage(db: Db, type: string, isVisible: (row: PackageRow) => boolean): Promise<PackageRow> {
  const { fullName, version, packageId } = parseType(type);
  const all = await db
    .selectFrom('packages')
    .selectAll()
    .where('full_name', '=', fullName)
    .where('is_enabled', '=', 1)
    .execute();
  const candidates = all.filter(isVisible);
  const fitting = candidates
    .filter((row) => packageId === undefined || row.id === packageId)
    .filter((row) => version === undefined || normalizeVersion(row.version) === normalizeVersion(version))
    .toSorted((a, b) => compareVersions(b.version, a.version));
  const [newest] = fitting;
  if (newest !== undefined) return newest;
  const there = candidates.map((row) => row.version).join(', ');
  throw new Refusal(
    'unknown_package',
    `no package ${type}${there === '' ? '' : `; of ${fullName} there is ${there}`}`,
    {
      cure: 'torcello package import DIR, or torcello package list',
    },
  );
}

/** `<full name>[/<version>][@<package id or version>]`. */
function parseType(type: string): {
  readonly fullName: string;
  readonly version: string | undefined;
  readonly packageId: string | undefined;
} {
  const [, fullName = type, version, tail] = /^([^/@]+)(?:\/([^@]+))?(?:@(.+))?$/.exec(type) ?? [];
  if (tail === undefined) return { fullName, version, packageId: undefined };
  const isId = /^[0-9a-f]{32}$/.test(tail);
  return { fullName, version: version ?? (isId ? undefined : tail), packageId: isId ? tail : undefined };
}
