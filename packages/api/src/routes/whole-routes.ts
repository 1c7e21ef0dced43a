import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiServices } from './api-services.js';

/**
 * Writes whose action and answer are one transaction when they carry an `Idempotency-Key`: they only read and write the
 * database. A crash leaves both or none.
 */
export const wholeRoutes: ReadonlySet<string> = new Set([
  'POST /v1/environments',
  'PUT /v1/environments/:e',
  'DELETE /v1/environments/:e',
  'POST /v1/environments/:e/configure',
  'DELETE /v1/environments/:e/sessions/:s',
  'POST /v1/environments/:e/sessions/:s/deploy',
  'POST /v1/environments/:e/services',
  'PUT /v1/environments/:e/services',
  'DELETE /v1/environments/:e/services',
  'POST /v1/environments/:e/services/*',
  'PUT /v1/environments/:e/services/*',
  'DELETE /v1/environments/:e/services/*',
  'POST /v1/environments/:e/machines',
  'DELETE /v1/machines/:m',
  'POST /v1/machines/:m/join-line',
  'POST /v1/deployments/:d/cancel',
  'POST /v1/deployments/:d/resume',
  'POST /v1/mailboxes/:name/redeliver',
  'DELETE /v1/dead-letters/:id',
  'DELETE /v1/quarantine/:p',
  'POST /v1/tokens',
  'DELETE /v1/tokens/:id',
  'DELETE /v1/catalog/packages/:p',
  'POST /v1/catalog/categories',
  'DELETE /v1/catalog/categories/:c',
  'POST /v1/templates',
  'PUT /v1/templates/:t',
  'DELETE /v1/templates/:t',
  'POST /v1/templates/:t/create-environment',
  'POST /v1/templates/:t/clone',
  'POST /v1/templates/:t/services',
  'PUT /v1/templates/:t/services',
  'DELETE /v1/templates/:t/services',
  'POST /v1/templates/:t/services/*',
  'PUT /v1/templates/:t/services/*',
  'DELETE /v1/templates/:t/services/*',
]);

/** The other writes, and why it does no harm when a crash lets one be done twice. */
export const repeatableRoutes: Readonly<Record<string, string>> = {
  'POST /v1/join': 'the same key with the same token gets the same answer',
  'POST /v1/catalog/packages': 'the same bytes again are the package that is there; it waits for the upload',
  'DELETE /v1/mailboxes/:name': 'a mailbox ends once; it waits for the broker',
  'POST /v1/dead-letters/:id/requeue': 'it keeps its id, and readers drop doubles; it waits for the broker',
  'POST /v1/environments/:e/actions/:a': 'it does nothing in this release',
  'POST /v1/actions': 'it does nothing in this release',
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Where the transaction is told that the answer is written down, and tells that it stands. */
    whole?: { readonly recorded: () => void; readonly committed: Promise<void> };
  }
}

/** Carries out a keyed request to a whole route in one transaction. The answer leaves when it stands. */
export function carryOutWhole(app: FastifyInstance, services: ApiServices): void {
  app.addHook('onRoute', (route) => {
    const methods = [route.method].flat();
    if (!methods.some((method) => wholeRoutes.has(`${method} ${route.url}`))) return;
    const { handler } = route;
    route.handler = async function carryOut(request, reply) {
      if (request.firstOfKey === undefined) return handler.call(this, request, reply);
      return inOneTransaction(services, { request, reply, handle: () => handler.call(this, request, reply) });
    };
  });
}

async function inOneTransaction(
  services: ApiServices,
  of: { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly handle: () => unknown },
): Promise<FastifyReply> {
  const { request, reply, handle } = of;
  const stands = deferred();
  const isRecorded = deferred();
  request.whole = { recorded: isRecorded.resolve, committed: stands.promise };
  try {
    await services.context.store.whole(async () => {
      // A handler that answers itself resolves only when the answer has left, which waits for the end of this.
      await Promise.race([answerOf(reply, handle), isRecorded.promise]);
      await isRecorded.promise;
    });
  } catch (error) {
    // Nothing of it was done, so nothing of it is remembered but the refusal, on its own.
    delete request.whole;
    stands.reject(error);
    throw error;
  }
  stands.resolve();
  return reply;
}

async function answerOf(reply: FastifyReply, handle: () => unknown): Promise<void> {
  const answer = await handle();
  if (answer !== reply && !reply.sent) void reply.send(answer);
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function deferred(): Deferred {
  let resolve: () => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<void>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  // Whoever waits hears of it; when nobody does, nobody is missing anything.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
