import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { principalOf } from '../access/guard.js';
import { homeTenant } from '../access/principal.js';
import { Refusal } from '../errors.js';
import type { ApiServices } from './api-services.js';

/** So long a key remembers its answer. */
const rememberedMs = 86_400_000;
const keyPattern = /^[\x21-\x7e]{1,128}$/;
const repeatedHeaders = ['content-type', 'x-torcello-deployment'] as const;

declare module 'fastify' {
  interface FastifyRequest {
    /** The key whose first request this is. */
    firstOfKey?: string;
  }
  interface FastifyContextConfig {
    /** The answer holds a secret that is kept nowhere: the same request again learns the `id` of what was made, and no more. */
    isShownOnce?: boolean;
  }
}

/**
 * `Idempotency-Key` on writes: the same request again gets the answer of the first one for 24 hours and does nothing;
 * another request with the same key is refused. An answer that holds a secret is not kept (`isShownOnce`). Where the action is a matter of the database alone, action and answer are
 * one transaction (`whole-routes.ts`).
 */
export function rememberAnswers(app: FastifyInstance, services: ApiServices): void {
  app.addHook('preHandler', async (request, reply) => {
    const key = request.headers['idempotency-key'];
    const isWrite = request.method === 'POST' || request.method === 'PUT' || request.method === 'DELETE';
    if (key === undefined || !isWrite || request.routeOptions.config.isOpen === true) return undefined;
    if (typeof key !== 'string' || !keyPattern.test(key))
      throw new Refusal('invalid_request', 'Idempotency-Key takes 1 to 128 visible characters');
    // A key is the tenant's own: the answer to one is nobody else's.
    const { tenantId } = principalOf(request);
    const ownKey = tenantId === homeTenant ? key : `${tenantId} ${key}`;
    return answerAgain(services, { request, reply, key: ownKey });
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.firstOfKey === undefined) return payload;
    await remember(services, { request, reply, payload });
    request.whole?.recorded();
    await request.whole?.committed;
    return payload;
  });
}

/** After a start no request is being carried out any more. */
export async function forgetUnanswered(services: Pick<ApiServices, 'context'>): Promise<void> {
  await services.context.store.write(async ({ db }) => {
    await db.deleteFrom('requests').where('status', 'is', null).execute();
  });
}

async function answerAgain(
  services: ApiServices,
  of: { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly key: string },
): Promise<FastifyReply | undefined> {
  const { request, reply, key } = of;
  const digest = digestOf(request);
  const { clock, store } = services.context;
  const known = await store.write(async ({ db }) => {
    await db
      .deleteFrom('requests')
      .where('created_at', '<=', clock.now() - rememberedMs)
      .execute();
    const row = await db.selectFrom('requests').selectAll().where('key', '=', key).executeTakeFirst();
    if (row === undefined)
      await db
        .insertInto('requests')
        .values({ key, digest, status: null, headers: null, body: null, created_at: clock.now() })
        .execute();
    return row;
  });
  if (known === undefined) {
    request.firstOfKey = key;
    return undefined;
  }
  if (known.digest !== digest)
    throw new Refusal('request_differs', 'the key was used for another request in the last 24 hours', {
      cure: 'take a new key',
    });
  if (known.status !== null && known.status < 400 && request.routeOptions.config.isShownOnce === true)
    throw shownOnce(known.body);
  if (known.status === null) throw new Refusal('not_ready', 'the first request with this key is being carried out');
  const headers = JSON.parse(known.headers ?? '{}') as Readonly<Record<string, string>>;
  return reply
    .code(known.status)
    .headers(headers)
    .header('idempotency-replayed', 'true')
    .send(known.body ?? undefined);
}

function shownOnce(body: string | null): Refusal {
  const { id } = JSON.parse(body ?? '{}') as { readonly id?: string };
  return new Refusal('shown_once', `the first request with this key made ${id ?? 'something'} and was shown it`, {
    cure: `torcello token revoke ${id ?? ''}, and make another one`,
  });
}

/** What failed for reasons of our own may be tried again with the same key. */
async function remember(
  services: ApiServices,
  of: { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly payload: unknown },
): Promise<void> {
  const { request, reply, payload } = of;
  const key = request.firstOfKey ?? '';
  const isText = payload === null || payload === undefined || typeof payload === 'string';
  const headers = Object.fromEntries(
    repeatedHeaders.flatMap((name) => {
      const value = reply.getHeader(name);
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
  await services.context.store.write(async ({ db }) => {
    if (reply.statusCode >= 500 || !isText) {
      await db.deleteFrom('requests').where('key', '=', key).execute();
      return;
    }
    const isSecret = request.routeOptions.config.isShownOnce === true && reply.statusCode < 400;
    const body = isSecret ? withoutSecret(payload) : (payload ?? null);
    const row = { status: reply.statusCode, headers: JSON.stringify(headers), body };
    await db.updateTable('requests').set(row).where('key', '=', key).execute();
  });
}

function withoutSecret(payload: unknown): string {
  const { id } = JSON.parse(typeof payload === 'string' ? payload : '{}') as { readonly id?: unknown };
  return JSON.stringify({ id });
}

function digestOf(request: FastifyRequest): string {
  const { body } = request;
  const bytes = body instanceof Uint8Array ? body : JSON.stringify(body ?? null);
  return createHash('sha256').update(`${request.method} ${request.url}\n`).update(bytes).digest('hex');
}
