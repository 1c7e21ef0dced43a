import type { Owners } from '../access/owners.js';
import type { DeploymentRow, EnvironmentRow, PackageRow, SessionRow } from '../database/tables.js';
import { muranoTime } from '../times.js';

type Json = Readonly<Record<string, unknown>>;

/** Rows in Murano's shapes (Murano section 2). */
export function viewEnvironment(row: EnvironmentRow, owners: Owners): Json {
  return {
    id: row.id,
    name: row.name,
    tenant_id: owners.tenantOf(row.id),
    version: row.version,
    description_text: row.description,
    created: muranoTime(row.created_at),
    updated: muranoTime(row.updated_at),
  };
}

export function viewSession(row: SessionRow): Json {
  return {
    id: row.id,
    environment_id: row.environment_id,
    user_id: 'admin',
    state: row.state,
    version: row.version,
    created: muranoTime(row.created_at),
    updated: muranoTime(row.updated_at),
  };
}

const muranoStates: Readonly<Record<DeploymentRow['state'], string>> = {
  queued: 'running',
  running: 'running',
  succeeded: 'success',
  failed: 'completed_w_errors',
  cancelled: 'completed_w_errors',
  superseded: 'completed_w_errors',
};

export function viewMuranoDeployment(row: DeploymentRow): Json {
  const finished = row.finished_at === null ? null : muranoTime(row.finished_at);
  return {
    id: row.id,
    environment_id: row.environment_id,
    environment_name: row.environment_name,
    started: muranoTime(row.accepted_at),
    finished,
    created: muranoTime(row.accepted_at),
    updated: finished ?? muranoTime(row.accepted_at),
    state: muranoStates[row.state],
    // Ours: Murano has one word for all that did not succeed.
    outcome: row.finished_at === null ? null : row.state,
    action: { name: row.action === 'deploy' ? 'Deploy' : 'Delete environment' },
    result: row.finished_at === null ? null : { isException: row.state !== 'succeeded', result: row.reason },
    description: null,
  };
}

export function viewPackage(row: PackageRow, owners: Owners): Json {
  return {
    id: row.id,
    name: row.name,
    fully_qualified_name: row.full_name,
    version: row.version,
    type: row.type,
    format: row.format,
    description: row.description,
    author: row.author,
    tags: JSON.parse(row.tags) as unknown,
    categories: [],
    is_public: row.is_public === 1,
    enabled: row.is_enabled === 1,
    class_definitions: JSON.parse(row.classes) as unknown,
    supplier: {},
    owner_id: owners.tenantOf(row.id),
    digest: row.digest,
    size: row.size,
    created: muranoTime(row.created_at),
    updated: muranoTime(row.updated_at),
  };
}
