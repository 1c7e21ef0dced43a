import { hexId } from '@torcello/platform';
import { operator } from '../access/principal.js';
import type { Principal } from '../access/principal.js';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { Db } from '../database/store.js';
import type { EnvironmentRow, SessionRow } from '../database/tables.js';
import { acceptDeployment, unfinishedDeployment } from '../deployments/accept.js';
import type { History } from '../deployments/history.js';
import type { DeployOptions } from '../deployments/order.js';
import type { Presence } from '../machines/presence.js';
import { abandonDeployment } from '../deployments/abandon.js';
import { Refusal } from '../errors.js';
import { apiLimits } from '../limits.js';
import { removeEnvironment } from './remove.js';
import { resolveServices, visiblePackages } from './resolve.js';
import { parseServices } from './services.js';
import type { ServiceObject } from './services.js';
import { standingServices } from './standing-services.js';

/** Sessions in one list. */
const openSessionsListedMax = 100;
const descriptionCharsMax = 10_000;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** How an environment looks from outside (Murano section 2, States). */
export type EnvironmentStatus = 'ready' | 'pending' | 'deploying' | 'deleting' | 'deploy failure' | 'delete failure';

/** Environments and the sessions in which their changes are staged. */
export class Environments {
  readonly #context: Context;
  readonly #history: History;
  readonly #hintExpiresMs: number;
  readonly #presence: Presence;

  constructor(parts: {
    readonly context: Context;
    readonly history: History;
    readonly hintExpiresMs: number;
    readonly presence: Presence;
  }) {
    this.#presence = parts.presence;
    this.#context = parts.context;
    this.#history = parts.history;
    this.#hintExpiresMs = parts.hintExpiresMs;
  }

  /** @throws Refusal invalid_request, name_taken. */
  async create(name: unknown, principal: Principal = operator, description: unknown = ''): Promise<EnvironmentRow> {
    const checked = checkName(name);
    if (typeof description !== 'string' || description.length > descriptionCharsMax)
      throw new Refusal('invalid_request', `description_text is a text of at most ${descriptionCharsMax} characters`);
    return this.#context.store.write(async (work) => {
      await this.#refuseTaken(work.db, checked, principal.tenantId);
      const now = this.#context.clock.now();
      const row: EnvironmentRow = {
        id: hexId(this.#context.random),
        name: checked,
        version: 0,
        description,
        services: '[]',
        is_deployed: 0,
        created_at: now,
        updated_at: now,
      };
      await work.db.insertInto('environments').values(row).execute();
      await this.#context.owners.note(work, row.id, principal);
      await writeAudit(this.#context, work, {
        actor: operator.userId,
        action: 'environment.created',
        target: row.id,
        detail: { name: checked },
      });
      return row;
    });
  }

  /** Names are unique in a tenant. */
  async #refuseTaken(db: Db, name: string, tenantId: string): Promise<void> {
    const rows = await db.selectFrom('environments').select('id').where('name', '=', name).execute();
    const isTaken = rows.some(({ id }) => this.#context.owners.tenantOf(id) === tenantId);
    if (isTaken) throw new Refusal('name_taken', `there is an environment ${name}`);
  }

  /** By id or by name. @throws Refusal not_found. */
  async find(idOrName: string): Promise<EnvironmentRow> {
    return findEnvironment(this.#context.store.db, idOrName);
  }

  /** @throws Refusal not_found, name_taken, environment_busy. */
  async rename(idOrName: string, name: unknown): Promise<EnvironmentRow> {
    const checked = checkName(name);
    return this.#context.store.write(async (work) => {
      const row = await findEnvironment(work.db, idOrName);
      if (row.name === checked) return row;
      await this.#refuseTaken(work.db, checked, this.#context.owners.tenantOf(row.id));
      if (row.is_deployed === 1) {
        throw new Refusal('environment_busy', `${row.name} is deployed; the folders on its machines carry its name`, {
          cure: `delete the environment and create ${checked}`,
        });
      }
      const changed = { ...row, name: checked, updated_at: this.#context.clock.now() };
      await work.db
        .updateTable('environments')
        .set({ name: checked, updated_at: changed.updated_at })
        .where('id', '=', row.id)
        .execute();
      return changed;
    });
  }

  /** Opens a session on the services as they are deployed, or being deployed. @throws Refusal not_found, session_invalid. */
  async configure(idOrName: string): Promise<SessionRow> {
    return this.#context.store.write(async (work) => {
      const environment = await findEnvironment(work.db, idOrName);
      const running = await unfinishedDeployment(work.db, environment.id);
      // One with a key can be superseded while it runs.
      if (running !== undefined && running.supersedes === null) {
        throw new Refusal('session_invalid', `${environment.name} is being deployed or deleted`);
      }
      const now = this.#context.clock.now();
      const row: SessionRow = {
        id: hexId(this.#context.random),
        environment_id: environment.id,
        state: 'opened',
        version: environment.version,
        services: await standingServices(work.db, environment),
        created_at: now,
        updated_at: now,
      };
      await work.db.insertInto('sessions').values(row).execute();
      return row;
    });
  }

  /** @throws Refusal not_found. */
  async session(environmentId: string, sessionId: string): Promise<SessionRow> {
    return findSession(this.#context.store.db, environmentId, sessionId);
  }

  /** The sessions that can still be deployed, newest first, and whether anything is staged in them. @throws Refusal not_found. */
  async openSessions(idOrName: string): Promise<readonly { readonly row: SessionRow; readonly hasChanges: boolean }[]> {
    const { db } = this.#context.store;
    const environment = await findEnvironment(db, idOrName);
    const rows = await db
      .selectFrom('sessions')
      .selectAll()
      .where('environment_id', '=', environment.id)
      .where('state', '=', 'opened')
      .where('version', '=', environment.version)
      .orderBy('created_at', 'desc')
      .limit(openSessionsListedMax)
      .execute();
    return rows.map((row) => ({ row, hasChanges: row.services !== environment.services }));
  }

  /** @throws Refusal not_found, session_invalid while it is being deployed. */
  async closeSession(environmentId: string, sessionId: string): Promise<void> {
    await this.#context.store.write(async (work) => {
      const session = await findSession(work.db, environmentId, sessionId);
      if (session.state === 'deploying') throw new Refusal('session_invalid', `session ${sessionId} is being deployed`);
      await work.db.deleteFrom('sessions').where('id', '=', sessionId).execute();
    });
  }

  /**
   * Changes the staged services; every package and property is checked at once.
   * @throws Refusal session_missing, session_invalid, unknown_package, invalid_property.
   */
  async stage(
    environment: EnvironmentRow,
    sessionId: string | undefined,
    change: (services: readonly ServiceObject[]) => readonly ServiceObject[],
  ): Promise<readonly ServiceObject[]> {
    if (sessionId === undefined)
      throw new Refusal('session_missing', 'name the session in the header X-Configuration-Session');
    return this.#context.store.write(async (work) => {
      const session = await findSession(work.db, environment.id, sessionId);
      refuseStale(await findEnvironment(work.db, environment.id), session);
      const services = change(parseServices(session.services));
      await resolveServices(work.db, services, visiblePackages(this.#context.owners, environment.id));
      const changes = { services: JSON.stringify(services), updated_at: this.#context.clock.now() };
      await work.db.updateTable('sessions').set(changes).where('id', '=', sessionId).execute();
      return services;
    });
  }

  /** Deploys a session. @throws Refusal session_invalid, environment_busy, machines_unfit, service_deployed, … */
  async deploy(environmentId: string, sessionId: string, options: DeployOptions = {}): Promise<string> {
    return this.#context.store.write(async (work) => {
      const environment = await findEnvironment(work.db, environmentId);
      const session = await findSession(work.db, environment.id, sessionId);
      refuseStale(environment, session);
      const services = parseServices(session.services);
      refuseRemoved(environment, services);
      const order = {
        environment,
        sessionId,
        action: 'deploy',
        services,
        hintExpiresMs: this.#hintExpiresMs,
        options,
        presence: this.#presence,
      } as const;
      const id = await acceptDeployment({ context: this.#context, history: this.#history }, work, order);
      const changes = { state: 'deploying', updated_at: this.#context.clock.now() };
      await work.db.updateTable('sessions').set(changes).where('id', '=', sessionId).execute();
      return id;
    });
  }

  /**
   * Deletes an environment: at once where nothing was deployed or where it is abandoned, else through a deployment that
   * destroys; its id is the answer.
   */
  async delete(
    idOrName: string,
    options: { readonly abandon: boolean; readonly mailboxGraceMs: number },
  ): Promise<string | undefined> {
    return this.#context.store.write(async (work) => {
      const environment = await findEnvironment(work.db, idOrName);
      const running = await unfinishedDeployment(work.db, environment.id);
      if (options.abandon && running !== undefined) await abandonDeployment(work, this.#history, running);
      if (environment.is_deployed === 0 || options.abandon) {
        await removeEnvironment(this.#context, work, {
          environmentId: environment.id,
          graceMs: options.mailboxGraceMs,
        });
        return undefined;
      }
      const services = parseServices(environment.services);
      return acceptDeployment({ context: this.#context, history: this.#history }, work, {
        presence: this.#presence,
        environment,
        sessionId: undefined,
        action: 'destroy',
        services,
        hintExpiresMs: this.#hintExpiresMs,
      });
    });
  }

  async status(row: EnvironmentRow): Promise<EnvironmentStatus> {
    const { db } = this.#context.store;
    const last = await db
      .selectFrom('deployments')
      .select(['action', 'state', 'finished_at'])
      .where('environment_id', '=', row.id)
      .orderBy('accepted_at', 'desc')
      .limit(1)
      .executeTakeFirst();
    if (last !== undefined && last.finished_at === null) return last.action === 'deploy' ? 'deploying' : 'deleting';
    const open = await db
      .selectFrom('sessions')
      .select('id')
      .where('environment_id', '=', row.id)
      .where('state', '=', 'opened')
      .where('version', '=', row.version)
      .where('services', '!=', row.services)
      .limit(1)
      .executeTakeFirst();
    if (open !== undefined) return 'pending';
    if (last !== undefined && last.state !== 'succeeded')
      return last.action === 'deploy' ? 'deploy failure' : 'delete failure';
    return 'ready';
  }
}

export async function findEnvironment(db: Db, idOrName: string): Promise<EnvironmentRow> {
  const row = await db
    .selectFrom('environments')
    .selectAll()
    .where((column) => column.or([column('id', '=', idOrName), column('name', '=', idOrName)]))
    .executeTakeFirst();
  if (row === undefined)
    throw new Refusal('not_found', `no environment ${idOrName}`, { cure: 'torcello environment list' });
  return row;
}

async function findSession(db: Db, environmentId: string, sessionId: string): Promise<SessionRow> {
  const row = await db
    .selectFrom('sessions')
    .selectAll()
    .where('id', '=', sessionId)
    .where('environment_id', '=', environmentId)
    .executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found', `no session ${sessionId} of this environment`);
  return row;
}

/** A finished deployment makes every other session stale (Murano section 2, optimistic locking). */
function refuseStale(environment: EnvironmentRow, session: SessionRow): void {
  if (session.state === 'opened' && session.version === environment.version) return;
  const why = session.state === 'opened' ? 'the environment was deployed meanwhile' : `it is ${session.state}`;
  throw new Refusal('session_invalid', `session ${session.id} cannot be used: ${why}`, { cure: 'open a new session' });
}

function refuseRemoved(environment: EnvironmentRow, services: readonly ServiceObject[]): void {
  const ids = new Set(services.map((service) => service['?'].id));
  const removed = parseServices(environment.services).find((service) => !ids.has(service['?'].id));
  if (removed === undefined) return;
  throw new Refusal('service_deployed', `service ${removed['?'].id} of ${environment.name} is deployed`, {
    cure: `keep it in the session, or torcello environment delete ${environment.name}`,
  });
}

function checkName(name: unknown): string {
  const { environmentNameCharsMax } = apiLimits;
  if (typeof name !== 'string' || name === '') throw new Refusal('invalid_request', 'an environment needs a name');
  if (name.length > environmentNameCharsMax.value)
    throw new Refusal(
      'invalid_request',
      `the name has ${name.length} characters; at most ${environmentNameCharsMax.value} are allowed`,
    );
  if (!namePattern.test(name))
    throw new Refusal(
      'invalid_request',
      `the name ${JSON.stringify(name)} has to be letters, digits, ".", "_" and "-", a letter or digit first`,
    );
  if (/^[0-9a-f]{32}$/.test(name)) throw new Refusal('invalid_request', 'the name looks like an id');
  return name;
}
