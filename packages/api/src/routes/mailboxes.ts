import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { principalOf, visibleMailboxes } from '../access/guard.js';
import { apiLimits } from '../limits.js';
import { deleteMailbox } from '../mailboxes/delete-mailbox.js';
import { askBroker, endedLetters, waitingLetters } from '../mailboxes/letters-view.js';
import type { LetterView } from '../mailboxes/letters-view.js';
import { noMailbox, redeliver } from '../mailboxes/redeliver.js';
import { listMailboxes, viewGone, viewMailbox } from '../mailboxes/view.js';
import type { MailboxView } from '../mailboxes/view.js';
import type { ApiServices } from './api-services.js';
import { answer, list, params, text } from './schemas.js';

const tags = ['mailboxes'];
const mailbox = answer('Mailbox', { name: text, state: text, letters: list });

type Params = { Params: { name: string } };

/** Where plans wait for their machines: what is in them, and what may be done about it. */
export function mailboxRoutes(app: FastifyInstance, services: ApiServices): void {
  listRoute(app, services);

  app.get<Params>(
    '/v1/mailboxes/:name',
    {
      schema: {
        summary: 'One mailbox with its letters; of one that has ended, what was in it',
        tags,
        params: params('name'),
        response: { 200: mailbox },
      },
    },
    async (request) => showMailbox(services, request.params.name),
  );

  app.post<Params & { Body: { id?: string } | null | undefined }>(
    '/v1/mailboxes/:name/redeliver',
    {
      schema: {
        summary:
          'Put what is or was in it, and has not ended, into it again under its own ids; opens an ended one anew',
        tags,
        params: params('name'),
        body: Type.Union([
          Type.Null(),
          Type.Object(
            { id: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Only this letter.' })) },
            { additionalProperties: false },
          ),
        ]),
        response: {
          200: answer('What is put again, and what is not', { mailbox: text, redelivered: list, left: list }),
        },
      },
    },
    async (request) => redeliver(services.mailboxEnds, { mailbox: request.params.name, letterId: request.body?.id }),
  );

  app.delete<Params>(
    '/v1/mailboxes/:name',
    {
      schema: {
        summary: 'End a mailbox; the answer says what became of the plans in it',
        tags,
        params: params('name'),
        response: { 200: answer('What became of it', { mailbox: text, state: text, plans: list }) },
      },
    },
    async (request) => deleteMailbox({ ...services.mailboxEnds, keeper: services.keeper }, request.params.name),
  );
}

function listRoute(app: FastifyInstance, services: ApiServices): void {
  const max = apiLimits.mailboxesListedMax.value;
  const query = Type.Object({
    environment: Type.Optional(Type.String({ maxLength: 128, description: 'Name or id.' })),
    limit: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,5}$', description: `At most ${max}, the default.` })),
    marker: Type.Optional(Type.String({ maxLength: 200, description: 'The name behind which the list begins.' })),
  });
  app.get<{ Querystring: { environment?: string; limit?: string; marker?: string } }>(
    '/v1/mailboxes',
    {
      schema: {
        summary: 'Mailboxes with their state, in the order of their names',
        tags,
        querystring: query,
        response: { 200: answer('Mailboxes', { mailboxes: list, next: Type.Optional(text) }) },
      },
    },
    async (request) => {
      const limit = Math.min(max, Number(request.query.limit ?? max));
      const { environment, marker: after = '' } = request.query;
      const page = await listMailboxes(viewParts(services), { environment, after, limit });
      const mailboxes = await visibleMailboxes(services.context, page, principalOf(request));
      const next = page.length === limit ? page.at(-1)?.name : undefined;
      return { mailboxes, ...(next === undefined ? {} : { next }) };
    },
  );
}

function viewParts(services: ApiServices) {
  const { context, presence, mailboxEnds } = services;
  return { db: context.store.db, presence, lifetimeMs: mailboxEnds.lifetimeMs };
}

async function showMailbox(
  services: ApiServices,
  name: string,
): Promise<MailboxView & { readonly letters: readonly LetterView[] }> {
  const { db } = services.context.store;
  const parts = { db, views: services.views };
  const end = await db.selectFrom('mailbox_ends').selectAll().where('mailbox', '=', name).executeTakeFirst();
  const machine = await db
    .selectFrom('machines')
    .innerJoin('environments', 'environments.id', 'machines.environment_id')
    .selectAll('machines')
    .select('environments.name as environment_name')
    .where('mailbox', '=', name)
    .executeTakeFirst();
  if (machine === undefined) {
    if (end === undefined) throw noMailbox(name);
    return { ...viewGone(end), letters: await endedLetters(parts, end) };
  }
  const waiting = await waitingLetters(parts, machine);
  const environment = machine.environment_name;
  const counted = waiting.filter(({ kind }) => kind === 'plan').length;
  const view = viewMailbox(viewParts(services), { machine, environment, end, waiting: counted });
  const ended = end === undefined ? [] : await endedLetters(parts, end);
  if (view.state === 'closing' || view.state === 'closed') return { ...view, letters: ended };
  const broker = await askBroker(services.isBrokerUp() ? services.transport() : undefined, name);
  return {
    ...view,
    letters: waiting,
    ...(broker === undefined ? {} : { broker }),
    ...(ended.length === 0 ? {} : { earlierLetters: ended }),
  };
}
