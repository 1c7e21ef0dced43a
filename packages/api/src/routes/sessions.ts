import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { deployOptionsSchema } from '../deployments/order.js';
import type { DeployOptions } from '../deployments/order.js';
import { deploymentOutlook } from '../environments/outlook.js';
import type { ApiServices } from './api-services.js';
import { viewSession } from './murano-views.js';
import { answer, empty, list, params, text } from './schemas.js';

const tags = ['sessions'];
const config = { isMurano: true };
const session = answer('Session', { id: text, state: text });

type Params = { Params: { e: string; s: string } };

export function sessionRoutes(app: FastifyInstance, services: ApiServices): void {
  const { environments } = services;

  outlookRoute(app, services);
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

  app.post<Params & { Body: DeployOptions | null | undefined }>(
    '/v1/environments/:e/sessions/:s/deploy',
    {
      config,
      schema: {
        summary: 'Deploy what is staged',
        tags,
        params: params('e', 's'),
        body: Type.Union([Type.Null(), deployOptionsSchema]),
        response: { 200: empty('Accepted; X-Torcello-Deployment names the deployment') },
      },
    },
    async (request, reply) => {
      const deployment = await environments.deploy(request.params.e, request.params.s, request.body ?? {});
      return reply.code(200).header('x-torcello-deployment', deployment).send();
    },
  );
}

function outlookRoute(app: FastifyInstance, services: ApiServices): void {
  const number = Type.Optional(Type.String({ pattern: '^[0-9]{1,12}$' }));
  const query = Type.Object({
    session: Type.Optional(Type.String({ maxLength: 64 })),
    deliverWithinMs: number,
    maxFailures: number,
    batch: Type.Optional(Type.String({ pattern: '^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)$' })),
    supersedes: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  });
  type Query = Partial<Record<'session' | 'deliverWithinMs' | 'maxFailures' | 'batch' | 'supersedes', string>>;
  app.get<Params & { Querystring: Query }>(
    '/v1/environments/:e/plan',
    {
      schema: {
        summary: 'What a deployment would do: order, batches, who is off, what expires when',
        tags,
        params: params('e'),
        querystring: query,
        response: { 200: answer('Outlook', { stages: list, off: list }) },
      },
    },
    async (request) => {
      const { session: id, batch, supersedes, deliverWithinMs, maxFailures } = request.query;
      const options: DeployOptions = {
        ...(deliverWithinMs === undefined ? {} : { deliverWithinMs: Number(deliverWithinMs) }),
        ...(maxFailures === undefined ? {} : { maxFailures: Number(maxFailures) }),
        ...(batch === undefined ? {} : { batch: batch.endsWith('%') ? batch : Number(batch) }),
        ...(supersedes === undefined ? {} : { supersedes }),
      };
      return deploymentOutlook(services, { environment: request.params.e, session: id, options });
    },
  );
}
