import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { appendAt, partAt, replaceAt } from '../environments/model-path.js';
import { readService, readServices } from '../environments/services.js';
import type { ApiServices } from './api-services.js';
import { headerOf, servicesOf } from './environments.js';
import { empty, id, params, sessionHeader } from './schemas.js';

const tags = ['services'];
const config = { isMurano: true };
const anything = Type.Unknown();

const addresses: readonly (readonly [string, TSchema])[] = [
  ['/v1/environments/:e/services', params('e')],
  ['/v1/environments/:e/services/*', Type.Object({ e: id, '*': Type.String({ maxLength: 1_000 }) })],
];

type Params = { Params: { e: string; '*'?: string } };

/** The applications of an environment: read as deployed or as staged, changed only in a session. */
export function serviceRoutes(app: FastifyInstance, services: ApiServices): void {
  const { environments, context } = services;

  for (const [url, parameters] of addresses) {
    const schema = { tags, params: parameters, headers: sessionHeader, response: { 200: anything } };

    app.get<Params>(
      url,
      { config, schema: { ...schema, summary: 'Services, or a part of one' } },
      async (request, reply) => {
        const environment = await environments.find(request.params.e);
        const status = await environments.status(environment);
        const all = await servicesOf(services, environment, { session: headerOf(request.headers), status });
        return sendJson(reply, partAt(all, pathOf(request.params)));
      },
    );

    app.post<Params & { Body: unknown }>(
      url,
      { config, schema: { ...schema, summary: 'Add services', body: anything } },
      async (request, reply) => {
        const environment = await environments.find(request.params.e);
        const path = pathOf(request.params);
        const isList = Array.isArray(request.body);
        const added = isList ? readServices(request.body, context.random) : [readService(request.body, context.random)];
        await environments.stage(environment, headerOf(request.headers), (staged) => {
          const changed = added.reduce<unknown>((model, service) => appendAt(model, path, service), staged);
          return readServices(changed, context.random);
        });
        return sendJson(reply, isList ? added : added[0]);
      },
    );

    app.put<Params & { Body: unknown }>(
      url,
      { config, schema: { ...schema, summary: 'Replace services', body: anything } },
      async (request, reply) => {
        const environment = await environments.find(request.params.e);
        const path = pathOf(request.params);
        const staged = await environments.stage(environment, headerOf(request.headers), (before) =>
          readServices(withoutStatus(replaceAt(before, path, request.body)), context.random),
        );
        return sendJson(reply, partAt(staged, path));
      },
    );

    app.delete<Params>(
      url,
      { config, schema: { ...schema, summary: 'Take a service away', response: { 200: empty('Gone') } } },
      async (request, reply) => {
        const environment = await environments.find(request.params.e);
        const path = pathOf(request.params);
        await environments.stage(environment, headerOf(request.headers), (before) =>
          readServices(replaceAt(before, path, path.length === 0 ? [] : undefined), context.random),
        );
        return reply.code(200).send();
      },
    );
  }
}

function pathOf(parameters: { readonly '*'?: string }): readonly string[] {
  return (parameters['*'] ?? '').split('/').filter((element) => element !== '');
}

/** What the API itself added to an answer comes back with the whole list; it is no part of the model. */
function withoutStatus(services: unknown): unknown {
  if (!Array.isArray(services)) return services;
  return services.map((service: unknown) => {
    const { '?': header, ...rest } = service as { readonly '?'?: Readonly<Record<string, unknown>> };
    if (header === undefined) return service;
    return { '?': Object.fromEntries(Object.entries(header).filter(([key]) => key !== 'status')), ...rest };
  });
}

/** Also for values that are not objects: they have to arrive as JSON. */
function sendJson(reply: { type(type: string): { send(body: string): unknown } }, value: unknown): unknown {
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(value));
}
