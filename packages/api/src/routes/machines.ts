import { limits, machineKindOf } from '@torcello/contracts';
import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import type { MachineRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import type { MachineOrder } from '../machines/machines.js';
import type { ApiServices } from './api-services.js';
import { answer, list, params, text } from './schemas.js';

const tags = ['machines'];
const machine = answer('Machine', { id: text, name: text, role: text, state: text });

type Params = { Params: { e: string; m: string } };

export function machineRoutes(app: FastifyInstance, services: ApiServices): void {
  const { machines, environments } = services;
  machineRoutesById(app, services);
  const body = Type.Object(
    {
      role: Type.String({ maxLength: 32 }),
      count: Type.Optional(Type.Integer({ minimum: 1 })),
      lifetimeMs: Type.Optional(
        Type.Integer({
          minimum: limits.mailboxLifetimeMsMin.value,
          maximum: limits.mailboxLifetimeMsMax.value,
          description: 'How long their mailboxes live without contact. Default: the setting of the API.',
        }),
      ),
      kind: Type.Optional(Type.Union([Type.Literal('agent'), Type.Literal('muranoagent')])),
      names: Type.Optional(
        Type.Array(Type.String({ maxLength: 63 }), { minItems: 1, maxItems: limits.machinesPerRequestMax.value }),
      ),
    },
    { additionalProperties: false },
  );

  app.post<Params & { Body: MachineOrder }>(
    '/v1/environments/:e/machines',
    {
      schema: {
        summary: 'Add machines; those with an agent of ours come with a join line',
        tags,
        params: params('e'),
        body,
        response: { 201: answer('Machines', { machines: list }) },
      },
    },
    async (request, reply) => {
      const environment = await environments.find(request.params.e);
      if (request.body.kind === 'muranoagent') refuseWithoutQueues(services);
      const made = await machines.add(environment, request.body);
      return reply
        .code(201)
        .send({ machines: made.map(({ row, joinLine }) => viewNewMachine(services, row, joinLine)) });
    },
  );

  app.get<Params>(
    '/v1/environments/:e/machines',
    {
      schema: {
        summary: 'Machines of an environment',
        tags,
        params: params('e'),
        response: { 200: answer('Machines', { machines: list }) },
      },
    },
    async (request) => {
      const environment = await environments.find(request.params.e);
      return { machines: (await machines.list(environment.id)).map((row) => viewMachine(services, row)) };
    },
  );
}

/** Routes of one machine. */
function machineRoutesById(app: FastifyInstance, services: ApiServices): void {
  const { machines } = services;

  app.get<Params>(
    '/v1/machines/:m',
    { schema: { summary: 'One machine', tags, params: params('m'), response: { 200: machine } } },
    async (request) => viewMachine(services, await machines.find(request.params.m)),
  );

  app.delete<Params>(
    '/v1/machines/:m',
    {
      schema: {
        summary: 'Take a machine away; plans that wait for it are cancelled',
        tags,
        params: params('m'),
        response: { 200: answer('Gone, and what became of plans that were out', { endedPlans: list }) },
      },
    },
    async (request) => ({ endedPlans: await machines.delete(request.params.m, services.mailboxGraceMs) }),
  );

  const query = Type.Object({
    replace: Type.Optional(
      Type.String({
        pattern: '^(|1|true)$',
        description: 'The agent that had joined is given up: its open plans end.',
      }),
    ),
  });
  app.post<Params & { Querystring: { replace?: string } }>(
    '/v1/machines/:m/join-line',
    {
      schema: {
        summary: 'A new join line; the old one is void',
        tags,
        params: params('m'),
        querystring: query,
        response: { 200: answer('Join line', { joinLine: text }) },
      },
    },
    async (request) => {
      const { id, name, mailbox } = await machines.find(request.params.m);
      if (machineKindOf(mailbox) === 'muranoagent') {
        throw new Refusal('invalid_request', `${name} has a muranoagent, which does not join`, {
          cure: `torcello machine agent-conf ${id}`,
        });
      }
      const replaces = request.query.replace !== undefined;
      const { joinLine, endedPlans } = await machines.renewToken(id, replaces);
      return replaces ? { joinLine, endedPlans } : { joinLine };
    },
  );
}

/** A real muranoagent reads a queue, and knows no handshake. */
function refuseWithoutQueues({ carrier }: ApiServices): void {
  if (carrier()?.kind !== 'handshake') return;
  throw new Refusal('invalid_request', 'this broker keeps no mailboxes, and a muranoagent needs one', {
    cure: 'use a broker with AMQP 0-9-1, or an agent of ours',
  });
}

/** A real muranoagent does not join: its login is in its `agent.conf`. */
function viewNewMachine(services: ApiServices, row: MachineRow, joinLine: string): Readonly<Record<string, unknown>> {
  const machine = viewMachine(services, row);
  return machineKindOf(row.mailbox) === 'agent' ? { ...machine, joinLine } : machine;
}

function viewMachine(services: ApiServices, row: MachineRow): Readonly<Record<string, unknown>> {
  const { state } = services.presence.judge({ joinedAtMs: row.joined_at, lastHeartbeatAtMs: row.last_heartbeat_at });
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    index: row.place,
    environmentId: row.environment_id,
    state,
    kind: machineKindOf(row.mailbox),
    mailbox: row.mailbox,
    isMailboxDeclared: row.is_mailbox_declared === 1,
    ...(row.is_token_contested === 1 ? { isTokenContested: true } : {}),
  };
}
