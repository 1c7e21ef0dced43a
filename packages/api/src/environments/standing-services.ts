import { parseModel } from '../deployments/model.js';
import type { Db } from '../database/store.js';
import type { EnvironmentRow } from '../database/tables.js';

/**
 * The services that a new session begins with, JSON: those of the deployment that is being carried out, which the next
 * one would take the place of, else those that are deployed.
 */
export async function standingServices(db: Db, environment: EnvironmentRow): Promise<string> {
  const running = await db
    .selectFrom('deployments')
    .select('model')
    .where('environment_id', '=', environment.id)
    .where('finished_at', 'is', null)
    .where('action', '=', 'deploy')
    .orderBy('accepted_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return running === undefined ? environment.services : JSON.stringify(parseModel(running.model).objects);
}
