import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { isoTime } from '../times.js';
import type { ApiServices } from './api-services.js';
import { answer, empty, list, params, text } from './schemas.js';

const tags = ['tokens'];
const name = Type.String({ minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]*$' });

/** Tokens of the API's own, for tenants without a Keystone. For administrators. */
export function tokenRoutes(app: FastifyInstance, services: ApiServices): void {
  const { ownTokens } = services;
  const body = Type.Object(
    { tenant: name, user: name, admin: Type.Optional(Type.Boolean()) },
    { additionalProperties: false },
  );

  app.post<{ Body: { tenant: string; user: string; admin?: boolean } }>(
    '/v1/tokens',
    {
      config: { isShownOnce: true },
      schema: {
        summary: 'Make a token for a user of a tenant; only this answer shows it, also with an Idempotency-Key',
        tags,
        body,
        response: { 201: answer('Token', { id: text, token: text }) },
      },
    },
    async (request, reply) => {
      const { tenant: tenantId, user: userId, admin: isAdmin = false } = request.body;
      return reply.code(201).send(await ownTokens.make({ tenantId, userId, isAdmin }));
    },
  );

  app.get(
    '/v1/tokens',
    {
      schema: {
        summary: 'Tokens that were made, without themselves',
        tags,
        response: { 200: answer('Tokens', { tokens: list }) },
      },
    },
    async () => ({
      tokens: (await ownTokens.list()).map((row) => ({
        id: row.id,
        tenant: row.tenant_id,
        user: row.user_id,
        admin: row.is_admin === 1,
        createdAt: isoTime(row.created_at),
      })),
    }),
  );

  app.delete<{ Params: { id: string } }>(
    '/v1/tokens/:id',
    { schema: { summary: 'Revoke a token, at once', tags, params: params('id'), response: { 200: empty('Revoked') } } },
    async (request, reply) => {
      await ownTokens.revoke(request.params.id);
      return reply.code(200).send();
    },
  );
}
