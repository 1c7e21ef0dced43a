import fastifySwagger from '@fastify/swagger';
import fastify from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hexId } from '@torcello/platform';
import { guard, principalOf } from '../access/guard.js';
import { onBehalfOf } from '../access/requester.js';
import { Refusal, refusals } from '../errors.js';
import type { RefusalCode } from '../errors.js';
import { apiLimits } from '../limits.js';
import { agentRoutes } from './agents.js';
import type { ApiServices } from './api-services.js';
import { backupRoutes } from './backup.js';
import { deadLetterRoutes } from './dead-letters.js';
import { deploymentActionRoutes } from './deployment-actions.js';
import { deploymentRoutes } from './deployments.js';
import { doctorRoutes } from './doctor.js';
import { environmentRoutes } from './environments.js';
import { forgetUnanswered, rememberAnswers } from './idempotency.js';
import { joinRoutes } from './join.js';
import { machineRoutes } from './machines.js';
import { mailboxRoutes } from './mailboxes.js';
import { metaRoutes, versions } from './meta.js';
import { muranoMachineRoutes } from './murano-machines.js';
import { muranoRoutes } from './murano.js';
import { packageRoutes } from './packages.js';
import { quarantineRoutes } from './quarantine.js';
import { serviceRoutes } from './services.js';
import { sessionRoutes } from './sessions.js';
import { carryOutWhole } from './whole-routes.js';
import { whyRoutes } from './why.js';
import { tokenOf } from './token.js';
import { tokenRoutes } from './tokens.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Reachable without a token. */
    readonly isOpen?: boolean;
    /** Also opens to a conductor's token for the files of one deployment. */
    readonly takesFilesToken?: boolean;
    /** Errors in a shape that Murano's own client survives. Default: problem details (RFC 9457). */
    readonly isMurano?: boolean;
  }
}

/** Below these Murano's client asks, also for what is no address: with a name that has a slash in it, say. */
const muranoAddress = /^\/v1\/(environments|deployments|catalog|templates|actions|schemas|stats)(\/|$)/;

const connectionTimeouts = { connectionTimeout: 0, requestTimeout: 30_000, keepAliveTimeout: 5_000 } as const;

/** The HTTP server with all routes; it does not listen yet. */
export async function createServer(services: ApiServices): Promise<FastifyInstance> {
  const app = fastify({
    ...connectionTimeouts,
    bodyLimit: apiLimits.requestBodyBytesMax.value,
    http: { maxHeaderSize: apiLimits.requestHeadersBytesMax.value },
    genReqId: () => `req-${hexId(services.context.random)}`,
    routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: 400 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, strict: false } },
    forceCloseConnections: true,
  });
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  await describe(app);
  readBodies(app);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-openstack-request-id', request.id);
    await authorize(services, request);
  });
  app.addHook('preHandler', (request, _reply, done) => onBehalfOf(principalOf(request), done));
  await forgetUnanswered(services);
  rememberAnswers(app, services);
  carryOutWhole(app, services);
  app.setErrorHandler<FastifyError>((error, request, reply) => answerError(services, error, { request, reply }));
  app.setNotFoundHandler((request, reply) => {
    // As Murano: a version that is not there is answered with those that are.
    if (/^\/v(?!1(\/|$))\d[^/]*(\/|$)/.test(pathOf(request))) return reply.code(300).send(versions(services));
    const refusal = new Refusal('not_found', `no address ${request.method} ${pathOf(request)}`);
    return answerError(services, refusal, { request, reply });
  });
  await app.register((routes) => Promise.resolve(registerAll(routes, services)));
  return app;
}

function registerAll(app: FastifyInstance, services: ApiServices): void {
  metaRoutes(app, services);
  doctorRoutes(app, services);
  environmentRoutes(app, services);
  sessionRoutes(app, services);
  serviceRoutes(app, services);
  deploymentRoutes(app, services);
  deploymentActionRoutes(app, services);
  packageRoutes(app, services);
  muranoRoutes(app, services);
  machineRoutes(app, services);
  tokenRoutes(app, services);
  mailboxRoutes(app, services);
  deadLetterRoutes(app, services);
  muranoMachineRoutes(app, services);
  agentRoutes(app, services);
  joinRoutes(app, services);
  whyRoutes(app, services);
  backupRoutes(app, services);
  quarantineRoutes(app, services);
}

async function describe(app: FastifyInstance): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Torcello',
        version: '1.0.0',
        description: 'Deployments to fleets of machines, in the shapes of the Murano API v1 and beyond.',
      },
      components: {
        securitySchemes: {
          token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' },
          bearer: { type: 'http', scheme: 'bearer' },
        },
      },
      security: [{ token: [] }, { bearer: [] }],
    },
  });
}

/** Murano's client says `application/json` also where it sends no body. */
function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(/^application\/([a-z.+-]+\+)?json(;.*)?$/, { parseAs: 'string' }, (_request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    try {
      done(null, JSON.parse(body.toString()));
    } catch {
      done(new Refusal('invalid_request', 'the body is no JSON'));
    }
  });
}

/** @throws Refusal unauthorized, not_ready; not_found, forbidden for what is another tenant's. */
async function authorize(services: ApiServices, request: FastifyRequest): Promise<void> {
  const { isOpen = false, takesFilesToken = false } = request.routeOptions.config;
  if (isOpen) return;
  const token = tokenOf(request);
  if (token === undefined)
    throw new Refusal('unauthorized', 'no token; send it as X-Auth-Token or Authorization: Bearer', {
      cure: 'the token is in admin-token in the data folder',
    });
  if (takesFilesToken && services.secrets.deploymentOfFilesToken(token) !== undefined) return;
  const principal = await services.tokens.check(token);
  if (principal === undefined)
    throw new Refusal('unauthorized', 'the token is not valid', {
      cure: 'the token is in admin-token in the data folder',
    });
  request.principal = principal;
  await guard(services.context, request, principal);
}

function answerError(
  services: ApiServices,
  error: FastifyError | Refusal,
  exchange: { readonly request: FastifyRequest; readonly reply: FastifyReply },
): FastifyReply {
  const { request, reply } = exchange;
  const refusal = error instanceof Refusal ? error : toRefusal(error);
  const { status, title } = refusals[refusal.code];
  if (status === 500)
    services.context.logger.error('a request failed', { request: request.id, path: pathOf(request), error });
  if (status === 503) reply.header('retry-after', '5');
  if (request.routeOptions.config.isMurano === true || (request.is404 && muranoAddress.test(pathOf(request)))) {
    const message = refusal.cure === undefined ? refusal.message : `${refusal.message} (${refusal.cure})`;
    return reply.code(status).send({ error: { message, code: refusal.code, title } });
  }
  const problem = {
    type: 'about:blank',
    title,
    status,
    code: refusal.code,
    detail: refusal.message,
    ...(refusal.cure === undefined ? {} : { cure: refusal.cure }),
  };
  return reply.code(status).header('content-type', 'application/problem+json').send(JSON.stringify(problem));
}

const byFastifyCode: Readonly<Record<string, RefusalCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_REQ_FILE_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_VALIDATION: 'invalid_request',
};

function toRefusal(error: FastifyError): Refusal {
  const code =
    byFastifyCode[error.code] ??
    (error.statusCode !== undefined && error.statusCode < 500 ? 'invalid_request' : 'internal');
  return new Refusal(
    code,
    code === 'internal' ? 'the request could not be carried out; the log of the API says why' : error.message,
    { cause: error },
  );
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? '';
}
