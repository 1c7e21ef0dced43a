import type { FastifyInstance } from 'fastify';
import { examine } from '../doctor/examine.js';
import type { ApiServices } from './api-services.js';
import { answer, list, text } from './schemas.js';

/** What `torcello doctor` asks: everything that this API knows of its own health. */
export function doctorRoutes(app: FastifyInstance, services: ApiServices): void {
  app.get(
    '/v1/doctor',
    {
      schema: {
        summary: 'Versions, transport, how plans get to agents, and what is missing, each with its cure',
        tags: ['meta'],
        response: { 200: answer('Examination', { version: text, now: text, findings: list }) },
      },
    },
    () => examine(services),
  );
}
