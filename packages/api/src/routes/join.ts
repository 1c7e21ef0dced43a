import { Type } from 'typebox';
import type { JoinRequest } from '@torcello/contracts';
import type { FastifyInstance } from 'fastify';
import type { ApiServices } from './api-services.js';
import { answer, text } from './schemas.js';

const body = Type.Object(
  {
    machine: Type.String({ pattern: '^[0-9a-f]{32}$' }),
    token: Type.String({ minLength: 20, maxLength: 100 }),
    publicKey: Type.String({ maxLength: 1_000 }),
    agentVersion: Type.String({ maxLength: 64 }),
    hostname: Type.String({ maxLength: 255 }),
  },
  { additionalProperties: true },
);

/** Where an agent trades its token. Hostile input: whoever finds the address can call it. */
export function joinRoutes(app: FastifyInstance, services: ApiServices): void {
  app.post<{ Body: JoinRequest }>(
    '/v1/join',
    {
      config: { isOpen: true },
      bodyLimit: 16_384,
      schema: {
        summary: 'Trade a join token for a login',
        tags: ['agents'],
        body,
        response: { 200: answer('Login', { machineId: text, mailbox: text }) },
      },
    },
    async (request) => services.joins.join(request.body),
  );
}
