import { limits } from '@torcello/contracts';
import { Type } from 'typebox';
import fastifyMultipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { principalOf } from '../access/guard.js';
import type { Principal } from '../access/principal.js';
import { MuranoDocuments } from '../database/murano-documents.js';
import type { PackageRow } from '../database/tables.js';
import { isObject } from '../environments/services.js';
import { Refusal } from '../errors.js';
import type { ApiServices } from './api-services.js';
import { categoriesByPackage, putCategories, readTexts, viewWithCategories } from './murano-package-categories.js';
import { pageOf } from './murano-package-query.js';
import type { PackageQuery } from './murano-package-query.js';
import { viewPackage } from './murano-views.js';
import { tokenOf } from './token.js';
import { answer, empty, list, params, text } from './schemas.js';

const tags = ['packages'];
const config = { isMurano: true };
const packageAnswer = answer('Package', { id: text, fully_qualified_name: text, version: text, digest: text });

type Params = { Params: { p: string } };

export function packageRoutes(app: FastifyInstance, services: ApiServices): void {
  const { catalog, context } = services;
  const documents = new MuranoDocuments(context.store);
  packageRoutesById(app, services, documents);
  const bodyLimit = limits.packageBytesMax.value + multipartBytes;
  void app.register(fastifyMultipart, {
    limits: { fileSize: limits.packageBytesMax.value, files: 1, fields: 10, fieldSize: 65_536 },
  });
  app.addContentTypeParser(
    ['application/zip', 'application/octet-stream'],
    { parseAs: 'buffer', bodyLimit },
    (_request, body, done) => done(null, body),
  );

  const query = Type.Object({}, { additionalProperties: true });
  app.get<{ Querystring: PackageQuery }>(
    '/v1/catalog/packages',
    {
      config,
      schema: {
        summary: 'Packages, a page at a time',
        tags,
        querystring: query,
        response: { 200: answer('Page', { packages: list }) },
      },
    },
    async (request) => page(services, documents, { query: request.query, principal: principalOf(request) }),
  );

  app.post(
    '/v1/catalog/packages',
    {
      config,
      bodyLimit,
      schema: {
        summary: 'Import a package: a zip archive, alone or as the file of a form',
        tags,
        consumes: ['multipart/form-data', 'application/zip'],
        response: { 200: packageAnswer },
      },
    },
    async (request) => {
      const { archive, metadata } = await archiveOf(request);
      const categories = readTexts(metadata?.['categories'] ?? [], 'categories');
      await checkCategories(documents, categories);
      const { row, isNew } = await catalog.import(archive, principalOf(request));
      if (metadata === undefined) return viewPackage(row, context.owners);
      // Who says something of a package wants it to be a new one: Murano's client asks what to do then.
      if (!isNew) throw new Refusal('package_exists', `${row.full_name} ${row.version} is there already`);
      await putCategories(documents, context, { packageId: row.id, categories });
      if (metadata['is_public'] === true)
        await context.store.db.updateTable('packages').set({ is_public: 1 }).where('id', '=', row.id).execute();
      return viewWithCategories(documents, await catalog.find(row.id), context.owners);
    },
  );
}

/** Routes of one package. */
function packageRoutesById(app: FastifyInstance, services: ApiServices, documents: MuranoDocuments): void {
  const { catalog } = services;

  app.get<Params>(
    '/v1/catalog/packages/:p',
    { config, schema: { summary: 'One package', tags, params: params('p'), response: { 200: packageAnswer } } },
    async (request) => {
      const row = await catalog.find(request.params.p);
      return {
        ...viewPackage(row, services.context.owners),
        categories: (await categoriesByPackage(documents)).get(row.id) ?? [],
        ...(row.definition === null ? {} : { definition: JSON.parse(row.definition) as unknown }),
      };
    },
  );

  app.get<Params>(
    '/v1/catalog/packages/:p/download',
    {
      config: { ...config, takesFilesToken: true },
      schema: { summary: 'The archive as it came', tags, params: params('p'), produces: ['application/octet-stream'] },
    },
    async (request, reply) => {
      await checkFilesToken(services, request);
      const archive = await catalog.archive(request.params.p);
      return reply.type('application/octet-stream').send(Buffer.from(archive));
    },
  );

  app.delete<Params>(
    '/v1/catalog/packages/:p',
    {
      config,
      schema: {
        summary: 'Delete a package that nothing uses',
        tags,
        params: params('p'),
        response: { 200: empty('Gone') },
      },
    },
    async (request, reply) => {
      await catalog.delete(request.params.p);
      await documents.change('packageCategories', request.params.p, () => Promise.resolve(undefined));
      return reply.code(200).send();
    },
  );
}

/** Room for boundaries and the other fields of a form. */
const multipartBytes = 262_144;

interface Import {
  readonly archive: Uint8Array;
  /** The part `__metadata__` of Murano's form. */
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
}

async function archiveOf(request: FastifyRequest): Promise<Import> {
  if (request.body instanceof Uint8Array) return { archive: request.body, metadata: undefined };
  if (!request.isMultipart())
    throw new Refusal('unsupported_media_type', 'send a zip archive as application/zip, or as the file of a form');
  const file = await request.file();
  if (file === undefined) throw new Refusal('invalid_request', 'the form has no file');
  const archive = await file.toBuffer();
  const field: unknown = file.fields['__metadata__'];
  return { archive, metadata: isObject(field) ? readMetadata(field['value']) : undefined };
}

function readMetadata(text: unknown): Readonly<Record<string, unknown>> {
  try {
    const metadata: unknown = JSON.parse(String(text));
    if (isObject(metadata)) return metadata;
  } catch {
    // Told below.
  }
  throw new Refusal('invalid_request', '__metadata__ is no JSON object');
}

/** Before anything is stored. */
async function checkCategories(documents: MuranoDocuments, categories: readonly string[]): Promise<void> {
  const known = new Set((await documents.all('category')).map((row) => row.name));
  const unknown = categories.find((name) => !known.has(name));
  if (unknown !== undefined) throw new Refusal('invalid_request', `there is no category ${unknown}`);
}

/** A files token opens the packages of its own deployment and no other. */
async function checkFilesToken(services: ApiServices, request: FastifyRequest<Params>): Promise<void> {
  const deploymentId = services.secrets.deploymentOfFilesToken(tokenOf(request) ?? '');
  if (deploymentId === undefined) return;
  const row = await services.context.store.db
    .selectFrom('deployments')
    .select('id')
    .where('id', '=', deploymentId)
    .where('model', 'like', `%"id":"${request.params.p.replaceAll(/[^0-9a-f]/g, '')}"%`)
    .executeTakeFirst();
  if (row === undefined) throw new Refusal('unauthorized', 'the token is for the packages of another deployment');
}

/** `in:a,b` lists and single values, as Murano's client sends them. */
async function page(
  services: ApiServices,
  documents: MuranoDocuments,
  asked: { readonly query: PackageQuery; readonly principal: Principal },
): Promise<{ readonly packages: readonly unknown[]; readonly next_marker?: string }> {
  const all = await services.context.store.db
    .selectFrom('packages')
    .selectAll()
    .orderBy('full_name')
    .orderBy('version')
    .orderBy('id')
    .execute();
  const { owners } = services.context;
  const { query, principal } = asked;
  const isOwn = (row: PackageRow): boolean => owners.tenantOf(row.id) === principal.tenantId;
  // Murano's client asks with owned=True for its own alone.
  const isOwnedOnly = /^(true|1)$/i.test(String(query['owned'] ?? ''));
  const visible = all.filter((row) => isOwn(row) || (!isOwnedOnly && (principal.isAdmin || row.is_public === 1)));
  const categories = await categoriesByPackage(documents);
  const { rows, nextMarker } = pageOf(visible, query, categories);
  const packages = rows.map((row) => ({ ...viewPackage(row, owners), categories: categories.get(row.id) ?? [] }));
  return { packages, ...(nextMarker === undefined ? {} : { next_marker: nextMarker }) };
}
