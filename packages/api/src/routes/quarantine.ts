import type { FastifyInstance } from 'fastify';
import { writeAudit } from '../database/audit.js';
import type { Db } from '../database/store.js';
import { Refusal } from '../errors.js';
import { isoTime } from '../times.js';
import type { ApiServices } from './api-services.js';
import { answer, empty, list, params } from './schemas.js';

const tags = ['deployments'];

/** A result that was kept aside after a restore. */
export interface QuarantinedView {
  readonly planId: string;
  readonly deploymentId: string;
  readonly machineId: string;
  /** Undefined where the restored database does not know the machine. */
  readonly machine?: string;
  readonly outcome: string;
  readonly receivedAt: string;
}

/** Results that came after a restore, of plans that the backup does not know. */
export function quarantineRoutes(app: FastifyInstance, services: ApiServices): void {
  const { context } = services;
  app.get(
    '/v1/quarantine',
    {
      schema: {
        summary: 'Results of plans that a restored database does not know',
        tags,
        response: { 200: answer('Quarantine', { results: list }) },
      },
    },
    async () => ({ results: await quarantined(context.store.db) }),
  );

  app.delete<{ Params: { p: string } }>(
    '/v1/quarantine/:p',
    {
      schema: {
        summary: 'Throw a result away that was kept aside',
        tags,
        params: params('p'),
        response: { 200: empty('Gone') },
      },
    },
    async (request, reply) => {
      const { p } = request.params;
      await context.store.write(async (work) => {
        const gone = await work.db
          .deleteFrom('quarantine')
          .where('plan_id', '=', p)
          .returning('body')
          .executeTakeFirst();
        if (gone === undefined) throw new Refusal('not_found', `no result of the plan ${p} is in quarantine`);
        await writeAudit(context, work, { actor: 'admin', action: 'quarantine.discarded', target: p });
      });
      return reply.code(200).send();
    },
  );
}

/** Oldest first; of one deployment, or all. */
export async function quarantined(db: Db, deploymentId?: string): Promise<readonly QuarantinedView[]> {
  const rows = await db
    .selectFrom('quarantine')
    .leftJoin('machines', 'machines.id', 'quarantine.machine_id')
    .select(['plan_id', 'deployment_id', 'machine_id', 'machines.name', 'outcome', 'received_at'])
    .$if(deploymentId !== undefined, (query) => query.where('deployment_id', '=', deploymentId ?? ''))
    .orderBy('received_at')
    .orderBy('plan_id')
    .execute();
  return rows.map((row) => ({
    planId: row.plan_id,
    deploymentId: row.deployment_id,
    machineId: row.machine_id,
    ...(row.name === null ? {} : { machine: row.name }),
    outcome: row.outcome,
    receivedAt: isoTime(row.received_at),
  }));
}
