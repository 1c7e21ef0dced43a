import { apply, emptyDeployment } from '@torcello/contracts';
import type { DeploymentEvent, DeploymentState } from '@torcello/contracts';
import type { Db } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import { loadModel } from './rows.js';
import type { StoredModel } from './model.js';

/** A deployment's model and its history folded up to `length`. */
export interface Folded {
  readonly model: StoredModel;
  readonly state: DeploymentState;
  readonly length: number;
}

/**
 * Folded histories of the deployments touched last. Only a saving: it holds what was committed, and is made again from
 * the rows whenever it is missing or behind.
 */
export class FoldedDeployments {
  readonly #max: number;
  readonly #known = new Map<string, Folded>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#known.size;
  }

  /** The deployment as its row says, folding only what came since the last time. */
  async at(db: Db, row: DeploymentRow): Promise<Folded> {
    const known = this.#known.get(row.id);
    if (known?.length === row.length) return known;
    const from = known !== undefined && known.length < row.length ? known : undefined;
    const events = await loadEvents(db, { deploymentId: row.id, from: from?.length ?? 0, limit: row.length });
    const start = from ?? { model: await loadModel(db, row.id), state: emptyDeployment, length: 0 };
    return { ...start, state: events.reduce(apply, start.state), length: row.length };
  }

  /** Keeps it for the next time. Only for what is committed. */
  keep(deploymentId: string, folded: Folded): void {
    this.#known.delete(deploymentId);
    this.#known.set(deploymentId, folded);
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size > this.#max) this.#known.delete(oldest);
  }

  forget(deploymentId: string): void {
    this.#known.delete(deploymentId);
  }
}

/** Events of a history in order, from index `from`, at most `limit`. */
export async function loadEvents(
  db: Db,
  page: { readonly deploymentId: string; readonly from: number; readonly limit: number },
): Promise<readonly DeploymentEvent[]> {
  const rows = await db
    .selectFrom('history')
    .select('event')
    .where('deployment_id', '=', page.deploymentId)
    .where('n', '>=', page.from)
    .orderBy('n')
    .limit(page.limit)
    .execute();
  return rows.map((row) => JSON.parse(row.event) as DeploymentEvent);
}
