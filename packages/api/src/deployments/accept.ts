import { machineKindOf } from '@torcello/contracts';
import type { DeploymentAction, DeploymentEvent, DeploymentMachine } from '@torcello/contracts';
import { hexId } from '@torcello/platform';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import { writeHint } from '../database/outbox.js';
import type { Db, Work } from '../database/store.js';
import type { DeploymentRow, EnvironmentRow } from '../database/tables.js';
import { resolveServices, visiblePackages } from '../environments/resolve.js';
import type { ServiceObject } from '../environments/services.js';
import { Refusal } from '../errors.js';
import type { Presence } from '../machines/presence.js';
import type { History } from './history.js';
import type { StoredModel } from './model.js';
import type { DeployOptions } from './order.js';
import { refuseOverload } from './overload.js';
import { supersede } from './supersede.js';
import { checkMachines, makeStages } from './stages.js';
import { deploymentColumns } from './rows.js';

export interface DeploymentOrder {
  readonly environment: EnvironmentRow;
  /** Undefined for a destroy, which needs no session. */
  readonly sessionId: string | undefined;
  readonly action: DeploymentAction;
  readonly services: readonly ServiceObject[];
  readonly hintExpiresMs: number;
  readonly options?: DeployOptions;
  readonly presence: Presence;
}

/**
 * Takes a deployment: its row, the event `accepted`, the audit entry and the hint stand in one transaction, before the
 * user has an answer. Whether a conductor or a broker is there does not matter.
 */
export async function acceptDeployment(
  parts: { readonly context: Context; readonly history: History },
  work: Work,
  order: DeploymentOrder,
): Promise<string> {
  const { context, history } = parts;
  const { environment, action, hintExpiresMs, options = {} } = order;
  await refuseOverload(work.db);
  const superseded = await refuseWhileBusy(work.db, environment, options.supersedes);
  const all = await machinesOf(work.db, environment.id);
  const gone = action === 'destroy' ? await goneMachines(work.db, environment.id, order.presence) : [];
  const machines = all.filter((machine) => !gone.some((other) => other.id === machine.id));
  const services = await resolveServices(work.db, order.services, visiblePackages(context.owners, environment.id));
  if (action === 'deploy') checkMachines(environment.name, services, machines);
  const id = hexId(context.random);
  const replaces = await supersede(work, history, { by: id, superseded });
  const { deliverWithinMs } = options;
  const model: StoredModel = {
    objects: order.services,
    services,
    machines,
    ...(deliverWithinMs === undefined ? {} : { deliverWithinMs, startByMs: context.clock.now() + deliverWithinMs }),
    ...(Object.keys(replaces).length === 0 ? {} : { replaces }),
    ...(gone.length === 0 ? {} : { leftAlone: gone.map(({ name, why }) => `${name} (${why})`) }),
  };
  const stages = makeStages(action, services, machines, options);
  const accepted: DeploymentEvent = { type: 'accepted', action, stages };
  await insertDeployment(context, work, { id, order, model });
  await insertAccepted(context, work, id, accepted);
  await work.db
    .updateTable('environments')
    .set({ is_deployed: 1, updated_at: context.clock.now() })
    .where('id', '=', environment.id)
    .execute();
  await writeAudit(context, work, {
    actor: 'admin',
    action: `deployment.${action}`,
    target: id,
    detail: { environment: environment.id },
  });
  await writeHint(context, work, { deploymentId: id, expiresMs: hintExpiresMs });
  return id;
}

/** The unfinished deployment of an environment, if there is one. */
export async function unfinishedDeployment(db: Db, environmentId: string): Promise<DeploymentRow | undefined> {
  return db
    .selectFrom('deployments')
    .select(deploymentColumns)
    .where('environment_id', '=', environmentId)
    .where('finished_at', 'is', null)
    .limit(1)
    .executeTakeFirst();
}

/** Those that the key lifts the rule for are answered: the new one takes their place. */
async function refuseWhileBusy(
  db: Db,
  environment: EnvironmentRow,
  key: string | undefined,
): Promise<readonly DeploymentRow[]> {
  const rows = await db
    .selectFrom('deployments')
    .select(deploymentColumns)
    .where('environment_id', '=', environment.id)
    .where('finished_at', 'is', null)
    .execute();
  const running = rows.find((row) => key === undefined || row.supersedes !== key || row.action !== 'deploy');
  if (running === undefined) return rows;
  throw new Refusal('environment_busy', `deployment ${running.id} of ${environment.name} is not finished`, {
    cure: `torcello why ${running.id}`,
  });
}

/** Machines that a destroy cannot reach: nobody ever joined, or the agent is lost. It ends without them, and says so. */
async function goneMachines(
  db: Db,
  environmentId: string,
  presence: Presence,
): Promise<readonly { readonly id: string; readonly name: string; readonly why: string }[]> {
  const rows = await db
    .selectFrom('machines')
    .select(['id', 'name', 'mailbox', 'joined_at', 'last_heartbeat_at'])
    .where('environment_id', '=', environmentId)
    .orderBy('role')
    .orderBy('place')
    .execute();
  return rows.flatMap(({ id, name, mailbox, joined_at, last_heartbeat_at }) => {
    // It never joins and gives no sign of life: nobody can say that it is gone.
    if (machineKindOf(mailbox) === 'muranoagent') return [];
    const { state, evidence } = presence.judge({ joinedAtMs: joined_at, lastHeartbeatAtMs: last_heartbeat_at });
    if (state === 'never joined') return [{ id, name, why: state }];
    return state === 'lost' ? [{ id, name, why: `lost, last heard of at ${evidence?.at ?? ''}` }] : [];
  });
}

/** The machines of an environment with the enrolment that a plan made now is for. */
export async function machinesOf(db: Db, environmentId: string): Promise<readonly DeploymentMachine[]> {
  const rows = await db
    .selectFrom('machines')
    .select(['id', 'name', 'role', 'place', 'mailbox', 'enrolment'])
    .where('environment_id', '=', environmentId)
    .orderBy('role')
    .orderBy('place')
    .execute();
  return rows.map(({ place, enrolment, ...machine }) => ({
    ...machine,
    index: place,
    enrolment: Math.max(1, enrolment),
  }));
}

async function insertDeployment(
  context: Context,
  work: Work,
  made: { readonly id: string; readonly order: DeploymentOrder; readonly model: StoredModel },
): Promise<void> {
  const { environment, sessionId, action } = made.order;
  const accepted_at = await nextInstant(work.db, environment.id, context.clock.now());
  await work.db
    .insertInto('deployments')
    .values({
      id: made.id,
      environment_id: environment.id,
      environment_name: environment.name,
      session_id: sessionId ?? null,
      action,
      model: JSON.stringify(made.model),
      state: 'queued',
      reason: null,
      epoch: 0,
      length: 1,
      is_parked: 0,
      lease_holder: null,
      lease_nonce: null,
      accepted_at,
      finished_at: null,
      start_by_at: made.model.startByMs ?? null,
      supersedes: made.order.options?.supersedes ?? null,
      superseded_by: null,
      cancel_requested_at: null,
      output_dropped_at: null,
      history_dropped_at: null,
    })
    .execute();
}

/**
 * The instant of a deployment tells which of an environment is the newest: it is later than those before also when
 * somebody has set the clock back meanwhile.
 */
async function nextInstant(db: Db, environmentId: string, nowMs: number): Promise<number> {
  const { last } = await db
    .selectFrom('deployments')
    .select((row) => row.fn.max('accepted_at').as('last'))
    .where('environment_id', '=', environmentId)
    .executeTakeFirstOrThrow();
  return Math.max(nowMs, Number(last ?? 0) + 1);
}

async function insertAccepted(
  context: Context,
  work: Work,
  deploymentId: string,
  event: DeploymentEvent,
): Promise<void> {
  await work.db
    .insertInto('history')
    .values({
      deployment_id: deploymentId,
      n: 0,
      event_id: hexId(context.random),
      epoch: 0,
      at: context.clock.now(),
      type: event.type,
      event: JSON.stringify(event),
    })
    .execute();
}
