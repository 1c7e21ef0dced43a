import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { parse } from 'yaml';
import type { MuranoDocuments } from '../database/murano-documents.js';
import { readPatch } from '../environments/json-patch.js';
import type { PatchChange } from '../environments/json-patch.js';
import { isObject } from '../environments/services.js';
import { Refusal } from '../errors.js';
import { readArchive } from '../packages/archive.js';
import type { ApiServices } from './api-services.js';
import { categoriesByPackage, putCategories, readTexts, viewWithCategories } from './murano-package-categories.js';
import { answer, params } from './schemas.js';

const tags = ['packages'];
const config = { isMurano: true };

type Params = { Params: { p: string } };

/** What Murano knows of a package beyond import and download: changes to it, and its pictures and form. */
export function muranoPackageRoutes(app: FastifyInstance, services: ApiServices, documents: MuranoDocuments): void {
  const { catalog, context } = services;
  app.patch<Params & { Body: unknown }>(
    '/v1/catalog/packages/:p',
    {
      config,
      schema: {
        summary: 'Change a package by a JSON patch',
        tags,
        params: params('p'),
        consumes: ['application/murano-packages-json-patch', 'application/json'],
        body: Type.Unknown(),
        response: { 200: answer('Package') },
      },
    },
    async (request) => {
      const changes = readPatch(request.body);
      const row = await catalog.find(request.params.p);
      const before: Lists = {
        tags: JSON.parse(row.tags) as readonly string[],
        categories: (await categoriesByPackage(documents)).get(row.id) ?? [],
      };
      const after = changes.reduce(applyToLists, before);
      await putCategories(documents, context, { packageId: row.id, categories: after.categories });
      const columns = Object.assign({}, ...changes.map(columnOf)) as Readonly<Record<string, string | number>>;
      await context.store.db
        .updateTable('packages')
        .set({ ...columns, tags: JSON.stringify(after.tags), updated_at: context.clock.now() })
        .where('id', '=', row.id)
        .execute();
      return viewWithCategories(documents, await catalog.find(row.id), context.owners);
    },
  );

  for (const { part, key, names, type } of parts) {
    app.get<Params>(
      `/v1/catalog/packages/:p/${part}`,
      { config, schema: { summary: `The file that the manifest names as ${key}`, tags, params: params('p') } },
      async (request, reply) => {
        const body = await fileOf(await catalog.archive(request.params.p), key, names);
        // Murano answers with nothing for a part that the package lacks.
        return reply.type(type).send(Buffer.from(body ?? []));
      },
    );
  }
}

const parts = [
  { part: 'ui', key: 'UI', names: ['UI/ui.yaml'], type: 'application/octet-stream' },
  { part: 'logo', key: 'Logo', names: ['logo.png'], type: 'application/octet-stream' },
  { part: 'supplier_logo', key: 'Supplier', names: ['supplier_logo.png'], type: 'application/octet-stream' },
] as const;

async function fileOf(archive: Uint8Array, key: string, names: readonly string[]): Promise<Uint8Array | undefined> {
  const manifest = (await readArchive(archive, ['manifest.yaml'])).bodies.get('manifest.yaml');
  const document: unknown = parse(Buffer.from(manifest ?? []).toString());
  const told = isObject(document) ? document[key] : undefined;
  const named = isObject(told) ? told['Logo'] : told;
  const wanted = typeof named === 'string' ? [key === 'UI' ? `UI/${named}` : named, ...names] : names;
  const { bodies } = await readArchive(archive, wanted);
  return wanted.map((name) => bodies.get(name)).find((body) => body !== undefined);
}

interface Lists {
  readonly tags: readonly string[];
  readonly categories: readonly string[];
}

function applyToLists(lists: Lists, { op, path, value }: PatchChange): Lists {
  const [key] = path;
  if (key !== 'tags' && key !== 'categories') return lists;
  if (op === 'remove') {
    const gone = value === undefined ? lists[key] : readTexts(value, key);
    return { ...lists, [key]: lists[key].filter((item) => !gone.includes(item)) };
  }
  const texts = readTexts(value, key);
  return { ...lists, [key]: op === 'replace' ? texts : [...new Set([...lists[key], ...texts])] };
}

/** The column that a change sets; no change but of these is allowed (Murano section 2). */
function columnOf({ op, path, value }: PatchChange): Readonly<Record<string, string | number>> {
  const [key = ''] = path;
  if (path.length === 1 && (key === 'tags' || key === 'categories')) return {};
  const column = columns[key];
  if (column === undefined || path.length !== 1 || op !== 'replace')
    throw new Refusal('session_invalid', `${op} of /${path.join('/')} is not allowed`);
  if (typeof value !== column.type || (typeof value === 'string' && value.length > column.lengthMax))
    throw new Refusal('invalid_request', `/${key} has to be a ${column.type} of at most ${column.lengthMax}`);
  if (key === 'name' && value === '') throw new Refusal('invalid_request', '/name cannot be empty');
  return { [column.name]: typeof value === 'boolean' ? Number(value) : String(value) };
}

const columns: Readonly<
  Record<string, { readonly name: string; readonly type: 'string' | 'boolean'; readonly lengthMax: number }>
> = {
  name: { name: 'name', type: 'string', lengthMax: 80 },
  description: { name: 'description', type: 'string', lengthMax: 10_000 },
  is_public: { name: 'is_public', type: 'boolean', lengthMax: 1 },
  enabled: { name: 'is_enabled', type: 'boolean', lengthMax: 1 },
};
