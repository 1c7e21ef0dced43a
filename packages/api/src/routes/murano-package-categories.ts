import type { Owners } from '../access/owners.js';
import type { MuranoDocuments } from '../database/murano-documents.js';
import type { PackageRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import type { Context } from '../context.js';
import { viewPackage } from './murano-views.js';

const countMax = 100;

/** Categories of a package by its id. */
export async function categoriesByPackage(documents: MuranoDocuments): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await documents.all('packageCategories');
  return new Map(rows.map((row) => [row.id, JSON.parse(row.body) as readonly string[]]));
}

/** @throws Refusal invalid_request for a category that nobody made. */
export async function putCategories(
  documents: MuranoDocuments,
  context: Context,
  of: { readonly packageId: string; readonly categories: readonly string[] },
): Promise<void> {
  const { packageId, categories } = of;
  const known = new Set((await documents.all('category')).map((row) => row.name));
  const unknown = categories.find((name) => !known.has(name));
  if (unknown !== undefined) throw new Refusal('invalid_request', `there is no category ${unknown}`);
  const now = context.clock.now();
  const row = { kind: 'packageCategories', id: packageId, name: packageId, created_at: now, updated_at: now } as const;
  await documents.change('packageCategories', packageId, () =>
    Promise.resolve(
      categories.length === 0 ? undefined : { ...row, body: JSON.stringify([...new Set(categories)].toSorted()) },
    ),
  );
}

export async function viewWithCategories(
  documents: MuranoDocuments,
  row: PackageRow,
  owners: Owners,
): Promise<unknown> {
  const categories = (await categoriesByPackage(documents)).get(row.id) ?? [];
  return { ...viewPackage(row, owners), categories };
}

/** A list of texts from outside. @throws Refusal invalid_request. */
export function readTexts(value: unknown, what: string): readonly string[] {
  const isList = Array.isArray(value) && value.length <= countMax;
  if (!isList || !value.every((item): item is string => typeof item === 'string' && item.length <= 80))
    throw new Refusal('invalid_request', `${what} are a list of at most ${countMax} texts of at most 80 characters`);
  return value;
}
