import type { FastifyRequest } from 'fastify';
import { Refusal } from '../errors.js';
import type { Context } from '../context.js';
import { MuranoDocuments } from '../database/murano-documents.js';
import { operator } from './principal.js';
import type { Principal } from './principal.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; undefined on open routes and for a token that opens files only. */
    principal?: Principal;
  }
}

/** What a route is about, and so who may use it. What is not named here is for administrators. */
type Subject = 'environment' | 'machine' | 'deployment' | 'package' | 'template' | 'mailbox' | 'anything' | 'own';

const bySubject: readonly (readonly [RegExp, Subject])[] = [
  [/^\/v1\/environments\/:e(\/|$)/, 'environment'],
  [/^\/v1\/machines\/:m(\/|$)/, 'machine'],
  [/^\/v1\/deployments\/:d(\/|$)/, 'deployment'],
  [/^\/v1\/catalog\/packages\/:p(\/|$)/, 'package'],
  [/^\/v1\/templates\/:t(\/|$)/, 'template'],
  [/^\/v1\/mailboxes\/:name(\/|$)/, 'mailbox'],
  [/^\/v1\/why\/:id$/, 'anything'],
  // Lists that show each tenant its own, makers of new things, and what is the same for everybody.
  [/^\/v1\/(environments|deployments|agents|mailboxes|templates|catalog\/packages)$/, 'own'],
  [/^\/v1\/(actions|stats|openapi\.json)$/, 'own'],
  [/^\/v1\/schemas\//, 'own'],
];

/** Categories are the operator's; everybody may read them. */
const categories = /^\/v1\/catalog\/categories(\/|$)/;

/**
 * Lets a request pass, or refuses it as if the thing were not there: another tenant's name is no news. Names of
 * environments are names in the tenant that asks; behind the guard stands the id.
 * @throws Refusal not_found, forbidden.
 */
export async function guard(context: Context, request: FastifyRequest, principal: Principal): Promise<void> {
  const url = request.routeOptions.url ?? '';
  const parameters = request.params as Record<string, string>;
  const subject = bySubject.find(([pattern]) => pattern.test(url))?.[1];
  if (subject === 'environment') return passEnvironment(context, parameters, principal);
  if (principal.isAdmin) return;
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  if (subject === 'own' || (categories.test(url) && isReading)) return;
  if (subject === undefined)
    throw new Refusal('forbidden', 'this is for administrators', { cure: 'ask with the token of one' });
  const id = Object.values(parameters)[0] ?? '';
  if (subject === 'package') return passPackage(context, { id, isReading }, principal);
  if (subject === 'template')
    return passTemplate(context, { id, isReading: isReading || url.endsWith('/clone') }, principal);
  const environmentId = await environmentOf(context, subject, id);
  if (environmentId === undefined || context.owners.tenantOf(environmentId) !== principal.tenantId)
    throw new Refusal('not_found', `there is no ${subject === 'anything' ? 'such thing' : subject} ${id}`);
}

/** Who asks; the operator where no token was needed. */
export function principalOf(request: FastifyRequest): Principal {
  return request.principal ?? operator;
}

async function passEnvironment(
  { store, owners }: Context,
  parameters: Record<string, string>,
  principal: Principal,
): Promise<void> {
  const wanted = parameters['e'] ?? '';
  const rows = await store.db
    .selectFrom('environments')
    .select('id')
    .where((column) => column.or([column('id', '=', wanted), column('name', '=', wanted)]))
    .execute();
  const own = rows.find(({ id }) => owners.tenantOf(id) === principal.tenantId);
  const found = own ?? (principal.isAdmin ? rows[0] : undefined);
  if (found !== undefined) parameters['e'] = found.id;
  else if (!(await isEndedOf({ owners, store }, wanted, principal)))
    throw new Refusal('not_found', `no environment ${wanted}`, { cure: 'torcello environment list' });
}

/** An environment that is gone: its deployments can still be read, by its id. */
async function isEndedOf(
  { store, owners }: Pick<Context, 'store' | 'owners'>,
  id: string,
  principal: Principal,
): Promise<boolean> {
  if (principal.isAdmin) return true;
  if (owners.tenantOf(id) !== principal.tenantId) return false;
  const row = await store.db
    .selectFrom('deployments')
    .select('id')
    .where('environment_id', '=', id)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

interface Wanted {
  readonly id: string;
  readonly isReading: boolean;
}

async function passPackage({ store, owners }: Context, wanted: Wanted, principal: Principal): Promise<void> {
  const { id } = wanted;
  const row = await store.db.selectFrom('packages').select('is_public').where('id', '=', id).executeTakeFirst();
  const isOwn = row !== undefined && owners.tenantOf(id) === principal.tenantId;
  if (isOwn || (row?.is_public === 1 && wanted.isReading)) return;
  if (row?.is_public === 1) throw new Refusal('forbidden', 'the package belongs to another tenant');
  throw new Refusal('not_found', `no package ${id}`, { cure: 'torcello package list' });
}

/** Murano shows public templates of others, and lets them be cloned. */
async function passTemplate({ store, owners }: Context, wanted: Wanted, principal: Principal): Promise<void> {
  const { id } = wanted;
  if (owners.tenantOf(id) === principal.tenantId) return;
  const row = await new MuranoDocuments(store).find('template', id);
  const isPublic = row !== undefined && (JSON.parse(row.body) as { readonly is_public?: boolean }).is_public === true;
  if (isPublic && wanted.isReading) return;
  throw isPublic
    ? new Refusal('forbidden', 'the template belongs to another tenant')
    : new Refusal('not_found', `no template ${id}`);
}

/** The environment that something belongs to. */
async function environmentOf(
  { store: { db } }: Context,
  subject: 'machine' | 'deployment' | 'mailbox' | 'anything',
  id: string,
): Promise<string | undefined> {
  const isAny = subject === 'anything';
  if (subject === 'machine' || isAny) {
    const row = await db.selectFrom('machines').select('environment_id').where('id', '=', id).executeTakeFirst();
    if (row !== undefined) return row.environment_id;
  }
  if (subject === 'deployment' || isAny) {
    const row = await db.selectFrom('deployments').select('environment_id').where('id', '=', id).executeTakeFirst();
    if (row !== undefined) return row.environment_id;
  }
  if (subject === 'mailbox' || isAny) {
    const row = await db.selectFrom('machines').select('environment_id').where('mailbox', '=', id).executeTakeFirst();
    const ended = await db
      .selectFrom('mailbox_ends')
      .select('environment_id')
      .where('mailbox', '=', id)
      .executeTakeFirst();
    if (row !== undefined || ended !== undefined) return row?.environment_id ?? ended?.environment_id;
  }
  if (!isAny) return undefined;
  const plan = await db
    .selectFrom('plans')
    .innerJoin('deployments', 'deployments.id', 'plans.deployment_id')
    .select('deployments.environment_id')
    .where('plans.plan_id', '=', id)
    .executeTakeFirst();
  if (plan !== undefined) return plan.environment_id;
  return (await db.selectFrom('environments').select('id').where('id', '=', id).executeTakeFirst())?.id;
}

/** The environments whose deployments somebody may see, those that are gone too. Undefined: all. */
export async function visibleEnvironments(
  { store, owners }: Context,
  principal: Principal,
): Promise<readonly string[] | undefined> {
  if (principal.isAdmin) return undefined;
  const rows = await store.db.selectFrom('deployments').select('environment_id').distinct().execute();
  return rows.map((row) => row.environment_id).filter((id) => owners.tenantOf(id) === principal.tenantId);
}

/** Of these mailboxes those that somebody may see. */
export async function visibleMailboxes<Mailbox extends { readonly name: string }>(
  context: Context,
  mailboxes: readonly Mailbox[],
  principal: Principal,
): Promise<readonly Mailbox[]> {
  if (principal.isAdmin) return mailboxes;
  const visible: Mailbox[] = [];
  for (const mailbox of mailboxes) {
    const environmentId = await environmentOf(context, 'mailbox', mailbox.name);
    if (environmentId !== undefined && context.owners.tenantOf(environmentId) === principal.tenantId)
      visible.push(mailbox);
  }
  return visible;
}
