import { hexId } from '@torcello/platform';
import type { Owners } from '../access/owners.js';
import { operator } from '../access/principal.js';
import type { Principal } from '../access/principal.js';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Work } from '../database/store.js';
import type { PackageRow } from '../database/tables.js';
import { parseServices } from '../environments/services.js';
import { Refusal } from '../errors.js';
import { readPackage } from './read-package.js';
import type { ReadPackage } from './read-package.js';

/** The packages that can be deployed or at least looked at. */
export class Catalog {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Takes an archive in. The same bytes again answer with the package that is there.
   * @throws Refusal package_invalid, too_large, package_exists.
   */
  async import(
    archive: Uint8Array,
    principal: Principal = operator,
  ): Promise<{ readonly row: PackageRow; readonly isNew: boolean }> {
    const read = await readPackage(archive);
    return this.#context.store.write(async (work) => {
      const named = await work.db
        .selectFrom('packages')
        .selectAll()
        .where('full_name', '=', read.manifest.FullName)
        .where('version', '=', read.version)
        .execute();
      // One tenant's names are not in the way of another's.
      const there = named.find(({ id }) => this.#context.owners.tenantOf(id) === principal.tenantId);
      if (there?.digest === read.digest) return { row: there, isNew: false };
      if (there !== undefined) {
        throw new Refusal('package_exists', `${there.full_name} ${there.version} is there with other content`, {
          cure: `raise the Version in manifest.yaml, or torcello package delete ${there.full_name}`,
        });
      }
      return { row: await this.#insert(work, { read, archive, principal }), isNew: true };
    });
  }

  /** @throws Refusal not_found. */
  async find(idOrName: string): Promise<PackageRow> {
    const row = await this.#context.store.db
      .selectFrom('packages')
      .selectAll()
      .where('id', '=', idOrName)
      .executeTakeFirst();
    if (row === undefined) throw new Refusal('not_found', `no package ${idOrName}`, { cure: 'torcello package list' });
    return row;
  }

  async archive(id: string): Promise<Uint8Array> {
    const row = await this.#context.store.db
      .selectFrom('package_archives')
      .select('body')
      .where('package_id', '=', id)
      .executeTakeFirst();
    if (row === undefined) throw new Refusal('not_found', `no package ${id}`);
    return row.body;
  }

  /** @throws Refusal not_found, package_in_use. */
  async delete(id: string): Promise<void> {
    const row = await this.find(id);
    await this.#context.store.write(async (work) => {
      await refuseInUse(work, row, this.#context.owners);
      await work.db.deleteFrom('package_archives').where('package_id', '=', id).execute();
      await work.db.deleteFrom('packages').where('id', '=', id).execute();
      await writeAudit(this.#context, work, {
        actor: 'admin',
        action: 'package.deleted',
        target: id,
        detail: { name: row.full_name },
      });
    });
  }

  async #insert(
    work: Work,
    made: { readonly read: ReadPackage; readonly archive: Uint8Array; readonly principal: Principal },
  ): Promise<PackageRow> {
    const { read, archive, principal } = made;
    const { manifest, definition } = read;
    const now = this.#context.clock.now();
    const row: PackageRow = {
      id: hexId(this.#context.random),
      full_name: manifest.FullName,
      version: read.version,
      name: manifest.Name,
      type: manifest.Type,
      format: manifest.Format,
      description: manifest.Description ?? '',
      author: manifest.Author ?? '',
      tags: JSON.stringify(manifest.Tags ?? []),
      classes: JSON.stringify(Object.keys(manifest.Classes ?? {})),
      digest: read.digest,
      size: archive.length,
      definition: definition === undefined ? null : JSON.stringify(definition),
      is_public: 0,
      is_enabled: 1,
      created_at: now,
      updated_at: now,
    };
    await work.db.insertInto('packages').values(row).execute();
    await this.#context.owners.note(work, row.id, principal);
    await work.db.insertInto('package_archives').values({ package_id: row.id, body: archive }).execute();
    await writeAudit(this.#context, work, {
      actor: operator.userId,
      action: 'package.imported',
      target: row.id,
      detail: { name: row.full_name, version: row.version },
    });
    return row;
  }
}

/** A package stays while an environment has it deployed, or a deployment works with it: destroying needs it. */
async function refuseInUse(work: Work, row: PackageRow, owners: Owners): Promise<void> {
  const environments = await work.db
    .selectFrom('environments')
    .select(['id', 'name', 'services'])
    .where('is_deployed', '=', 1)
    .execute();
  const user = environments.find(
    (environment) =>
      (row.is_public === 1 || owners.tenantOf(environment.id) === owners.tenantOf(row.id)) &&
      parseServices(environment.services).some((service) => isOf(service['?'].type, row.full_name)),
  );
  const running = await work.db
    .selectFrom('deployments')
    .select('environment_name')
    .where('finished_at', 'is', null)
    .where('model', 'like', `%"${row.id}"%`)
    .executeTakeFirst();
  const name = user?.name ?? running?.environment_name;
  if (name === undefined) return;
  throw new Refusal('package_in_use', `${row.full_name} is deployed in ${name}`, {
    cure: `torcello environment delete ${name}`,
  });
}

function isOf(type: string, fullName: string): boolean {
  return type === fullName || type.startsWith(`${fullName}/`) || type.startsWith(`${fullName}@`);
}
