import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { hexId } from '@torcello/platform';
import { principalOf } from '../access/guard.js';
import type { Owners } from '../access/owners.js';
import type { Principal } from '../access/principal.js';
import type { MuranoDocumentRow, MuranoDocuments } from '../database/murano-documents.js';
import type { Work } from '../database/store.js';
import { appendAt, partAt, replaceAt } from '../environments/model-path.js';
import { readService, readServices } from '../environments/services.js';
import type { ServiceObject } from '../environments/services.js';
import { Refusal } from '../errors.js';
import { muranoTime } from '../times.js';
import type { ApiServices } from './api-services.js';
import { answer, empty, id, list, params, text } from './schemas.js';

const tags = ['templates'];
const config = { isMurano: true };
const template = answer('Template', { id: text, name: text });
const nameLengthMax = 255;

type Params = { Params: { t: string; '*'?: string } };
interface TemplateBody {
  readonly description_text: string;
  readonly is_public: boolean;
  readonly services: readonly ServiceObject[];
}

/** Templates of environments (Murano section 2): applications kept under a name, to make environments of. */
export function muranoTemplateRoutes(app: FastifyInstance, services: ApiServices, documents: MuranoDocuments): void {
  const templates = new Templates(services, documents);
  oneTemplateRoutes(app, templates);
  useRoutes(app, services, templates);
  templateServiceRoutes(app, services, templates);

  app.get<{ Querystring: { is_public?: string } }>(
    '/v1/templates',
    { config, schema: { summary: 'All templates', tags, response: { 200: answer('List', { templates: list }) } } },
    async (request) => {
      const wanted = request.query.is_public?.toLowerCase();
      const { owners } = services.context;
      const principal = principalOf(request);
      const all = await documents.all('template');
      const rows = all.filter((row) => owners.isVisible(row.id, principal) || bodyOf(row).is_public);
      const fitting = rows.filter((row) => wanted === undefined || String(bodyOf(row).is_public) === wanted);
      return { templates: fitting.map((row) => view(row, owners)) };
    },
  );

  app.post<{ Body: Readonly<Record<string, unknown>> }>(
    '/v1/templates',
    {
      config,
      schema: { summary: 'Make a template', tags, body: Type.Object({}), response: { 200: template } },
    },
    async (request) => {
      const { name, is_public: isPublic = false, description_text: description = '' } = request.body;
      const staged = readServices(request.body['services'] ?? [], services.context.random);
      const body = { is_public: isPublic === true, description_text: String(description), services: staged };
      return templates.whole(await templates.make(name, body, principalOf(request)));
    },
  );
}

function oneTemplateRoutes(app: FastifyInstance, templates: Templates): void {
  const schema = { tags, params: params('t'), response: { 200: template } };

  app.get<Params>('/v1/templates/:t', { config, schema: { ...schema, summary: 'One template' } }, async (request) =>
    templates.whole(await templates.find(request.params.t)),
  );

  app.put<Params & { Body: Readonly<Record<string, unknown>> }>(
    '/v1/templates/:t',
    { config, schema: { ...schema, summary: 'Rename a template', body: Type.Object({}) } },
    async (request) => templates.whole(await templates.rename(request.params.t, request.body['name'])),
  );

  app.delete<Params>(
    '/v1/templates/:t',
    { config, schema: { ...schema, summary: 'Delete a template', response: { 200: empty('Gone') } } },
    async (request, reply) => {
      await templates.delete(request.params.t);
      return reply.code(200).send();
    },
  );
}

function useRoutes(app: FastifyInstance, services: ApiServices, templates: Templates): void {
  const { environments, context } = services;
  type Named = Params & { Body: Readonly<Record<string, unknown>> };
  const schema = { tags, params: params('t'), body: Type.Object({}) };

  app.post<Named>(
    '/v1/templates/:t/create-environment',
    { config, schema: { ...schema, summary: 'Make an environment of a template', response: { 200: answer('Ids') } } },
    async (request) => {
      const { services: kept } = bodyOf(await templates.find(request.params.t));
      const environment = await environments.create(request.body['name'], principalOf(request));
      try {
        const session = await environments.configure(environment.id);
        // Ids are the environment's own: a template may be used twice.
        const fresh = kept.map((service) => ({ ...service, '?': { ...service['?'], id: hexId(context.random) } }));
        if (fresh.length > 0) await environments.stage(environment, session.id, () => fresh);
        return { environment_id: environment.id, session_id: session.id };
      } catch (error) {
        await environments.delete(environment.id, { abandon: true, mailboxGraceMs: services.mailboxGraceMs });
        throw error;
      }
    },
  );

  app.post<Named>(
    '/v1/templates/:t/clone',
    { config, schema: { ...schema, summary: 'Copy a public template', response: { 200: template } } },
    async (request) => {
      const body = bodyOf(await templates.find(request.params.t));
      if (!body.is_public) throw new Refusal('session_invalid', 'only public templates can be cloned');
      return templates.whole(
        await templates.make(request.body['name'], { ...body, is_public: false }, principalOf(request)),
      );
    },
  );
}

function templateServiceRoutes(app: FastifyInstance, services: ApiServices, templates: Templates): void {
  const { random } = services.context;
  const addresses = [
    ['/v1/templates/:t/services', params('t')],
    ['/v1/templates/:t/services/*', Type.Object({ t: id, '*': Type.String({ maxLength: 1_000 }) })],
  ] as const;
  for (const [url, parameters] of addresses) {
    const schema = { tags, params: parameters, response: { 200: Type.Unknown() } };
    const sendJson = (reply: Reply, value: unknown): unknown =>
      reply.type('application/json; charset=utf-8').send(JSON.stringify(value));

    app.get<Params>(
      url,
      { config, schema: { ...schema, summary: 'Applications of a template' } },
      async (request, reply) => {
        const { services: kept } = bodyOf(await templates.find(request.params.t));
        return sendJson(reply, partAt(kept, pathOf(request.params)));
      },
    );

    app.post<Params & { Body: unknown }>(
      url,
      { config, schema: { ...schema, summary: 'Add an application', body: Type.Unknown() } },
      async (request, reply) => {
        const added = Array.isArray(request.body)
          ? readServices(request.body, random)
          : [readService(request.body, random)];
        await templates.stage(request.params.t, (kept) =>
          added.reduce<unknown>((model, service) => appendAt(model, pathOf(request.params), service), kept),
        );
        return sendJson(reply, Array.isArray(request.body) ? added : added[0]);
      },
    );

    app.put<Params & { Body: unknown }>(
      url,
      { config, schema: { ...schema, summary: 'Replace applications', body: Type.Unknown() } },
      async (request, reply) => {
        const path = pathOf(request.params);
        const staged = await templates.stage(request.params.t, (kept) => replaceAt(kept, path, request.body));
        return sendJson(reply, partAt(staged, path));
      },
    );

    app.delete<Params>(
      url,
      { config, schema: { ...schema, summary: 'Take an application away', response: { 200: empty('Gone') } } },
      async (request, reply) => {
        const path = pathOf(request.params);
        await templates.stage(request.params.t, (kept) => replaceAt(kept, path, path.length === 0 ? [] : undefined));
        return reply.code(200).send();
      },
    );
  }
}

interface Reply {
  type(type: string): { send(body: string): unknown };
}

function pathOf(parameters: { readonly '*'?: string }): readonly string[] {
  return (parameters['*'] ?? '').split('/').filter((part) => part !== '');
}

class Templates {
  readonly #services: ApiServices;
  readonly #documents: MuranoDocuments;

  constructor(services: ApiServices, documents: MuranoDocuments) {
    this.#services = services;
    this.#documents = documents;
  }

  /** @throws Refusal not_found. */
  async find(templateId: string): Promise<MuranoDocumentRow> {
    const row = await this.#documents.find('template', templateId);
    if (row === undefined) throw new Refusal('not_found', `no template ${templateId}`);
    return row;
  }

  /** @throws Refusal invalid_request, name_taken. */
  async make(name: unknown, body: TemplateBody, principal: Principal): Promise<MuranoDocumentRow> {
    const { random, clock, owners } = this.#services.context;
    const [newId, now] = [hexId(random), clock.now()];
    return this.#put(newId, async (all, work) => {
      const checked = freeName(name, this.#ofTenant(all, principal.tenantId), newId);
      await owners.note(work, newId, principal);
      const document = JSON.stringify(body);
      return { kind: 'template', id: newId, name: checked, body: document, created_at: now, updated_at: now };
    });
  }

  async rename(templateId: string, name: unknown): Promise<MuranoDocumentRow> {
    const tenantId = this.#services.context.owners.tenantOf(templateId);
    return this.#put(templateId, (all) => ({
      ...known(all, templateId),
      name: freeName(name, this.#ofTenant(all, tenantId), templateId),
    }));
  }

  /** A template with its applications, as Murano shows it. */
  whole(row: MuranoDocumentRow): Readonly<Record<string, unknown>> {
    return { ...view(row, this.#services.context.owners), services: bodyOf(row).services };
  }

  #ofTenant(all: readonly MuranoDocumentRow[], tenantId: string): readonly MuranoDocumentRow[] {
    return all.filter((row) => this.#services.context.owners.tenantOf(row.id) === tenantId);
  }

  /** Changes the applications; answers them. */
  async stage(
    templateId: string,
    change: (services: readonly ServiceObject[]) => unknown,
  ): Promise<readonly ServiceObject[]> {
    const { random } = this.#services.context;
    const row = await this.#put(templateId, (all) => {
      const before = known(all, templateId);
      const body = bodyOf(before);
      const staged = readServices(change(body.services), random);
      return { ...before, body: JSON.stringify({ ...body, services: staged }) };
    });
    return bodyOf(row).services;
  }

  async delete(templateId: string): Promise<void> {
    await this.#documents.change('template', templateId, (all) => {
      known(all, templateId);
      return Promise.resolve(undefined);
    });
  }

  async #put(
    templateId: string,
    change: (all: readonly MuranoDocumentRow[], work: Work) => MuranoDocumentRow | Promise<MuranoDocumentRow>,
  ): Promise<MuranoDocumentRow> {
    const now = this.#services.context.clock.now();
    const row = await this.#documents.change('template', templateId, async (all, work) => ({
      ...(await change(all, work)),
      updated_at: now,
    }));
    if (row === undefined) throw new Refusal('not_found', `no template ${templateId}`);
    return row;
  }
}

function known(all: readonly MuranoDocumentRow[], templateId: string): MuranoDocumentRow {
  const row = all.find((other) => other.id === templateId);
  if (row === undefined) throw new Refusal('not_found', `no template ${templateId}`);
  return row;
}

function freeName(name: unknown, all: readonly MuranoDocumentRow[], ownId: string): string {
  if (typeof name !== 'string' || name.trim() === '') throw new Refusal('invalid_request', 'a template needs a name');
  if (name.length > nameLengthMax)
    throw new Refusal('invalid_request', `a name has at most ${nameLengthMax} characters`);
  if (all.some((row) => row.name === name && row.id !== ownId))
    throw new Refusal('name_taken', `there is a template ${name}`);
  return name;
}

function bodyOf(row: MuranoDocumentRow): TemplateBody {
  return JSON.parse(row.body) as TemplateBody;
}

function view(row: MuranoDocumentRow, owners: Owners): Readonly<Record<string, unknown>> {
  const { is_public: isPublic, description_text: description } = bodyOf(row);
  return {
    id: row.id,
    name: row.name,
    tenant_id: owners.tenantOf(row.id),
    version: 0,
    is_public: isPublic,
    description_text: description,
    created: muranoTime(row.created_at),
    updated: muranoTime(row.updated_at),
  };
}
