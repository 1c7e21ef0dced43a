import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { hexId, silentLogger, systemRandom } from '@torcello/platform';
import { SimulatedClock } from '@torcello/platform/testing';
import { KeystoneTokens } from '@torcello/api';
import { openStore } from '../src/database/store.js';
import { FakeConductor, scheduled } from './support/fake-conductor.js';
import { TestApi, packageZip } from './support/test-api.js';

async function tokenOf(test: TestApi, tenant: string, admin = false): Promise<string> {
  const { body, status } = await test.call('POST', '/v1/tokens', {
    body: { tenant, user: `user-of-${tenant}`, admin },
  });
  assert.equal(status, 201);
  return String(body.token);
}

/** Everything that a tenant can have, and its ids. */
async function world(test: TestApi, token: string): Promise<Readonly<Record<string, string>>> {
  const call = async (method: 'GET' | 'POST', url: string, options: object = {}) => {
    const answer = await test.call(method, url, { ...options, token });
    assert.ok(answer.status < 300, `${method} ${url}: ${answer.text}`);
    return answer;
  };
  const { body: made } = await call('POST', '/v1/catalog/packages', { body: packageZip() });
  const { body: environment } = await call('POST', '/v1/environments', { body: { name: 'shop' } });
  const machines = await call('POST', `/v1/environments/${environment.id}/machines`, { body: { role: 'web' } });
  const [machine] = machines.body.machines;
  const { body: template } = await call('POST', '/v1/templates', { body: { name: 'kept' } });
  const { body: session } = await call('POST', `/v1/environments/${environment.id}/configure`);
  await call('POST', `/v1/environments/${environment.id}/services`, {
    body: { '?': { type: 'io.torcello.Web', id: 'web' } },
    headers: { 'x-configuration-session': session.id },
  });
  const deployed = await call('POST', `/v1/environments/${environment.id}/sessions/${session.id}/deploy`);
  const deployment = String(deployed.headers['x-torcello-deployment']);
  return {
    e: environment.id,
    s: session.id,
    m: machine.id,
    name: machine.mailbox,
    d: deployment,
    p: made.id,
    t: template.id,
    id: machine.id,
    a: deployment,
  };
}

interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
}

/** Every route that there is, from the description that the API gives of itself. */
async function routes(test: TestApi): Promise<readonly Route[]> {
  const { body } = await test.call('GET', '/v1/openapi.json');
  const paths = body.paths as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  return Object.entries(paths).flatMap(([url, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase() as Route['method'], url })),
  );
}

function address({ url }: Route, ids: Readonly<Record<string, string>>): string {
  return url.replaceAll(/\{([^}]+)\}/g, (_whole, name: string) => ids[name] ?? 'x').replace('*', '');
}

const open = new Set(['/', '/healthz', '/agent.mjs', '/install.sh', '/v1/join']);
/** What needs a name of its own, or says the same to everybody. */
const common =
  /^\/v1\/(environments|deployments|agents|mailboxes|templates|catalog\/(packages|categories)|actions|stats|openapi\.json|schemas\/.*)$|^\/v1\/catalog\/categories/;
/** For administrators, whoever asks. */
const operators = /^\/v1\/(tokens|dead-letters|quarantine|backup|doctor)|^\/v1\/catalog\/categories/;

describe('tenants', () => {
  it('every route, with the ids of another tenant: as if there were nothing, and nothing changes', async () => {
    await using test = await TestApi.open();
    const [mine, theirs] = [await tokenOf(test, 'mine'), await tokenOf(test, 'theirs')];
    const ids = await world(test, mine);
    await world(test, theirs);
    const seenBefore = (await test.call('GET', `/v1/environments/${ids['e']}`, { token: mine })).text;
    let tried = 0;
    for (const route of await routes(test)) {
      if (open.has(route.url) || (common.test(route.url) && !operators.test(route.url))) continue;
      const name = `${route.method} ${route.url}`;
      const { status } = await test.call(route.method, address(route, ids), { token: theirs });
      if (operators.test(route.url)) {
        const isReading = route.method === 'GET' && route.url.startsWith('/v1/catalog/');
        assert.ok(isReading ? status < 500 : status === 403, `${name}: ${status}`);
      } else assert.equal(status, 404, name);
      tried += 1;
    }
    assert.ok(tried >= 45, `${tried} routes tried`);
    assert.equal((await test.call('GET', `/v1/environments/${ids['e']}`, { token: mine })).text, seenBefore);
  });

  it('every route, for its owner and for an administrator: no 500, and reading works', async () => {
    for (const isAdmin of [false, true]) {
      await using test = await TestApi.open();
      const mine = await tokenOf(test, 'mine');
      const token = isAdmin ? await tokenOf(test, 'others', true) : mine;
      const ids = await world(test, mine);
      const all = await routes(test);
      // What takes something away comes last.
      const ordered = [
        ...all.filter(({ method }) => method === 'GET'),
        ...all.filter(({ method }) => method !== 'GET' && method !== 'DELETE'),
        ...all.filter(({ method }) => method === 'DELETE'),
      ];
      for (const route of ordered) {
        if (route.url === '/agent.mjs' || route.url === '/install.sh') continue;
        const name = `${route.method} ${route.url} as ${isAdmin ? 'administrator' : 'owner'}`;
        const { status, text } = await test.call(route.method, address(route, ids), {
          token,
          headers: { accept: 'application/json' },
        });
        assert.notEqual(status, 500, `${name}: ${text}`);
        const isOperators =
          operators.test(route.url) && !isAdmin && !(route.method === 'GET' && route.url.startsWith('/v1/catalog'));
        if (isOperators && !open.has(route.url)) assert.equal(status, 403, name);
        else assert.ok(status !== 401 && !text.includes('"forbidden"'), `${name}: ${status} ${text}`);
      }
    }
  });

  it('lists show each tenant its own; all_tenants and tenant are for administrators', async () => {
    await using test = await TestApi.open();
    const [mine, theirs] = [await tokenOf(test, 'mine'), await tokenOf(test, 'theirs')];
    const [own, other] = [await world(test, mine), await world(test, theirs)];
    for (const [url, key, id, wanted] of [
      ['/v1/environments', 'environments', 'id', 'e'],
      ['/v1/environments?all_tenants=False', 'environments', 'id', 'e'],
      ['/v1/deployments', 'deployments', 'id', 'd'],
      ['/v1/agents', 'agents', 'machineId', 'm'],
      ['/v1/mailboxes', 'mailboxes', 'name', 'name'],
      ['/v1/templates', 'templates', 'id', 't'],
      ['/v1/catalog/packages', 'packages', 'id', 'p'],
      ['/v1/catalog/packages?owned=True', 'packages', 'id', 'p'],
    ] as const) {
      const { body } = await test.call('GET', url, { token: mine });
      assert.deepEqual(
        body[key].map((row: Record<string, string>) => row[id]),
        [own[wanted]],
        url,
      );
    }
    const names = async (query: string, token?: string) => {
      const answer = await test.call('GET', `/v1/environments?${query}`, token === undefined ? {} : { token });
      return answer.status === 200
        ? answer.body.environments.map((row: { id: string }) => row.id).toSorted()
        : answer.status;
    };
    const both = [own['e'] ?? '', other['e'] ?? ''].toSorted();
    assert.deepEqual(await names(''), both);
    assert.deepEqual(await names('all_tenants=True'), both);
    assert.deepEqual(await names('all_tenants=False'), []);
    assert.deepEqual(await names('tenant=mine'), [own['e']]);
    assert.equal(await names('all_tenants=True', mine), 403);
    assert.equal(await names('tenant=theirs', mine), 403);
    assert.deepEqual(await names('tenant=mine', mine), [own['e']]);
    const shown = await test.call('GET', `/v1/environments/shop`, { token: theirs });
    assert.deepEqual([shown.body.id, shown.body.tenant_id], [other['e'], 'theirs']);
  });

  it('names are a tenant’s own; public packages and templates are seen by all and changed by their owner', async () => {
    await using test = await TestApi.open();
    const [mine, theirs] = [await tokenOf(test, 'mine'), await tokenOf(test, 'theirs')];
    const own = await world(test, mine);
    assert.equal((await test.call('POST', '/v1/environments', { token: mine, body: { name: 'shop' } })).status, 409);
    const publish = [{ op: 'replace', path: '/is_public', value: true }];
    const patched = await test.api.server.inject({
      method: 'PATCH',
      url: `/v1/catalog/packages/${own['p']}`,
      headers: { 'x-auth-token': mine, 'content-type': 'application/murano-packages-json-patch' },
      payload: JSON.stringify(publish),
    });
    assert.equal(patched.statusCode, 200, patched.body);
    assert.equal((await test.call('GET', `/v1/catalog/packages/${own['p']}`, { token: theirs })).body.owner_id, 'mine');
    assert.equal((await test.call('DELETE', `/v1/catalog/packages/${own['p']}`, { token: theirs })).status, 403);
    await test.call('POST', '/v1/templates', { token: mine, body: { name: 'for all', is_public: true } });
    const { body } = await test.call('GET', '/v1/templates', { token: theirs });
    const [shared] = body.templates;
    assert.equal(shared.tenant_id, 'mine');
    assert.equal((await test.call('DELETE', `/v1/templates/${shared.id}`, { token: theirs })).status, 403);
    const cloned = await test.call('POST', `/v1/templates/${shared.id}/clone`, {
      token: theirs,
      body: { name: 'my own' },
    });
    assert.deepEqual([cloned.status, cloned.body.tenant_id], [200, 'theirs']);
  });

  it('the schema of a package is for those who see the package', async () => {
    await using test = await TestApi.open();
    const [mine, theirs] = [await tokenOf(test, 'mine'), await tokenOf(test, 'theirs')];
    await world(test, mine);
    assert.equal((await test.call('GET', '/v1/schemas/io.torcello.Web', { token: mine })).status, 200);
    assert.equal((await test.call('GET', '/v1/schemas/io.torcello.Web', { token: theirs })).status, 404);
  });

  it('a package of another tenant cannot be deployed, nor named by a resume', async () => {
    await using test = await TestApi.open();
    const [mine, theirs] = [await tokenOf(test, 'mine'), await tokenOf(test, 'theirs')];
    const own = await world(test, mine);
    const { body: environment } = await test.call('POST', '/v1/environments', { token: theirs, body: { name: 'x' } });
    const { body: session } = await test.call('POST', `/v1/environments/${environment.id}/configure`, {
      token: theirs,
    });
    const staged = await test.call('POST', `/v1/environments/${environment.id}/services`, {
      token: theirs,
      body: { '?': { type: `io.torcello.Web@${own['p']}`, id: 'web' } },
      headers: { 'x-configuration-session': session.id },
    });
    assert.equal(staged.status, 400, staged.text);
  });

  it('an idempotency key is a tenant’s own', async () => {
    await using test = await TestApi.open();
    const [mine, theirs] = [await tokenOf(test, 'mine'), await tokenOf(test, 'theirs')];
    const make = (token: string) =>
      test.call('POST', '/v1/environments', { token, body: { name: 'shop' }, headers: { 'idempotency-key': 'one' } });
    const [first, second] = [await make(mine), await make(theirs)];
    assert.deepEqual([first.status, second.status], [200, 200]);
    assert.notEqual(first.body.id, second.body.id);
    assert.equal((await make(mine)).body.id, first.body.id);
  });

  it('a token is shown once, can be revoked at once, and outlives a restart', async () => {
    const first = await TestApi.open();
    const token = await tokenOf(first, 'mine');
    await world(first, token);
    await first.stop();
    await using test = await TestApi.open({ folder: first.folder, driver: first.driver, testClock: first.clock });
    const seen = await test.call('GET', '/v1/environments', { token });
    assert.deepEqual([seen.body.environments.length, seen.body.environments[0].tenant_id], [1, 'mine']);
    const { body, text } = await test.call('GET', '/v1/tokens');
    assert.equal(text.includes(token), false);
    assert.equal((await test.call('GET', '/v1/tokens', { token })).status, 403);
    assert.equal((await test.call('DELETE', `/v1/tokens/${body.tokens[0].id}`)).status, 200);
    assert.equal((await test.call('GET', '/v1/environments', { token })).status, 401);
  });

  it('a conductor works on every tenant’s deployments with the files token of each', async () => {
    await using test = await TestApi.open();
    const ids = await world(test, await tokenOf(test, 'mine'));
    await test.attach();
    const conductor = new FakeConductor(await test.connect());
    const claim = await conductor.claim(ids['d'] ?? '');
    assert.ok(claim.claimed);
    const [service] = claim.model.services;
    const file = await test.call('GET', service?.package.path ?? '', { token: claim.model.filesToken });
    assert.equal(file.status, 200);
    const entry = scheduled(hexId(systemRandom), ids['m'] ?? '', 'web/web', 'letter');
    const order = { deploymentId: ids['d'] ?? '', epoch: claim.epoch, expectedLength: claim.length, events: [entry] };
    assert.equal((await conductor.append(order)).appended, true);
  });
});

describe('tokens of Keystone', () => {
  const answer = (changes: object = {}) => ({
    token: {
      user: { id: 'u1', name: 'alice' },
      project: { id: 'p1', name: 'shop' },
      roles: [{ name: 'member' }],
      expires_at: '2100-01-01T00:00:00.000000Z',
      ...changes,
    },
  });
  /** A Keystone that says what it is told to, and counts. */
  function keystone(reply: () => Response | Promise<Response>, options: object = {}) {
    const asked: string[] = [];
    const clock = new SimulatedClock();
    const fetch = ((url: string, init: { headers: Record<string, string> }) => {
      asked.push(`${url} ${init.headers['x-subject-token'] ?? ''}`);
      return Promise.resolve(reply());
    }) as unknown as typeof globalThis.fetch;
    const tokens = new KeystoneTokens({ url: 'http://k:5000/v3/', clock, logger: silentLogger, fetch, ...options });
    return { asked, clock, tokens };
  }

  it('are asked about once, believed for a while, and then no more when they were revoked', async () => {
    let isRevoked = false;
    const { asked, clock, tokens } = keystone(() =>
      isRevoked ? Response.json({}, { status: 404 }) : Response.json(answer()),
    );
    const [one, other] = await Promise.all([tokens.check('t'), tokens.check('t')]);
    assert.deepEqual([one, other], [one, { userId: 'u1', userName: 'alice', tenantId: 'p1', isAdmin: false }]);
    assert.deepEqual(asked, ['http://k:5000/v3/auth/tokens?nocatalog t']);
    isRevoked = true;
    await clock.advance(29_000);
    assert.ok(await tokens.check('t'));
    await clock.advance(2_000);
    assert.equal(await tokens.check('t'), undefined);
    assert.equal(await tokens.check('t'), undefined);
    assert.equal(asked.length, 2);
  });

  it('name the user in the audit, whatever a request does', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'torcello-api-'));
    const store = await openStore(folder);
    const { tokens } = keystone(() => Response.json(answer()));
    await using test = await TestApi.open({
      folder,
      store,
      tokens: (own) => ({ check: async (token) => (await own.check(token)) ?? tokens.check(token) }),
    });
    await world(test, 't');
    const headers = { 'idempotency-key': 'in one transaction' };
    await test.call('POST', '/v1/environments', { token: 't', headers, body: { name: 'keyed' } });
    await test.call('POST', '/v1/environments', { body: { name: 'the-operators' } });
    const rows = await store.db.selectFrom('audit').select(['actor', 'action', 'detail']).orderBy('id').execute();
    const operators = rows.filter(({ actor }) => actor === 'admin');
    assert.deepEqual(
      operators.map(({ action, detail }) => `${action} ${detail}`),
      ['environment.created {"name":"the-operators"}'],
    );
    const hers = rows.filter(({ actor }) => actor === 'u1');
    const actions = hers.map(({ action }) => action);
    for (const action of ['package.imported', 'environment.created', 'machines.added', 'deployment.deploy'])
      assert.ok(actions.includes(action), `${action} is not among ${actions.join(', ')}`);
    for (const { detail } of hers) assert.match(detail, /"tenant":"p1","user":"alice"\}$/);
  });

  it('end when they expire, whatever is remembered', async () => {
    const clock = new SimulatedClock();
    const soon = new Date(clock.now() + 5_000).toISOString();
    const { tokens, clock: own } = keystone(() => Response.json(answer({ expires_at: soon })));
    assert.ok(await tokens.check('t'));
    await own.advance(6_000);
    assert.equal(await tokens.check('t'), undefined);
  });

  it('need a project; the role of administrators has a name', async () => {
    assert.equal(await keystone(() => Response.json(answer({ project: undefined }))).tokens.check('t'), undefined);
    assert.equal(await keystone(() => Response.json({ other: 1 })).tokens.check('t'), undefined);
    const roles = { roles: [{ name: 'admin' }, { name: 'member' }] };
    assert.equal((await keystone(() => Response.json(answer(roles))).tokens.check('t'))?.isAdmin, true);
    const named = keystone(() => Response.json(answer(roles)), { adminRole: 'torcello-admin' });
    assert.equal((await named.tokens.check('t'))?.isAdmin, false);
    const { asked, tokens } = keystone(() => Response.json(answer()));
    assert.equal(await tokens.check('a b\n'), undefined);
    assert.equal(await tokens.check('x'.repeat(9_000)), undefined);
    assert.deepEqual(asked, []);
  });

  it('a Keystone that is away is no refusal and no permission: 503, and nothing is remembered', async () => {
    let reply: () => Response | Promise<Response> = () => Promise.reject(new TypeError('fetch failed'));
    const { tokens } = keystone(() => reply());
    await using test = await TestApi.open({
      tokens: (own) => ({ check: async (token) => (await own.check(token)) ?? tokens.check(token) }),
    });
    assert.equal((await test.call('GET', '/v1/environments', { token: 't' })).status, 503);
    assert.equal((await test.call('GET', '/v1/environments')).status, 200);
    reply = () => Response.json({}, { status: 500 });
    assert.equal((await test.call('GET', '/v1/environments', { token: 't' })).status, 503);
    reply = () => Response.json(answer());
    assert.equal((await test.call('GET', '/v1/environments', { token: 't' })).status, 200);
  });
});
