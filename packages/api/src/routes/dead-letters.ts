import type { FastifyInstance } from 'fastify';
import { discardDeadLetter, listDeadLetters, requeueDeadLetter, showDeadLetter } from '../dead-letters/dead-letters.js';
import type { ApiServices } from './api-services.js';
import { answer, list, params, text } from './schemas.js';

const tags = ['dead letters'];
const deadLetter = answer('Message', { id: text, source: text, reason: text });

type Params = { Params: { id: string } };

/** Messages that could not be handled: see them, send them once more, or drop them. */
export function deadLetterRoutes(app: FastifyInstance, services: ApiServices): void {
  const { context } = services;

  app.get(
    '/v1/dead-letters',
    {
      schema: {
        summary: 'Messages that could not be handled, newest first',
        tags,
        response: { 200: answer('Messages', { deadLetters: list }) },
      },
    },
    async () => ({ deadLetters: await listDeadLetters(context.store.db) }),
  );

  app.get<Params>(
    '/v1/dead-letters/:id',
    {
      schema: {
        summary: 'One of them, with its headers and the beginning of its text',
        tags,
        params: params('id'),
        response: { 200: deadLetter },
      },
    },
    async (request) => showDeadLetter(context.store.db, request.params.id),
  );

  app.post<Params>(
    '/v1/dead-letters/:id/requeue',
    {
      schema: {
        summary: 'Send it once more, under its own id',
        tags,
        params: params('id'),
        response: { 200: deadLetter },
      },
    },
    async (request) =>
      requeueDeadLetter(context, services.isBrokerUp() ? services.transport() : undefined, request.params.id),
  );

  app.delete<Params>(
    '/v1/dead-letters/:id',
    {
      schema: { summary: 'Drop it for good', tags, params: params('id'), response: { 200: deadLetter } },
    },
    async (request) => discardDeadLetter(context, request.params.id),
  );
}
