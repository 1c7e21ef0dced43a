import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { hexId } from '@torcello/platform';
import { principalOf } from '../access/guard.js';
import type { Principal } from '../access/principal.js';
import type { Context } from '../context.js';
import type { MuranoDocumentRow, MuranoDocuments } from '../database/murano-documents.js';
import { Refusal } from '../errors.js';
import { muranoTime } from '../times.js';
import type { ApiServices } from './api-services.js';
import { compare, placeAfter, readDirection, readLimit } from './murano-package-query.js';
import { viewPackage } from './murano-views.js';
import { answer, empty, list, params, text } from './schemas.js';

const tags = ['packages'];
const config = { isMurano: true };
const nameLengthMax = 80;

type Params = { Params: { c: string } };

/** Categories of packages (Murano section 2). */
export function muranoCategoryRoutes(app: FastifyInstance, services: ApiServices, documents: MuranoDocuments): void {
  const { clock, random } = services.context;

  listRoute(app, documents);
  app.post<{ Body: Readonly<Record<string, unknown>> }>(
    '/v1/catalog/categories',
    {
      config,
      schema: { summary: 'Make a category', tags, body: Type.Object({}), response: { 200: answer('Category') } },
    },
    async (request) => {
      const { name } = request.body;
      if (typeof name !== 'string' || name.trim() === '' || name.length > nameLengthMax)
        throw new Refusal('invalid_request', `a category needs a name of 1 to ${nameLengthMax} characters`);
      const [newId, now] = [hexId(random), clock.now()];
      const made = { kind: 'category', id: newId, name, body: '{}', created_at: now, updated_at: now } as const;
      await documents.change('category', newId, (all) => {
        if (all.some((row) => row.name === name)) throw new Refusal('name_taken', `there is a category ${name}`);
        return Promise.resolve(made);
      });
      return { ...view(made), package_count: 0 };
    },
  );

  app.get<Params>(
    '/v1/catalog/categories/:c',
    {
      config,
      schema: {
        summary: 'One category with its packages',
        tags,
        params: params('c'),
        response: { 200: answer('Category', { id: text, name: text, packages: list }) },
      },
    },
    async (request) => {
      const row = await find(documents, request.params.c);
      const packages = await packagesIn(services.context, await members(documents, row), principalOf(request));
      return { ...view(row), package_count: packages.length, packages };
    },
  );

  app.delete<Params>(
    '/v1/catalog/categories/:c',
    {
      config,
      schema: { summary: 'Delete an empty category', tags, params: params('c'), response: { 200: empty('Gone') } },
    },
    async (request, reply) => {
      const row = await find(documents, request.params.c);
      if ((await members(documents, row)).length > 0)
        throw new Refusal('session_invalid', `there are packages in the category ${row.name}`);
      await documents.change('category', row.id, () => Promise.resolve(undefined));
      return reply.code(200).send();
    },
  );
}

function listRoute(app: FastifyInstance, documents: MuranoDocuments): void {
  app.get<{ Querystring: CategoryQuery }>(
    '/v1/catalog/categories',
    {
      config,
      schema: {
        summary: 'All categories, or with limit a page of them',
        tags,
        querystring: Type.Record(Type.String(), Type.Unknown()),
        response: { 200: answer('List', { categories: list }) },
      },
    },
    async (request) => {
      const rows = await documents.all('category');
      const categories = [];
      for (const row of rows) categories.push({ ...view(row), package_count: (await members(documents, row)).length });
      return pageOf(categories, request.query);
    },
  );
}

type CategoryQuery = Readonly<Record<string, string | readonly string[] | undefined>>;
type Category = ReturnType<typeof view> & { readonly package_count: number };
const sortKeys: readonly string[] = ['name', 'created', 'updated', 'package_count', 'id'];

/** All, or the page that is asked for. @throws Refusal invalid_request, not_found (the marker). */
function pageOf(
  categories: readonly Category[],
  query: CategoryQuery,
): { readonly categories: readonly Category[]; readonly next_marker?: string } {
  const [limitText, marker, direction] = ['limit', 'marker', 'sort_dir'].map((name) => [query[name]].flat().at(-1));
  const keys = [query['sort_keys'] ?? 'name'].flat().flatMap((key) => key.split(','));
  const unknown = keys.find((key) => !sortKeys.includes(key));
  if (unknown !== undefined)
    throw new Refusal('invalid_request', `sort_keys are ${sortKeys.join(', ')}, not ${unknown}`);
  const [sign, key] = [readDirection(direction), (keys[0] ?? 'name') as keyof Category];
  const sorted = categories.toSorted((a, b) => sign * compare(a[key], b[key]));
  const from = placeAfter(sorted, marker);
  const limit = limitText === undefined ? sorted.length : readLimit(limitText);
  const shown = sorted.slice(from, from + limit);
  const last = shown.at(-1);
  const hasMore = last !== undefined && from + limit < sorted.length;
  return { categories: shown, ...(hasMore ? { next_marker: last.id } : {}) };
}

async function find(documents: MuranoDocuments, categoryId: string): Promise<MuranoDocumentRow> {
  const row = await documents.find('category', categoryId);
  if (row === undefined) throw new Refusal('not_found', `no category ${categoryId}`);
  return row;
}

/** Ids of the packages in a category. */
async function members(documents: MuranoDocuments, category: MuranoDocumentRow): Promise<readonly string[]> {
  const all = await documents.all('packageCategories');
  return all.filter((row) => (JSON.parse(row.body) as readonly string[]).includes(category.name)).map((row) => row.id);
}

function view(row: MuranoDocumentRow): Readonly<Record<'id' | 'name' | 'created' | 'updated', string>> {
  return { id: row.id, name: row.name, created: muranoTime(row.created_at), updated: muranoTime(row.updated_at) };
}

/** Those that somebody may see. */
async function packagesIn(
  { store, owners }: Context,
  ids: readonly string[],
  principal: Principal,
): Promise<readonly unknown[]> {
  const rows = await store.db.selectFrom('packages').selectAll().execute();
  const visible = rows.filter((one) => one.is_public === 1 || owners.isVisible(one.id, principal));
  return visible.filter((one) => ids.includes(one.id)).map((one) => viewPackage(one, owners));
}
