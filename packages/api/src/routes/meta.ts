import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.js';
import type { ApiServices } from './api-services.js';
import { answer, list, text } from './schemas.js';

const isOpen = { config: { isOpen: true } } as const;

/** Versions, health, the description of everything, and the agent to download. */
export function metaRoutes(app: FastifyInstance, services: ApiServices): void {
  downloadRoutes(app, services);

  app.get(
    '/',
    {
      ...isOpen,
      schema: {
        summary: 'Versions of the API',
        tags: ['meta'],
        response: { 300: answer('Multiple choices', { versions: list }) },
      },
    },
    (_request, reply) => reply.code(300).send(versions(services)),
  );

  app.get(
    '/healthz',
    {
      ...isOpen,
      schema: {
        summary: 'Whether API, database and broker link work',
        tags: ['meta'],
        response: { 200: answer('Health', { status: text, broker: text }) },
      },
    },
    async () => {
      const { db } = services.context.store;
      const { waiting } = await db
        .selectFrom('outbox')
        .select((column) => column.fn.countAll<number>().as('waiting'))
        .executeTakeFirstOrThrow();
      const isBrokerUp = services.isBrokerUp();
      const carrier = services.carrier()?.kind;
      return {
        status: isBrokerUp ? 'ok' : 'degraded',
        database: 'ok',
        broker: isBrokerUp ? 'connected' : 'away',
        ...(carrier === undefined ? {} : { carrier }),
        lettersWaiting: Number(waiting),
        leases: services.leases.size,
        foldedDeployments: services.folded.size,
        watchers: services.hub.size,
      };
    },
  );

  app.get(
    '/v1/openapi.json',
    {
      schema: {
        summary: 'This description (OpenAPI 3.1)',
        tags: ['meta'],
        response: { 200: answer('OpenAPI document') },
      },
    },
    () => app.swagger(),
  );
}

/** What there is to choose from: of this API one version. */
export function versions(services: ApiServices): object {
  const links = [{ rel: 'self', href: `${services.publicUrl()}/v1/` }];
  return { versions: [{ id: 'v1.0', status: 'CURRENT', links }] };
}

function downloadRoutes(app: FastifyInstance, services: ApiServices): void {
  app.get(
    '/agent.mjs',
    { ...isOpen, schema: { summary: 'The agent, one file for Node', tags: ['meta'], produces: ['text/javascript'] } },
    (_request, reply) => reply.type('text/javascript; charset=utf-8').send(bundleOf(services)),
  );

  app.get(
    '/install.sh',
    {
      ...isOpen,
      schema: { summary: 'Installs the agent on a machine', tags: ['meta'], produces: ['text/x-shellscript'] },
    },
    (_request, reply) => {
      const { installScript } = services;
      if (installScript === undefined) throw new Refusal('not_ready', 'this API was started without the agent');
      const digest = createHash('sha256').update(bundleOf(services)).digest('hex');
      const script = installScript
        .replaceAll('@TORCELLO_API@', services.publicUrl())
        .replaceAll('@TORCELLO_AGENT_SHA256@', digest);
      return reply.type('text/x-shellscript; charset=utf-8').send(script);
    },
  );
}

function bundleOf(services: ApiServices): string {
  if (services.agentBundle === undefined)
    throw new Refusal('not_ready', 'this API was started without the agent', {
      cure: 'build it, and name it with --agent-bundle',
    });
  return services.agentBundle;
}
