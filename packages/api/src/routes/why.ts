import type { FastifyInstance } from 'fastify';
import type { MachineRow } from '../database/tables.js';
import { deploymentRow } from '../deployments/rows.js';
import { Refusal } from '../errors.js';
import { why } from '../why/why.js';
import type { Why } from '../why/why.js';
import type { ApiServices } from './api-services.js';
import { answer, params, text } from './schemas.js';

interface Found {
  readonly kind: 'deployment' | 'plan' | 'machine' | 'mailbox' | 'environment' | 'message';
  readonly id: string;
  readonly why: Why;
}

/** What anything waits for, by its id: deployment, plan, machine, mailbox, environment (also by name) or message. */
export function whyRoutes(app: FastifyInstance, services: ApiServices): void {
  app.get<{ Params: { id: string } }>(
    '/v1/why/:id',
    {
      schema: {
        summary: 'What it waits for, since when, until when, and the command that changes it',
        tags: ['deployments'],
        params: params('id'),
        response: { 200: answer('Why', { kind: text, id: text, why: answer('Cause') }) },
      },
    },
    async (request) => {
      const { id } = request.params;
      for (const look of looks) {
        const found = await look(services, id);
        if (found !== undefined) return found;
      }
      throw new Refusal('not_found', `nothing has the id ${id}`, { cure: 'torcello deployment list' });
    },
  );
}

type Look = (services: ApiServices, id: string) => Promise<Found | undefined>;

const looks: readonly Look[] = [ofDeployment, ofPlan, ofMachine, ofMailbox, ofEnvironment, ofMessage];

function nothing(sinceMs: number, state: string): Why {
  return why('nothing-waits', { sinceMs, names: { state } });
}

async function ofDeployment(services: ApiServices, id: string): Promise<Found | undefined> {
  const row = await deploymentRow(services.context.store.db, id);
  if (row === undefined) return undefined;
  const view = await services.views.deployment(row);
  return { kind: 'deployment', id, why: view.why ?? nothing(row.finished_at ?? row.accepted_at, row.state) };
}

async function ofPlan(services: ApiServices, id: string): Promise<Found | undefined> {
  const { db } = services.context.store;
  const row = await db.selectFrom('plans').selectAll().where('plan_id', '=', id).executeTakeFirst();
  if (row === undefined) return undefined;
  const [view] = await services.views.plans(row.deployment_id, [id]);
  return { kind: 'plan', id, why: view?.why ?? nothing(row.since, row.state) };
}

async function ofMachine(services: ApiServices, id: string): Promise<Found | undefined> {
  const row = await services.context.store.db
    .selectFrom('machines')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
  return row === undefined ? undefined : { kind: 'machine', id, why: await whyMachine(services, row) };
}

async function ofMailbox(services: ApiServices, id: string): Promise<Found | undefined> {
  const row = await services.context.store.db
    .selectFrom('machines')
    .selectAll()
    .where('mailbox', '=', id)
    .executeTakeFirst();
  return row === undefined ? undefined : { kind: 'mailbox', id, why: await whyMachine(services, row) };
}

async function whyMachine(services: ApiServices, row: MachineRow): Promise<Why> {
  const names = { machine: row.name, machineId: row.id, mailbox: row.mailbox };
  if (row.is_mailbox_declared === 0) return why('mailbox-not-declared', { sinceMs: row.created_at, names });
  if (row.is_token_contested === 1)
    return why('join-token-contested', { sinceMs: row.joined_at ?? row.created_at, names });
  if (row.joined_at === null) return why('join-token-unused', { sinceMs: row.created_at, names });
  const lastMs = Math.max(row.last_heartbeat_at ?? 0, row.joined_at);
  const { state, evidence } = services.presence.judge({
    joinedAtMs: row.joined_at,
    lastHeartbeatAtMs: row.last_heartbeat_at,
  });
  if (state === 'lost') return why('lost', { sinceMs: lastMs, evidence, names });
  if (state !== 'online') return why('waiting-machine-offline', { sinceMs: lastMs, evidence, names });
  const plan = await services.context.store.db
    .selectFrom('plans')
    .select(['deployment_id', 'step', 'since'])
    .where('machine_id', '=', row.id)
    .where('outcome', 'is', null)
    .where('state', '=', 'running')
    .executeTakeFirst();
  if (plan === undefined) return nothing(lastMs, state);
  const step = plan.step ?? '(between two steps)';
  return why('running-step', {
    sinceMs: plan.since,
    evidence,
    names: { ...names, step, deployment: plan.deployment_id },
  });
}

async function ofEnvironment(services: ApiServices, id: string): Promise<Found | undefined> {
  const { db } = services.context.store;
  const row = await db
    .selectFrom('environments')
    .selectAll()
    .where((column) => column.or([column('id', '=', id), column('name', '=', id)]))
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const running = await db
    .selectFrom('deployments')
    .select(['id', 'accepted_at'])
    .where('environment_id', '=', row.id)
    .where('finished_at', 'is', null)
    .limit(1)
    .executeTakeFirst();
  if (running === undefined)
    return { kind: 'environment', id: row.id, why: nothing(row.updated_at, await services.environments.status(row)) };
  const names = { deployment: running.id, environment: row.name };
  return { kind: 'environment', id: row.id, why: why('environment-busy', { sinceMs: running.accepted_at, names }) };
}

async function ofMessage(services: ApiServices, id: string): Promise<Found | undefined> {
  const { db } = services.context.store;
  const letter = await db
    .selectFrom('outbox')
    .select('created_at')
    .where('message_id', '=', id)
    .limit(1)
    .executeTakeFirst();
  if (letter === undefined) return undefined;
  const { letters } = await db
    .selectFrom('outbox')
    .select((column) => column.fn.countAll<number>().as('letters'))
    .executeTakeFirstOrThrow();
  const names = { letters: Number(letters) };
  return { kind: 'message', id, why: why('outbox-backed-up', { sinceMs: letter.created_at, names }) };
}
