import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { applyChange, readPatch } from '../environments/json-patch.js';
import { partAt } from '../environments/model-path.js';
import { isObject, readServices } from '../environments/services.js';
import type { EnvironmentRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import type { ApiServices } from './api-services.js';
import { headerOf, servicesOf } from './environments.js';
import { id, params, sessionHeader } from './schemas.js';

const tags = ['environments'];
const config = { isMurano: true };

type Params = { Params: { e: string; '*'?: string } };

/** An environment as Murano's object model: shown in parts, changed by a JSON patch in a session. */
export function muranoModelRoutes(app: FastifyInstance, services: ApiServices): void {
  const addresses = [
    ['/v1/environments/:e/model', params('e')],
    ['/v1/environments/:e/model/*', Type.Object({ e: id, '*': Type.String({ maxLength: 1_000 }) })],
  ] as const;
  for (const [url, parameters] of addresses) {
    app.get<Params>(
      url,
      {
        config,
        schema: {
          summary: 'The object model, or a part of it',
          tags,
          params: parameters,
          headers: sessionHeader,
          response: { 200: Type.Unknown() },
        },
      },
      async (request, reply) => {
        const row = await services.environments.find(request.params.e);
        const model = await modelOf(services, row, headerOf(request.headers));
        const path = (request.params['*'] ?? '').split('/').filter((part) => part !== '');
        return reply.type('application/json; charset=utf-8').send(JSON.stringify(partAt(model, path)));
      },
    );
  }
  patchRoute(app, services);
}

function patchRoute(app: FastifyInstance, services: ApiServices): void {
  const { environments, context } = services;
  const schema = {
    summary: 'Change the staged object model by a JSON patch',
    tags,
    params: params('e'),
    headers: sessionHeader,
    consumes: ['application/env-model-json-patch', 'application/json'],
    body: Type.Unknown(),
    response: { 200: Type.Unknown() },
  };
  app.patch<Params & { Body: unknown }>('/v1/environments/:e/model', { config, schema }, async (request) => {
    const row = await environments.find(request.params.e);
    const changes = readPatch(request.body);
    const fixed = changes.find(({ path }) => path[0] !== 'services');
    if (fixed !== undefined) {
      throw new Refusal('invalid_request', `/${fixed.path.join('/')} cannot be changed; /services can`, {
        cure: 'rename an environment with PUT; networks and regions are not kept',
      });
    }
    const session = headerOf(request.headers);
    await environments.stage(row, session, (staged) => {
      const changed = changes.reduce<unknown>(applyChange, { services: staged });
      return readServices(isObject(changed) ? (changed['services'] ?? []) : [], context.random);
    });
    return modelOf(services, row, session);
  });
}

async function modelOf(services: ApiServices, row: EnvironmentRow, session: string | undefined): Promise<unknown> {
  const status = await services.environments.status(row);
  const staged = await servicesOf(services, row, { session, status });
  return {
    '?': { id: row.id, type: 'io.murano.Environment', metadata: {} },
    name: row.name,
    region: null,
    defaultNetworks: { environment: null, flat: null },
    services: staged.map((service) => {
      const { status: _told, ...header } = service['?'];
      return { ...service, '?': header };
    }),
  };
}
