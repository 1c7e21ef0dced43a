import { parseStageAddress, stageName } from '@torcello/contracts';
import type { ApplicationDefinition, DeploymentAction, DeploymentService, PackageFix } from '@torcello/contracts';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Db, Work } from '../database/store.js';
import type { DeploymentRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import { completeProperties } from '../packages/properties.js';
import { unfinishedDeployment } from './accept.js';
import { loadEvents } from './folded.js';
import type { FoldedDeployments } from './folded.js';
import type { History } from './history.js';
import type { StoredModel } from './model.js';
import { refuseOverload } from './overload.js';
import { deploymentRow, loadModel } from './rows.js';

/**
 * Gives the failed and the never started machines of an ended deployment another attempt, from the step that failed.
 * `packages` names, by service, a corrected package: another version of the same one with the same stages.
 * `deliverWithinMs` is the new attempt's; where it says none, the bound of the deployment counts anew from now.
 * @throws Refusal not_found, not_resumable, overloaded, environment_busy, unknown_package, invalid_property.
 */
export async function resumeDeployment(
  parts: { readonly context: Context; readonly history: History; readonly folded: FoldedDeployments },
  order: {
    readonly deploymentId: string;
    readonly packages: Readonly<Record<string, string>>;
    readonly deliverWithinMs?: number | undefined;
  },
): Promise<void> {
  const { context, history, folded } = parts;
  await context.store.write(async (work) => {
    const row = await deploymentRow(work.db, order.deploymentId);
    if (row === undefined) throw new Refusal('not_found', `no deployment ${order.deploymentId}`);
    const refusal = await whyNotResumable(work.db, row);
    if (refusal !== undefined) throw refusal;
    await refuseOverload(work.db);
    const fixes = Object.entries(order.packages).map(([serviceId, packageId]): PackageFix => ({
      serviceId,
      packageId,
    }));
    const model = await loadModel(work.db, row.id);
    const fixed = await applyFixes(work.db, row, { model, fixes });
    const { deliverWithinMs } = order;
    const opened = await reopen(
      context,
      work,
      row,
      deliverWithinMs === undefined ? fixed : { ...fixed, deliverWithinMs },
    );
    folded.forget(row.id);
    work.afterCommit(() => folded.forget(row.id));
    await history.appendByApi(work, opened, [{ type: 'resumed', fixes }]);
    await writeAudit(context, work, {
      actor: 'admin',
      action: 'deployment.resumed',
      target: row.id,
      detail: { packages: order.packages },
    });
  });
}

/** Why a deployment cannot be resumed as it is. */
export async function whyNotResumable(db: Db, row: DeploymentRow): Promise<Refusal | undefined> {
  if (row.finished_at === null)
    return new Refusal('not_resumable', `deployment ${row.id} has not ended yet`, {
      cure: `torcello cancel ${row.id}, or wait`,
    });
  if (row.state === 'succeeded' || row.state === 'superseded')
    return new Refusal('not_resumable', `deployment ${row.id} has ${row.state}: nothing of it is left to do`);
  if (row.history_dropped_at !== null)
    return new Refusal('not_resumable', `the history of deployment ${row.id} is past its retention`, {
      cure: 'deploy it anew',
    });
  const environment = await db
    .selectFrom('environments')
    .select('id')
    .where('id', '=', row.environment_id)
    .executeTakeFirst();
  if (environment === undefined)
    return new Refusal('not_resumable', `the environment ${row.environment_name} is not there any more`);
  const running = await unfinishedDeployment(db, row.environment_id);
  if (running !== undefined)
    return new Refusal('environment_busy', `deployment ${running.id} of ${row.environment_name} is not finished`, {
      cure: `torcello why ${running.id}`,
    });
  const newer = await db
    .selectFrom('deployments')
    .select('id')
    .where('environment_id', '=', row.environment_id)
    .where('accepted_at', '>', row.accepted_at)
    .limit(1)
    .executeTakeFirst();
  if (newer === undefined) return undefined;
  return new Refusal('not_resumable', `${row.environment_name} was worked on since, by deployment ${newer.id}`, {
    cure: `torcello resume ${newer.id}, or deploy anew`,
  });
}

/** The row as it was before its end, with a model that shows the corrected packages and a fresh time to deliver in. */
async function reopen(context: Context, work: Work, row: DeploymentRow, model: StoredModel): Promise<DeploymentRow> {
  const now = context.clock.now();
  const start_by_at = model.deliverWithinMs === undefined ? null : now + model.deliverWithinMs;
  const { startByMs: _past, ...rest } = model;
  const changes = {
    state: 'queued' as const,
    reason: null,
    finished_at: null,
    cancel_requested_at: null,
    superseded_by: null,
    vanished: 0,
    // What the next attempt writes is kept from its own end on.
    output_dropped_at: null,
    start_by_at,
  };
  const text = JSON.stringify(start_by_at === null ? rest : { ...rest, startByMs: start_by_at });
  await work.db
    .updateTable('deployments')
    .set({ ...changes, model: text })
    .where('id', '=', row.id)
    .execute();
  if (row.session_id !== null)
    await work.db
      .updateTable('sessions')
      .set({ state: 'deploying', updated_at: now })
      .where('id', '=', row.session_id)
      .execute();
  return { ...row, ...changes };
}

async function applyFixes(
  db: Db,
  row: DeploymentRow,
  edit: { readonly model: StoredModel; readonly fixes: readonly PackageFix[] },
): Promise<StoredModel> {
  const { model, fixes } = edit;
  const stranger = fixes.find((fix) => !model.services.some((service) => service.id === fix.serviceId));
  if (stranger !== undefined)
    throw new Refusal('invalid_request', `deployment ${row.id} has no service ${stranger.serviceId}`);
  const services: DeploymentService[] = [];
  for (const service of model.services) {
    const fix = fixes.find((candidate) => candidate.serviceId === service.id);
    services.push(fix === undefined ? service : await fixedService(db, row, { service, packageId: fix.packageId }));
  }
  return { ...model, services };
}

async function fixedService(
  db: Db,
  row: DeploymentRow,
  edit: { readonly service: DeploymentService; readonly packageId: string },
): Promise<DeploymentService> {
  const { service, packageId } = edit;
  const found = await db.selectFrom('packages').selectAll().where('id', '=', packageId).executeTakeFirst();
  if (found === undefined || found.definition === null)
    throw new Refusal('unknown_package', `no package ${packageId} that can be deployed`, {
      cure: 'torcello package list',
    });
  if (found.full_name !== service.type)
    throw new Refusal('not_resumable', `${found.full_name} is another application than ${service.type}`);
  const definition = JSON.parse(found.definition) as ApplicationDefinition;
  await refuseOtherShape(db, row, { service, definition });
  return {
    ...service,
    properties: completeProperties(definition.properties, service.properties, `service ${service.id}`),
    package: { id: found.id, digest: found.digest, path: `/v1/catalog/packages/${found.id}/download` },
    definition,
  };
}

/** What was corrected has to fit what was done: the same stages on the same roles, and the steps that failed. */
async function refuseOtherShape(
  db: Db,
  row: DeploymentRow,
  edit: { readonly service: DeploymentService; readonly definition: ApplicationDefinition },
): Promise<void> {
  const { service, definition } = edit;
  const [before, after] = [shapeOf(service.definition, row.action), shapeOf(definition, row.action)];
  if (before !== after)
    throw new Refusal('not_resumable', `the stages of the corrected package are others: ${after}, not ${before}`, {
      cure: 'deploy it anew',
    });
  const events = await loadEvents(db, { deploymentId: row.id, from: 0, limit: row.length });
  const stageOf = new Map(
    events.flatMap((event) => (event.type === 'planScheduled' ? [[event.plan.planId, event.plan.stage] as const] : [])),
  );
  for (const event of events) {
    if (event.type !== 'planEnded' || event.failedStep === undefined) continue;
    const address = parseStageAddress(stageOf.get(event.planId) ?? '');
    if (address.serviceId !== service.id || address.isGate) continue;
    const stage = stagesOf(definition, row.action).find((candidate) => stageName(candidate) === address.stage);
    if (stage?.steps.some((step) => step.name === event.failedStep) === true) continue;
    throw new Refusal('not_resumable', `the corrected package has no step ${event.failedStep} to go on with`, {
      cure: 'keep the names of steps, or deploy it anew',
    });
  }
}

function stagesOf(definition: ApplicationDefinition, action: DeploymentAction): ApplicationDefinition['deploy'] {
  return (action === 'deploy' ? definition.deploy : definition.destroy) ?? [];
}

function shapeOf(definition: ApplicationDefinition, action: DeploymentAction): string {
  return stagesOf(definition, action)
    .map((stage) => `${stageName(stage)} on ${stage.role}${stage.gate === undefined ? '' : ' with a gate'}`)
    .toSorted()
    .join(', ');
}
