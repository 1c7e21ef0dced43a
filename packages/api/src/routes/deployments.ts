import { Type } from 'typebox';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { deploymentColumns, deploymentRow } from '../deployments/rows.js';
import type { DeploymentRow } from '../database/tables.js';
import type { DeploymentEvent } from '@torcello/contracts';
import { principalOf, visibleEnvironments } from '../access/guard.js';
import { Refusal } from '../errors.js';
import { readOutputs } from '../inbox/read-outputs.js';
import { apiLimits } from '../limits.js';
import type { HistoryEntry } from '../notices.js';
import { pastHistory, pastOutput } from '../retention/past.js';
import { isoTime, muranoTime } from '../times.js';
import { EventStream } from '../watch/event-stream.js';
import { OutputStream } from '../watch/output-stream.js';
import type { ApiServices } from './api-services.js';
import { viewMuranoDeployment } from './murano-views.js';
import { quarantined } from './quarantine.js';
import { answer, list, params, text } from './schemas.js';

const tags = ['deployments'];
const muranoConfig = { isMurano: true };

type Params = { Params: { e: string; d: string } };

export function deploymentRoutes(app: FastifyInstance, services: ApiServices): void {
  muranoRoutes(app, services);
  reportRoute(app, services);

  app.get<Params>(
    '/v1/deployments/:d',
    {
      schema: {
        summary: 'One deployment with its plans',
        tags,
        params: params('d'),
        response: { 200: answer('Deployment', { id: text, state: text, plans: list }) },
      },
    },
    async (request) => services.views.deployment(await findDeployment(services, request.params.d)),
  );

  app.get<Params & { Headers: { 'last-event-id'?: string } }>(
    '/v1/deployments/:d/events',
    {
      schema: {
        summary: 'The history; with Accept: text/event-stream everything that happens, as it happens',
        tags,
        params: params('d'),
        response: { 200: answer('History', { events: list }) },
      },
    },
    async (request, reply) => {
      const row = await findDeployment(services, request.params.d);
      const wantsStream = (request.headers.accept ?? '').includes('text/event-stream');
      if (wantsStream) return stream(services, row, { reply, lastN: lastNOf(request.headers['last-event-id']) });
      const history = await loadHistory(services, row.id, -1);
      const past = pastHistory(row, services.retention.settings);
      const aside = await quarantined(services.context.store.db, row.id);
      return {
        events: history.map(({ n, atMs, event }) => ({ n, at: isoTime(atMs), event })),
        ...(past === undefined ? {} : { past }),
        ...(aside.length === 0 ? {} : { quarantined: aside }),
      };
    },
  );
  outputRoute(app, services);
}

function outputRoute(app: FastifyInstance, services: ApiServices): void {
  const query = Type.Object({
    machine: Type.Optional(Type.String({ maxLength: 64 })),
    step: Type.Optional(Type.String({ maxLength: 64 })),
    follow: Type.Optional(Type.String({ pattern: '^[01]$', description: '1: as it happens, as an event stream.' })),
    tailBytes: Type.Optional(
      Type.String({ pattern: '^[0-9]{1,9}$', description: 'So many last bytes of each step. Default 65536.' }),
    ),
  });
  type Query = { machine?: string; step?: string; tailBytes?: string; follow?: string };
  const followers = { count: 0 };
  app.get<Params & { Querystring: Query; Headers: { 'last-event-id'?: string } }>(
    '/v1/deployments/:d/output',
    {
      schema: {
        summary: 'The last output of every step',
        tags,
        params: params('d'),
        querystring: query,
        response: { 200: answer('Output', { outputs: list }) },
      },
    },
    async (request, reply) => {
      const row = await findDeployment(services, request.params.d);
      const { machine, step, follow, tailBytes = '65536' } = request.query;
      const past = pastOutput(row, services.retention.settings);
      if (follow === '1') {
        if (past !== undefined) throw new Refusal('past_retention', `deployment ${row.id}: ${past}`);
        const lastSequence = Math.max(0, lastNOf(request.headers['last-event-id']));
        return followOutput(services, followers, { deploymentId: row.id, machine, step, lastSequence, reply });
      }
      if (past !== undefined) return { outputs: [], past };
      const tail = Math.min(Number(tailBytes), apiLimits.outputTailBytesMax.value);
      const outputs = await readOutputs(services.context.store.db, {
        deploymentId: row.id,
        machine,
        step,
        tailBytes: tail,
      });
      return { outputs };
    },
  );
}

function muranoRoutes(app: FastifyInstance, services: ApiServices): void {
  const { db } = services.context.store;
  const answers = { 200: answer('Deployments, newest first', { deployments: list }) };

  app.get(
    '/v1/deployments',
    { config: muranoConfig, schema: { summary: 'Deployments of all environments', tags, response: answers } },
    async (request) => {
      const environmentIds = await visibleEnvironments(services.context, principalOf(request));
      const rows = await db
        .selectFrom('deployments')
        .select(deploymentColumns)
        .$if(environmentIds !== undefined, (query) => query.where('environment_id', 'in', environmentIds ?? []))
        .orderBy('accepted_at', 'desc')
        .limit(listedMax)
        .execute();
      return { deployments: rows.map(viewMuranoDeployment) };
    },
  );

  app.get<Params>(
    '/v1/environments/:e/deployments',
    {
      config: muranoConfig,
      schema: { summary: 'Deployments of an environment', tags, params: params('e'), response: answers },
    },
    async (request) => {
      const environment = await services.environments.find(request.params.e);
      const rows = await db
        .selectFrom('deployments')
        .select(deploymentColumns)
        .where('environment_id', '=', environment.id)
        .orderBy('accepted_at', 'desc')
        .limit(listedMax)
        .execute();
      return { deployments: rows.map(viewMuranoDeployment) };
    },
  );
}

function reportRoute(app: FastifyInstance, services: ApiServices): void {
  const { db } = services.context.store;

  app.get<Params & { Querystring: { service_id?: string | readonly string[] } }>(
    '/v1/environments/:e/deployments/:d',
    {
      config: muranoConfig,
      schema: {
        summary: 'Reports of a deployment',
        tags,
        params: params('e', 'd'),
        response: { 200: answer('Reports', { reports: list }) },
      },
    },
    async (request) => {
      const row = await findDeployment(services, request.params.d);
      const { e } = request.params;
      // By what the deployment itself knows: its environment may be gone.
      if (e !== row.environment_id && e !== row.environment_name)
        throw new Refusal('not_found', `${e} has no deployment ${row.id}`);
      const wanted = serviceIdsOf(request.query.service_id);
      const rows = await db
        .selectFrom('reports')
        .selectAll()
        .where('deployment_id', '=', row.id)
        .$if(wanted.length > 0, (query) => query.where('entity_id', 'in', wanted))
        .orderBy('id')
        .execute();
      const reports = rows.map((report) => ({
        id: String(report.id),
        entity_id: report.entity_id,
        entity: report.entity,
        text: report.text,
        level: report.level,
        details: null,
        task_id: report.deployment_id,
        created: muranoTime(report.created_at),
        updated: muranoTime(report.created_at),
      }));
      return { reports };
    },
  );
}

/** Several come as a list, or as Murano's client writes them: with a question mark before each. */
function serviceIdsOf(query: string | readonly string[] | undefined): readonly string[] {
  const texts = typeof query === 'string' ? [query] : (query ?? []);
  return texts.flatMap((text) => text.split('?service_id=')).filter((text) => text !== '');
}

/** Deployments in one list. */
const listedMax = 500;

export async function findDeployment(services: ApiServices, id: string): Promise<DeploymentRow> {
  const row = await deploymentRow(services.context.store.db, id);
  if (row !== undefined) return row;
  const { length } = await quarantined(services.context.store.db, id);
  if (length === 0) throw new Refusal('not_found', `no deployment ${id}`, { cure: 'torcello deployment list' });
  const text = `no deployment ${id}: it is younger than the backup that the database was restored from`;
  throw new Refusal('not_found', `${text}; results of it in quarantine: ${length}`, {
    cure: 'torcello quarantine list',
  });
}

function lastNOf(header: string | undefined): number {
  return header !== undefined && /^\d{1,9}$/.test(header) ? Number(header) : -1;
}

async function loadHistory(
  services: ApiServices,
  deploymentId: string,
  afterN: number,
): Promise<readonly HistoryEntry[]> {
  const rows = await services.context.store.db
    .selectFrom('history')
    .select(['n', 'at', 'event'])
    .where('deployment_id', '=', deploymentId)
    .where('n', '>', afterN)
    .orderBy('n')
    .execute();
  return rows.map((row) => ({ n: row.n, atMs: row.at, event: JSON.parse(row.event) as DeploymentEvent }));
}

async function stream(
  services: ApiServices,
  row: DeploymentRow,
  to: { readonly reply: FastifyReply; readonly lastN: number },
): Promise<void> {
  const { hub, context } = services;
  if (hub.size >= apiLimits.watchersMax.value)
    throw new Refusal('overloaded', `${apiLimits.watchersMax.value} watchers are there already (watchersMax)`, {
      cure: 'end one of them, or ask without Accept: text/event-stream',
    });
  const { reply, lastN } = to;
  reply.hijack();
  const events = new EventStream({ hub, clock: context.clock, deploymentId: row.id, response: reply.raw, lastN });
  try {
    const { db } = context.store;
    const now = (await deploymentRow(db, row.id)) ?? row;
    const [plans, history] = [await services.views.plans(row.id), await loadHistory(services, row.id, lastN)];
    events.open({
      plans,
      history,
      finished: now.finished_at === null ? undefined : await services.views.deployment(now),
    });
  } catch (error) {
    context.logger.error('a watch failed', { deploymentId: row.id, error });
    events.end();
  }
}

function followOutput(
  services: ApiServices,
  followers: { count: number },
  of: {
    readonly deploymentId: string;
    readonly machine: string | undefined;
    readonly step: string | undefined;
    readonly lastSequence: number;
    readonly reply: FastifyReply;
  },
): void {
  const { store, notices, clock, logger } = services.context;
  const { reply, ...wanted } = of;
  const max = apiLimits.outputWatchersMax.value;
  if (followers.count >= max)
    throw new Refusal('overloaded', `${max} followers of output are there already (outputWatchersMax)`, {
      cure: 'end one of them, or read without follow: torcello logs DEPLOYMENT',
    });
  followers.count += 1;
  reply.hijack();
  const onEnd = (): void => void (followers.count -= 1);
  new OutputStream({ ...wanted, db: store.db, notices, clock, logger, response: reply.raw, onEnd }).open();
}
