import type { FastifyInstance } from 'fastify';
import type { MailboxEndRow } from '../database/mailbox-tables.js';
import type { DeploymentRow, MachineRow } from '../database/tables.js';
import { whyNotResumable } from '../deployments/resume.js';
import { deploymentRow } from '../deployments/rows.js';
import type { PlanView } from '../deployments/view.js';
import { Refusal } from '../errors.js';
import { whyMailbox } from '../why/mailbox-why.js';
import { why } from '../why/why.js';
import type { Why } from '../why/why.js';
import type { ApiServices } from './api-services.js';
import { answer, list, params, text } from './schemas.js';

interface Found {
  readonly kind: 'deployment' | 'plan' | 'machine' | 'mailbox' | 'environment' | 'message';
  readonly id: string;
  readonly why: Why;
  /** Of a deployment: what its plans wait for, a row a cause. */
  readonly plans?: readonly WaitingPlans[];
}

interface WaitingPlans {
  /** One of them. */
  readonly machine: string;
  readonly machines: number;
  readonly why: Why;
}

/** What anything waits for, by its id: deployment, plan, mailbox or message; machine and environment also by name. */
export function whyRoutes(app: FastifyInstance, services: ApiServices): void {
  app.get<{ Params: { id: string } }>(
    '/v1/why/:id',
    {
      schema: {
        summary: 'What it waits for, since when, until when, and the command that changes it',
        tags: ['deployments'],
        params: params('id'),
        response: { 200: answer('Why', { kind: text, id: text, why: answer('Cause'), plans: list }) },
      },
    },
    async (request) => {
      const { id } = request.params;
      for (const look of looks) {
        const found = await look(services, id);
        if (found !== undefined) return found;
      }
      throw new Refusal('not_found', `nothing has the id or the name ${id}`, { cure: 'torcello deployment list' });
    },
  );
}

type Look = (services: ApiServices, id: string) => Promise<Found | undefined>;

const looks: readonly Look[] = [
  ofDeployment,
  ofPlan,
  ofMachine,
  ofMailbox,
  ofEnvironment,
  ofMessage,
  ofQuarantined,
  ofMachineByName,
];

function nothing(sinceMs: number, state: string): Why {
  return why('nothing-waits', { sinceMs, names: { state } });
}

async function ofDeployment(services: ApiServices, id: string): Promise<Found | undefined> {
  const row = await deploymentRow(services.context.store.db, id);
  if (row === undefined) return undefined;
  const view = await services.views.deployment(row);
  const plans = waitingPlans(view.plans);
  return { kind: 'deployment', id, why: view.why ?? (await whyEnded(services, row)), plans };
}

async function whyEnded({ context }: ApiServices, row: DeploymentRow): Promise<Why> {
  const sinceMs = row.finished_at ?? row.accepted_at;
  if ((await whyNotResumable(context.store.db, row)) !== undefined) return nothing(sinceMs, row.state);
  return why('ended-resumable', { sinceMs, names: { state: row.state, deployment: row.id } });
}

function waitingPlans(plans: readonly PlanView[]): readonly WaitingPlans[] {
  const byCause = new Map<string, WaitingPlans>();
  for (const { why: cause, machine } of plans) {
    if (cause === undefined) continue;
    const before = byCause.get(cause.code);
    byCause.set(
      cause.code,
      before === undefined
        ? { machine: machine.name, machines: 1, why: cause }
        : { ...before, machines: before.machines + 1 },
    );
  }
  return [...byCause.values()].toSorted((a, b) => b.machines - a.machines);
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

/** @throws not_found when machines of several environments have the name. */
async function ofMachineByName(services: ApiServices, name: string): Promise<Found | undefined> {
  const { db } = services.context.store;
  const rows = await db.selectFrom('machines').selectAll().where('name', '=', name).limit(2).execute();
  const [row] = rows;
  if (row === undefined) return undefined;
  const cure = `ask by id: ${rows.map(({ id }) => id).join(' or ')}`;
  if (rows.length > 1) throw new Refusal('not_found', `machines of several environments are called ${name}`, { cure });
  return { kind: 'machine', id: row.id, why: await whyMachine(services, row) };
}

async function ofMailbox(services: ApiServices, id: string): Promise<Found | undefined> {
  const row = await services.context.store.db
    .selectFrom('machines')
    .selectAll()
    .where('mailbox', '=', id)
    .executeTakeFirst();
  if (row !== undefined) return { kind: 'mailbox', id, why: await whyMachine(services, row) };
  const end = await endOfMailbox(services, id);
  return end === undefined ? undefined : { kind: 'mailbox', id, why: nothing(end.began_at, 'its machine is gone') };
}

async function endOfMailbox({ context }: ApiServices, mailbox: string): Promise<MailboxEndRow | undefined> {
  return context.store.db.selectFrom('mailbox_ends').selectAll().where('mailbox', '=', mailbox).executeTakeFirst();
}

async function whyMachine(services: ApiServices, row: MachineRow): Promise<Why> {
  const names = { machine: row.name, machineId: row.id, mailbox: row.mailbox };
  const end = await endOfMailbox(services, row.mailbox);
  const found = whyMailbox({ ...services.mailboxEnds, machine: row, end });
  if (found !== undefined && row.is_token_contested === 0) return found;
  if (row.is_token_contested === 1)
    return why('join-token-contested', { sinceMs: row.joined_at ?? row.created_at, names });
  const lastMs = Math.max(row.last_heartbeat_at ?? 0, row.joined_at ?? 0);
  const { state, evidence } = services.presence.judge({
    joinedAtMs: row.joined_at,
    lastHeartbeatAtMs: row.last_heartbeat_at,
  });
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
  return (await ofDeadLetter(services, id)) ?? (await ofEvent(services, id)) ?? ofLetter(services, id);
}

/** By its own id, or by the id that its sender gave it. */
async function ofDeadLetter(services: ApiServices, id: string): Promise<Found | undefined> {
  const row = await services.context.store.db
    .selectFrom('dead_letters')
    .select(['id', 'reason', 'at'])
    .where((column) => column.or([column('id', '=', id), column('message_id', '=', id)]))
    .orderBy('at')
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const names = { reason: row.reason, message: row.id };
  return { kind: 'message', id, why: why('dead-letter', { sinceMs: row.at, names }) };
}

async function ofEvent(services: ApiServices, id: string): Promise<Found | undefined> {
  const row = await services.context.store.db
    .selectFrom('events')
    .select(['type', 'created_at'])
    .where('event_id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { kind: 'message', id, why: why('event-not-sent', { sinceMs: row.created_at, names: { type: row.type } }) };
}

/** A letter to a machine or a conductor: what waits to be sent, and a plan or its cancel by the plan. */
async function ofLetter(services: ApiServices, id: string): Promise<Found | undefined> {
  if (id.startsWith('cancel-')) {
    const plan = await ofPlan(services, id.slice('cancel-'.length));
    return plan === undefined ? undefined : { ...plan, kind: 'message', id };
  }
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

/** A plan, or a whole deployment, that only the results of agents tell of. */
async function ofQuarantined(services: ApiServices, id: string): Promise<Found | undefined> {
  const { db } = services.context.store;
  const row = await db
    .selectFrom('quarantine')
    .select(['plan_id', 'deployment_id', 'outcome', 'received_at'])
    .where((column) => column.or([column('plan_id', '=', id), column('deployment_id', '=', id)]))
    .orderBy('received_at')
    .limit(1)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const names = { outcome: row.outcome, deployment: row.deployment_id };
  const kind = row.plan_id === id ? 'plan' : 'deployment';
  return { kind, id, why: why('result-quarantined', { sinceMs: row.received_at, names }) };
}
