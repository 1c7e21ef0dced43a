import { limits } from '@torcello/contracts';
import { Type } from 'typebox';
import fastifyMultipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { PackageRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import type { ApiServices } from './api-services.js';
import { viewPackage } from './murano-views.js';
import { tokenOf } from './token.js';
import { answer, empty, list, params, text } from './schemas.js';

const tags = ['packages'];
const config = { isMurano: true };
const packageAnswer = answer('Package', { id: text, fully_qualified_name: text, version: text, digest: text });
const pageDefault = 20;
const pageMax = 500;

type Params = { Params: { p: string } };
interface Query {
  readonly limit?: string;
  readonly marker?: string;
  readonly fqn?: string;
  readonly name?: string;
  readonly type?: string;
  readonly search?: string;
}

export function packageRoutes(app: FastifyInstance, services: ApiServices): void {
  const { catalog } = services;
  packageRoutesById(app, services);
  const bodyLimit = limits.packageBytesMax.value + multipartBytes;
  void app.register(fastifyMultipart, {
    limits: { fileSize: limits.packageBytesMax.value, files: 1, fields: 10, fieldSize: 65_536 },
  });
  app.addContentTypeParser(
    ['application/zip', 'application/octet-stream'],
    { parseAs: 'buffer', bodyLimit },
    (_request, body, done) => done(null, body),
  );

  const query = Type.Object(
    Object.fromEntries(['limit', 'marker', 'fqn', 'name', 'type', 'search'].map((name) => [name, Type.Optional(text)])),
    { additionalProperties: true },
  );
  app.get<{ Querystring: Query }>(
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
    async (request) => page(services, request.query),
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
      const { row } = await catalog.import(await archiveOf(request));
      return viewPackage(row);
    },
  );
}

/** Routes of one package. */
function packageRoutesById(app: FastifyInstance, services: ApiServices): void {
  const { catalog } = services;

  app.get<Params>(
    '/v1/catalog/packages/:p',
    { config, schema: { summary: 'One package', tags, params: params('p'), response: { 200: packageAnswer } } },
    async (request) => {
      const row = await catalog.find(request.params.p);
      return {
        ...viewPackage(row),
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
      return reply.code(200).send();
    },
  );
}

/** Room for boundaries and the other fields of a form. */
const multipartBytes = 262_144;

async function archiveOf(request: FastifyRequest): Promise<Uint8Array> {
  if (request.body instanceof Uint8Array) return request.body;
  if (!request.isMultipart())
    throw new Refusal('unsupported_media_type', 'send a zip archive as application/zip, or as the file of a form');
  const file = await request.file();
  if (file === undefined) throw new Refusal('invalid_request', 'the form has no file');
  return file.toBuffer();
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
  query: Query,
): Promise<{ readonly packages: readonly unknown[]; readonly next_marker?: string }> {
  const limit = Math.min(pageMax, Math.max(1, Number(query.limit ?? pageDefault) || pageDefault));
  const rows = await services.context.store.db
    .selectFrom('packages')
    .selectAll()
    .orderBy('full_name')
    .orderBy('version')
    .orderBy('id')
    .execute();
  const fitting = rows.filter((row) => fits(row, query));
  const from = query.marker === undefined ? 0 : fitting.findIndex((row) => row.id === query.marker) + 1;
  const shown = fitting.slice(from, from + limit);
  const last = shown.at(-1);
  const hasMore = from + limit < fitting.length;
  return { packages: shown.map(viewPackage), ...(hasMore && last !== undefined ? { next_marker: last.id } : {}) };
}

function fits(row: PackageRow, query: Query): boolean {
  const search = query.search?.toLowerCase();
  return (
    (query.fqn === undefined || row.full_name === query.fqn) &&
    (query.name === undefined || row.name === query.name) &&
    (query.type === undefined || row.type === query.type) &&
    (search === undefined ||
      `${row.full_name} ${row.name} ${row.description} ${row.tags}`.toLowerCase().includes(search))
  );
}
