import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Api, KeystoneTokens, sharedAccounts } from '@torcello/api';
import { silentLogger, systemClock, systemRandom } from '@torcello/platform';
import { run, temporaryFolder } from '@torcello/test-support';
import type { Running } from '@torcello/test-support';
import { root } from './tidy/sources.js';

/** Debian's real Keystone, on SQLite, as the one who knows tenants and tokens. */

const missing = existsSync('/usr/lib/python3/dist-packages/keystone')
  ? undefined
  : 'Keystone is not installed (apt-get install python3-keystone)';
if (missing !== undefined) console.error(`NOT TESTED with the real Keystone: ${missing}`);

// oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers freely
type Answer = any;

/** Remembered answers end so soon that a test can wait for it. */
const cacheMs = 100;

describe('tokens of the real Keystone', { skip: missing ?? false }, () => {
  const folder = temporaryFolder('keystone');
  let keystone: Running;
  let identity = '';
  let api: Api;
  let url = '';
  const tokens: Record<string, string> = {};

  before(async () => {
    const script = path.join(root, 'tests/python/keystone_on_sqlite.py');
    keystone = run('/usr/bin/python3', [script, path.join(folder.path)]);
    const ready = JSON.parse(await keystone.line((line) => line.startsWith('{"ready"'))) as { port: number };
    identity = `http://127.0.0.1:${ready.port}/v3`;
    const admin = await login({ user: 'admin', password: 'only-for-a-test', project: 'admin' });
    tokens['admin'] = admin.token;
    for (const tenant of ['red', 'blue']) {
      const projectId = await made(admin.token, 'project', { name: tenant, domain_id: 'default' });
      const user = { name: `${tenant}-user`, password: 'pw-of-a-test', domain_id: 'default' };
      const userId = await made(admin.token, 'user', user);
      await ask('PUT', `/projects/${projectId}/users/${userId}/roles/${admin.memberRole}`, { token: admin.token });
      tokens[tenant] = (await login({ user: user.name, password: user.password, project: tenant })).token;
      tokens[`${tenant} project`] = projectId;
    }
    const checks = new KeystoneTokens({ url: identity, clock: systemClock, logger: silentLogger, cacheMs });
    api = await Api.open({
      dataDirectory: path.join(folder.path),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      accounts: () => sharedAccounts('memory://agents/'),
      planKey: () => undefined,
      tokens: (own) => ({ check: async (token) => (await own.check(token)) ?? checks.check(token) }),
    });
    url = await api.listen({ host: '127.0.0.1', port: 0 });
  });

  after(async () => {
    await api?.stop();
    await keystone?.stop('SIGKILL');
    folder.remove();
  });

  async function ask(
    method: string,
    route: string,
    options: { readonly token?: string; readonly subject?: string; readonly body?: unknown } = {},
  ): Promise<{ readonly status: number; readonly headers: Headers; readonly body: Answer }> {
    const { token, subject, body } = options;
    const response = await fetch(`${identity}${route}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { 'x-auth-token': token }),
        ...(subject === undefined ? {} : { 'x-subject-token': subject }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.ok(response.status < 400, `${method} ${route}: ${response.status} ${text}`);
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  }

  async function made(token: string, kind: 'project' | 'user', fields: object): Promise<string> {
    const { body } = await ask('POST', `/${kind}s`, { token, body: { [kind]: fields } });
    return String(body[kind].id);
  }

  async function login(of: { readonly user: string; readonly password: string; readonly project: string }) {
    const domain = { id: 'default' };
    const auth = {
      identity: { methods: ['password'], password: { user: { name: of.user, domain, password: of.password } } },
      scope: { project: { name: of.project, domain } },
    };
    const { headers, body } = await ask('POST', '/auth/tokens', { body: { auth } });
    const memberRole = String(body.token.roles.find((role: { name: string }) => role.name === 'member')?.id);
    return { token: headers.get('x-subject-token') ?? '', memberRole };
  }

  async function call(method: string, route: string, token: string, body?: unknown) {
    const response = await fetch(`${url}${route}`, {
      method,
      headers: { 'x-auth-token': token, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: JSON.parse((await response.text()) || 'null') as Answer };
  }

  test('a project is a tenant: each sees its own, an administrator everything', async () => {
    const [red = '', blue = '', admin = ''] = [tokens['red'], tokens['blue'], tokens['admin']];
    const made = await call('POST', '/v1/environments', red, { name: 'shop' });
    assert.equal(made.body.tenant_id, tokens['red project']);
    assert.equal((await call('POST', '/v1/environments', blue, { name: 'shop' })).status, 200);
    assert.equal((await call('GET', '/v1/environments', red)).body.environments.length, 1);
    assert.equal((await call('GET', `/v1/environments/${made.body.id}`, blue)).status, 404);
    assert.equal((await call('GET', '/v1/environments', admin)).body.environments.length, 2);
    assert.equal((await call('GET', '/v1/environments', 'gAAAAAnonsense')).status, 401);
  });

  test('a token that is revoked in Keystone opens nothing any more', async () => {
    const blue = tokens['blue'] ?? '';
    assert.equal((await call('GET', '/v1/environments', blue)).status, 200);
    await ask('DELETE', '/auth/tokens', { token: blue, subject: blue });
    let status = 200;
    for (let tries = 0; status === 200 && tries < 300; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, cacheMs));
      ({ status } = await call('GET', '/v1/environments', blue));
    }
    assert.equal(status, 401);
  });

  test('without Keystone a token is not known, and the API’s own still is', async () => {
    await keystone.stop('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 2 * cacheMs));
    assert.equal((await call('GET', '/v1/environments', tokens['red'] ?? '')).status, 503);
    assert.equal((await call('GET', '/v1/environments', api.secrets.adminToken)).status, 200);
  });
});
