import fs from 'node:fs';
import { backupMadeAtHeader } from '@torcello/contracts';
import type { FastifyInstance } from 'fastify';
import { writeAudit } from '../database/audit.js';
import type { ApiServices } from './api-services.js';

/** The whole database as it is now, in one piece. `torcello backup` puts the keys beside it. */
export function backupRoutes(app: FastifyInstance, services: ApiServices): void {
  app.get(
    '/v1/backup',
    {
      schema: {
        summary: 'A consistent copy of the database, as a SQLite file',
        tags: ['meta'],
        produces: ['application/vnd.sqlite3'],
      },
    },
    async (_request, reply) => {
      const { context, snapshots } = services;
      await context.store.write((work) =>
        writeAudit(context, work, { actor: 'admin', action: 'backup.made', target: 'database' }),
      );
      const { file, bytes, madeAtMs, remove } = await snapshots.make();
      const stream = fs.createReadStream(file).once('close', remove);
      return reply
        .type('application/vnd.sqlite3')
        .header('content-length', bytes)
        .header('cache-control', 'no-store')
        .header(backupMadeAtHeader, madeAtMs)
        .send(stream);
    },
  );
}
