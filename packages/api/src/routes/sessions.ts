import type { FastifyInstance } from 'fastify';
import type { ApiServices } from './api-services.js';
import { viewSession } from './murano-views.js';
import { answer, empty, list, params, text } from './schemas.js';

const tags = ['sessions'];
const config = { isMurano: true };
const session = answer('Session', { id: text, state: text });

type Params = { Params: { e: string; s: string } };

export function sessionRoutes(app: FastifyInstance, services: ApiServices): void {
  const { environments } = services;

  app.post<Params>(
    '/v1/environments/:e/configure',
    {
      config,
      schema: { summary: 'Open a session to stage changes', tags, params: params('e'), response: { 200: session } },
    },
    async (request) => viewSession(await environments.configure(request.params.e)),
  );

  app.get<Params>(
    '/v1/environments/:e/sessions',
    {
      schema: {
        summary: 'Sessions that can still be deployed, newest first',
        tags,
        params: params('e'),
        response: { 200: answer('Sessions', { sessions: list }) },
      },
    },
    async (request) => {
      const open = await environments.openSessions(request.params.e);
      return { sessions: open.map(({ row, hasChanges }) => ({ ...viewSession(row), hasChanges })) };
    },
  );

  app.get<Params>(
    '/v1/environments/:e/sessions/:s',
    { config, schema: { summary: 'One session', tags, params: params('e', 's'), response: { 200: session } } },
    async (request) => {
      const environment = await environments.find(request.params.e);
      return viewSession(await environments.session(environment.id, request.params.s));
    },
  );

  app.delete<Params>(
    '/v1/environments/:e/sessions/:s',
    { config, schema: { summary: 'Drop a session', tags, params: params('e', 's'), response: { 200: empty('Gone') } } },
    async (request, reply) => {
      const environment = await environments.find(request.params.e);
      await environments.closeSession(environment.id, request.params.s);
      return reply.code(200).send();
    },
  );

  app.post<Params>(
    '/v1/environments/:e/sessions/:s/deploy',
    {
      config,
      schema: {
        summary: 'Deploy what is staged',
        tags,
        params: params('e', 's'),
        response: { 200: empty('Accepted; X-Torcello-Deployment names the deployment') },
      },
    },
    async (request, reply) => {
      const deployment = await environments.deploy(request.params.e, request.params.s);
      return reply.code(200).header('x-torcello-deployment', deployment).send();
    },
  );
}
