import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { principalOf } from '../access/guard.js';
import type { Owners } from '../access/owners.js';
import type { Principal } from '../access/principal.js';
import type { EnvironmentRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import { parseServices } from '../environments/services.js';
import type { ServiceObject } from '../environments/services.js';
import type { ApiServices } from './api-services.js';
import { viewEnvironment } from './murano-views.js';
import { answer, empty, list, params, sessionHeader, text } from './schemas.js';

const tags = ['environments'];
const config = { isMurano: true };
const environment = answer('Environment', { id: text, name: text, status: text });
const body = Type.Object({ name: Type.String() }, { additionalProperties: true });

type Params = { Params: { e: string } };

export function environmentRoutes(app: FastifyInstance, services: ApiServices): void {
  const { environments } = services;
  listRoute(app, services);
  changeRoutes(app, services);

  app.get<Params>(
    '/v1/environments/:e',
    {
      config,
      schema: {
        summary: 'One environment, by id or name',
        tags,
        params: params('e'),
        headers: sessionHeader,
        response: { 200: environment },
      },
    },
    async (request) => {
      const row = await environments.find(request.params.e);
      const status = await environments.status(row);
      return {
        ...viewEnvironment(row, services.context.owners),
        status,
        acquired_by: await acquiredBy(services, row),
        services: await servicesOf(services, row, { session: headerOf(request.headers), status }),
      };
    },
  );

  app.get<Params>(
    '/v1/environments/:e/lastStatus',
    {
      config,
      schema: {
        summary: 'Last report of each service',
        tags,
        params: params('e'),
        response: { 200: answer('Statuses', { lastStatuses: answer('By service') }) },
      },
    },
    async (request) => {
      const row = await environments.find(request.params.e);
      const ids = parseServices(row.services).map((service) => service['?'].id);
      const statuses: Record<string, unknown> = {};
      for (const id of ids) statuses[id] = (await lastReport(services, row.id, id)) ?? null;
      return { lastStatuses: statuses };
    },
  );
}

function listRoute(app: FastifyInstance, services: ApiServices): void {
  const { environments } = services;
  app.get<{ Querystring: TenantQuery }>(
    '/v1/environments',
    {
      config,
      schema: {
        summary: 'All environments',
        tags,
        querystring: tenantQuery,
        response: { 200: answer('List', { environments: list }) },
      },
    },
    async (request) => {
      const isShown = shownEnvironments(services.context.owners, request.query, principalOf(request));
      const all = await services.context.store.db
        .selectFrom('environments')
        .selectAll()
        .orderBy('created_at')
        .orderBy('id')
        .execute();
      const rows = all.filter(({ id }) => isShown(id));
      const views = [];
      for (const row of rows)
        views.push({ ...viewEnvironment(row, services.context.owners), status: await environments.status(row) });
      return { environments: views };
    },
  );
}

function changeRoutes(app: FastifyInstance, services: ApiServices): void {
  const { environments } = services;

  app.post<{ Body: { name: string; description_text?: unknown } }>(
    '/v1/environments',
    { config, schema: { summary: 'Make an environment', tags, body, response: { 200: environment } } },
    async (request) => {
      const { name, description_text: description } = request.body;
      const row = await environments.create(name, principalOf(request), description);
      return { ...viewEnvironment(row, services.context.owners), services: [], status: 'ready', acquired_by: null };
    },
  );

  app.put<Params & { Body: { name: string } }>(
    '/v1/environments/:e',
    {
      config,
      schema: { summary: 'Rename an environment', tags, params: params('e'), body, response: { 200: environment } },
    },
    async (request) => {
      const row = await environments.rename(request.params.e, request.body.name);
      return { ...viewEnvironment(row, services.context.owners), status: await environments.status(row) };
    },
  );

  const query = Type.Object({ abandon: Type.Optional(Type.String({ pattern: '^([Tt]rue|[Ff]alse)$' })) });
  app.delete<Params & { Querystring: { abandon?: string } }>(
    '/v1/environments/:e',
    {
      config,
      schema: {
        summary: 'Destroy an environment and its machines',
        tags,
        params: params('e'),
        querystring: query,
        response: { 200: empty('X-Torcello-Deployment names the deployment that destroys, if one is needed') },
      },
    },
    async (request, reply) => {
      const abandon = request.query.abandon?.toLowerCase() === 'true';
      const deployment = await environments.delete(request.params.e, {
        abandon,
        mailboxGraceMs: services.mailboxGraceMs,
      });
      if (deployment !== undefined) reply.header('x-torcello-deployment', deployment);
      return reply.code(200).send();
    },
  );
}

/** Murano's `all_tenants` and `tenant`; without them an administrator sees everything, others what is theirs. */
interface TenantQuery {
  readonly all_tenants?: string;
  readonly tenant?: string;
}
const tenantQuery = Type.Object(
  { all_tenants: Type.Optional(Type.String()), tenant: Type.Optional(Type.String({ maxLength: 255 })) },
  { additionalProperties: true },
);

/** @throws Refusal forbidden for other tenants' environments without the right to see them. */
function shownEnvironments(owners: Owners, query: TenantQuery, principal: Principal): (id: string) => boolean {
  const { all_tenants: all, tenant } = query;
  const wantsAll = /^(true|1|yes)$/i.test(all ?? '');
  const isForeign = wantsAll || (tenant !== undefined && tenant !== principal.tenantId);
  if (isForeign && !principal.isAdmin)
    throw new Refusal('forbidden', 'only administrators see the environments of other tenants');
  if (tenant !== undefined) return (id) => owners.tenantOf(id) === tenant;
  if (wantsAll || (all === undefined && principal.isAdmin)) return () => true;
  return (id) => owners.tenantOf(id) === principal.tenantId;
}

/** The session named in the headers. */
export function headerOf(headers: Readonly<Record<string, unknown>>): string | undefined {
  const value = headers['x-configuration-session'];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Services of a session, or without one as they are deployed; in answers each carries the environment's status. */
export async function servicesOf(
  services: ApiServices,
  row: EnvironmentRow,
  of: { readonly session: string | undefined; readonly status: string },
): Promise<readonly ServiceObject[]> {
  const text =
    of.session === undefined ? row.services : (await services.environments.session(row.id, of.session)).services;
  return parseServices(text).map((service) => ({ ...service, '?': { ...service['?'], status: of.status } }));
}

async function acquiredBy(services: ApiServices, row: EnvironmentRow): Promise<string | null> {
  const session = await services.context.store.db
    .selectFrom('sessions')
    .select('id')
    .where('environment_id', '=', row.id)
    .where('state', '=', 'deploying')
    .executeTakeFirst();
  return session?.id ?? null;
}

async function lastReport(services: ApiServices, environmentId: string, entityId: string): Promise<string | undefined> {
  const row = await services.context.store.db
    .selectFrom('reports')
    .select('text')
    .where('entity_id', '=', entityId)
    .where('deployment_id', 'in', (inner) =>
      inner.selectFrom('deployments').select('deployments.id').where('environment_id', '=', environmentId),
    )
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.text;
}
