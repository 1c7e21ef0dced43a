import type { ApplicationDefinition } from '@torcello/contracts';
import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { principalOf } from '../access/guard.js';
import { Refusal } from '../errors.js';
import { compareVersions } from '../packages/versions.js';
import type { ApiServices } from './api-services.js';
import { answer, list, params } from './schemas.js';

const config = { isMurano: true };

/**
 * Actions are methods of MuranoPL classes, and this release runs no MuranoPL: each call says so with the status that
 * Murano has for a method that is not there. Schemas are of packages' properties.
 */
export function muranoActionRoutes(app: FastifyInstance, services: ApiServices): void {
  type Called = { Params: { e: string; a: string } };
  const tags = ['actions'];
  const schema = { tags, params: params('e', 'a') };

  app.post<Called>(
    '/v1/environments/:e/actions/:a',
    {
      config,
      schema: { ...schema, summary: 'Call an action of a deployed application', response: { 200: answer('Task') } },
    },
    async (request) => {
      const environment = await services.environments.find(request.params.e);
      throw new Refusal('not_found', `no application of ${environment.name} has an action ${request.params.a}`);
    },
  );

  app.get<Called>(
    '/v1/environments/:e/actions/:a',
    {
      config,
      schema: { ...schema, summary: 'What came of an action', response: { 200: answer('Result') } },
    },
    async (request) => {
      const environment = await services.environments.find(request.params.e);
      const row = await services.context.store.db
        .selectFrom('deployments')
        .select(['state', 'reason', 'finished_at'])
        .where('id', '=', request.params.a)
        .where('environment_id', '=', environment.id)
        .executeTakeFirst();
      if (row === undefined) throw new Refusal('not_found', `${environment.name} has no task ${request.params.a}`);
      return row.finished_at === null ? {} : { isException: row.state !== 'succeeded', result: row.reason };
    },
  );

  const body = Type.Object({
    className: Type.String({ minLength: 1, maxLength: 300 }),
    methodName: Type.String({ minLength: 1, maxLength: 300 }),
  });
  app.post<{ Body: { className: string; methodName: string } }>(
    '/v1/actions',
    { config, schema: { summary: 'Call a static action', tags, body, response: { 200: Type.Unknown() } } },
    (request) => {
      const { className, methodName } = request.body;
      throw new Refusal('not_found', `the class ${className} has no static action ${methodName}`);
    },
  );
  schemaRoutes(app, services);
  statisticsRoutes(app, services);
}

function schemaRoutes(app: FastifyInstance, services: ApiServices): void {
  type Asked = { Params: { class: string; methods?: string }; Querystring: { packageName?: string } };
  for (const url of ['/v1/schemas/:class', '/v1/schemas/:class/:methods']) {
    app.get<Asked>(
      url,
      {
        config,
        schema: {
          summary: 'JSON schema of a class: of the properties of a package',
          tags: ['packages'],
          params: url.endsWith('methods') ? params('class', 'methods') : params('class'),
          response: { 200: answer('Schemas') },
        },
      },
      async (request) => {
        const { class: name, methods } = request.params;
        const rows = await services.context.store.db
          .selectFrom('packages')
          .select(['id', 'version', 'definition', 'is_public'])
          .where('full_name', '=', name)
          .where('is_enabled', '=', 1)
          .where('definition', 'is not', null)
          .execute();
        const wantsOther = (request.query.packageName ?? name) !== name;
        const principal = principalOf(request);
        const visible = rows.filter(
          (row) => row.is_public === 1 || services.context.owners.isVisible(row.id, principal),
        );
        const [newest] = visible.toSorted((a, b) => compareVersions(b.version, a.version));
        if (newest === undefined || wantsOther) throw new Refusal('not_found', `there is no class ${name}`);
        if (methods !== undefined) throw new Refusal('not_found', `the class ${name} has no method ${methods}`);
        const { properties } = JSON.parse(newest.definition ?? '{}') as ApplicationDefinition;
        return { '': { $schema: 'https://json-schema.org/draft/2020-12/schema', title: name, ...properties } };
      },
    );
  }
}

function statisticsRoutes(app: FastifyInstance, services: ApiServices): void {
  const tags = ['statistics'];
  for (const url of ['raw', 'raw/:i', 'aggregated']) {
    app.get<{ Params: { e: string } }>(
      `/v1/environments/:e/instance-statistics/${url}`,
      {
        config,
        schema: {
          summary: 'Use of instances; none is counted here',
          tags,
          params: url.includes(':i') ? params('e', 'i') : params('e'),
          response: { 200: list },
        },
      },
      async (request) => {
        await services.environments.find(request.params.e);
        return [];
      },
    );
  }
  app.get(
    '/v1/stats',
    { config, schema: { summary: 'Use of the API; none is counted here', tags, response: { 200: list } } },
    () => Promise.resolve([]),
  );
}
