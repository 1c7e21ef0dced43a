import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { packageZip, stagedShop, TestApi, type Answer } from './support/test-api.js';

interface Operation {
  readonly method: string;
  readonly path: string;
}

async function operations(test: TestApi): Promise<readonly Operation[]> {
  const { body } = await test.call('GET', '/v1/openapi.json');
  return Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
  );
}

const muranoPath = /^\/v1\/(environments|deployments$|catalog|templates|actions|schemas|stats)/;
/** Ours: problem details, which Murano's client never sees. */
const ours = /\/machines|\/sessions$/;

async function send(
  test: TestApi,
  { method, path }: Operation,
  options: { readonly token?: string | null; readonly body?: string; readonly ids?: string },
): Promise<Answer> {
  const { token = test.api.secrets.adminToken, body, ids = 'f'.repeat(32) } = options;
  const hasBody = method !== 'GET' && method !== 'DELETE' && body !== undefined;
  const response = await test.api.server.inject({
    method: method as 'GET',
    url: path.replaceAll(/\{[^}]+\}|\*/g, ids),
    headers: {
      ...(token === null ? {} : { 'x-auth-token': token }),
      ...(hasBody ? { 'content-type': 'application/json' } : {}),
    },
    ...(hasBody ? { payload: body } : {}),
  });
  const { statusCode: status, headers, body: text } = response;
  const isJson = String(headers['content-type'] ?? '').startsWith('application/json');
  return { status, headers, text, body: isJson && text !== '' ? JSON.parse(text) : undefined };
}

describe('every route of Murano', () => {
  it('is there, asks for a token and never answers 500 nor a form that the client cannot read', async () => {
    await using test = await TestApi.open();
    const all = (await operations(test)).filter(({ path }) => muranoPath.test(path) && !ours.test(path));
    assert.ok(all.length > 40, `${all.length} operations`);
    const bodies = ['', '{}', '[]', 'null', '5', '"x"', '{"name":5}', '[{"op":"add"}]', '{not json', '{"?":[]}'];
    for (const operation of all) {
      const what = `${operation.method} ${operation.path}`;
      for (const token of [null, 'wrong']) {
        const { status } = await send(test, operation, { token });
        assert.equal(status, 401, what);
      }
      for (const body of bodies) {
        for (const ids of ['f'.repeat(32), '%00', '..%2f..', '__proto__', "'; drop table environments; --"]) {
          const { status, body: told, text } = await send(test, operation, { body, ids: encodeURI(decodeURI(ids)) });
          assert.ok(status < 500, `${what} ${body} ${ids}: ${status} ${text}`);
          if (status >= 400 && told !== undefined) {
            const values = Object.values(told as object);
            assert.ok(
              values.every((value) => typeof value === 'object' && value !== null),
              `${what}: ${text}`,
            );
          }
        }
      }
    }
  });
});

describe('Murano', () => {
  it('patches the staged model only in a session, and nothing but services', async () => {
    await using test = await TestApi.open();
    const { environment, session } = await stagedShop(test);
    const url = `/v1/environments/${environment}/model/`;
    const patch = async (changes: unknown, headers: Record<string, string> = {}): Promise<number> => {
      const type = { 'content-type': 'application/env-model-json-patch', 'x-auth-token': test.api.secrets.adminToken };
      const all = { ...type, ...headers };
      const sent = { method: 'PATCH', url, headers: all, payload: JSON.stringify(changes) } as const;
      return (await test.api.server.inject(sent)).statusCode;
    };
    const header = { 'x-configuration-session': session };
    const port = { op: 'add', path: '/services/0/port', value: 9000 };
    assert.equal(await patch([port]), 400);
    assert.equal(await patch([port], header), 200);
    assert.equal(await patch([{ op: 'replace', path: '/services/7/port', value: 1 }], header), 400);
    assert.equal(await patch([{ op: 'replace', path: '/?/id', value: 'x' }], header), 400);
    assert.equal(await patch([{ op: 'move', path: '/services' }], header), 400);
    const staged = await test.call('GET', `/v1/environments/${environment}/model/services/web/port`, {
      headers: header,
    });
    assert.deepEqual(staged.body, 9000);
    const deployed = await test.call('GET', `/v1/environments/${environment}/model/services`);
    assert.deepEqual(deployed.body, []);
  });

  it('tells the reports of a deployment to its own environment and by service', async () => {
    await using test = await TestApi.open();
    const { environment, session } = await stagedShop(test);
    const { headers } = await test.call('POST', `/v1/environments/${environment}/sessions/${session}/deploy`);
    const deployment = String(headers['x-torcello-deployment']);
    const { body: other } = await test.call('POST', '/v1/environments', { body: { name: 'other' } });
    const url = `/v1/environments/${environment}/deployments/${deployment}`;
    assert.equal((await test.call('GET', url)).status, 200);
    assert.deepEqual((await test.call('GET', `${url}?service_id=nobody?service_id=else`)).body, { reports: [] });
    assert.equal((await test.call('GET', `/v1/environments/${other.id}/deployments/${deployment}`)).status, 404);
  });

  it('gives packages a page at a time, by every filter', async () => {
    await using test = await TestApi.open();
    for (const name of ['A', 'B', 'C']) {
      const manifest = `Format: Torcello/1.0\nType: Application\nFullName: io.t.${name}\nName: N${name}\nVersion: 1.0.0\nTags: [t${name}]\n`;
      await test.call('POST', '/v1/catalog/packages', { body: packageZip({ 'manifest.yaml': manifest }) });
    }
    const names = async (query: string): Promise<{ readonly names: readonly string[]; readonly next?: string }> => {
      const { body } = await test.call('GET', `/v1/catalog/packages?${query}`);
      return { names: (body.packages as { name: string }[]).map(({ name }) => name), next: body.next_marker };
    };
    const first = await names('limit=2');
    assert.deepEqual(first.names, ['NA', 'NB']);
    assert.deepEqual(await names(`limit=2&marker=${first.next}`), { names: ['NC'], next: undefined });
    assert.deepEqual((await names('sort_dir=desc&order_by=name')).names, ['NC', 'NB', 'NA']);
    assert.deepEqual((await names('tag=in:tA,tC')).names, ['NA', 'NC']);
    assert.deepEqual((await names('class_name=io.t.B')).names, ['NB']);
    for (const wrong of ['limit=0', 'sort_dir=up'])
      assert.equal((await test.call('GET', `/v1/catalog/packages?${wrong}`)).status, 400, wrong);
    assert.equal((await test.call('GET', '/v1/catalog/packages?marker=lost')).status, 404);
    assert.deepEqual((await names('type=application&limit=1')).names, ['NA']);
  });

  it('finds packages by any of the words, those with the word in their name first', async () => {
    await using test = await TestApi.open();
    const add = async (name: string, description: string): Promise<void> => {
      const manifest = `Format: Torcello/1.0\nType: Application\nFullName: io.t.${name}\nName: ${name}\nVersion: 1.0.0\nDescription: ${description}\n`;
      await test.call('POST', '/v1/catalog/packages', { body: packageZip({ 'manifest.yaml': manifest }) });
    };
    await add('Alpha', 'Works with a zebra and a lion');
    await add('Zebra', 'Stripes');
    await add('Lion', 'A mane');
    const found = async (search: string): Promise<readonly string[]> => {
      const { body } = await test.call('GET', `/v1/catalog/packages?search=${encodeURIComponent(search)}`);
      return (body.packages as { name: string }[]).map(({ name }) => name);
    };
    assert.deepEqual(await found('zebra'), ['Zebra', 'Alpha']);
    assert.deepEqual(await found('zebra,lion'), ['Lion', 'Zebra', 'Alpha']);
    assert.deepEqual(await found('lion zebra'), []);
    assert.deepEqual(await found('a lion'), ['Alpha']);
  });

  it('gives categories a page at a time', async () => {
    await using test = await TestApi.open();
    const page = async (query: string): Promise<Answer['body']> =>
      (await test.call('GET', `/v1/catalog/categories?${query}`)).body;
    const names = (body: Answer['body']): readonly string[] => body.categories.map((one: { name: string }) => one.name);
    const first = await page('limit=2&sort_keys=name&sort_dir=desc');
    assert.deepEqual(names(first), ['Web', 'SAP']);
    const next = await page(`limit=2&sort_keys=name&sort_dir=desc&marker=${first.next_marker}`);
    assert.deepEqual(names(next), ['Microsoft Services', 'Message Queue']);
    assert.equal((await page('')).categories.length, 9);
    for (const wrong of ['limit=0', 'limit=x', 'sort_dir=up', 'sort_keys=colour'])
      assert.equal((await test.call('GET', `/v1/catalog/categories?${wrong}`)).status, 400, wrong);
    assert.equal((await test.call('GET', '/v1/catalog/categories?marker=lost')).status, 404);
  });

  it('answers with nothing for a picture or form that a package lacks', async () => {
    await using test = await TestApi.open();
    const { body } = await test.call('POST', '/v1/catalog/packages', { body: packageZip() });
    for (const part of ['ui', 'logo', 'supplier_logo']) {
      const { status, text } = await test.call('GET', `/v1/catalog/packages/${body.id}/${part}`);
      assert.deepEqual([status, text], [200, ''], part);
    }
    assert.equal((await test.call('GET', `/v1/catalog/packages/${'f'.repeat(32)}/logo`)).status, 404);
  });

  it('keeps the description of an environment, and tells its versions to who asks for another', async () => {
    await using test = await TestApi.open();
    const made = await test.call('POST', '/v1/environments', { body: { name: 'shop', description_text: 'for tests' } });
    assert.equal(made.body.description_text, 'for tests');
    assert.equal((await test.call('GET', '/v1/environments/shop')).body.description_text, 'for tests');
    const wrong = await test.call('POST', '/v1/environments', { body: { name: 'other', description_text: 5 } });
    assert.equal(wrong.status, 400);
    for (const url of ['/v2/environments', '/v3', '/v1.1/environments']) {
      const { status, body } = await test.call('GET', url);
      assert.deepEqual([status, body?.versions?.[0]?.id], [300, 'v1.0'], url);
    }
    assert.equal((await test.call('GET', '/v1/lost')).body.code, 'not_found');
    const slashed = await test.call('GET', '/v1/catalog/packages//some/file.zip/download');
    assert.deepEqual([slashed.status, slashed.body.error.code], [404, 'not_found']);
    assert.equal((await test.call('GET', '/other')).status, 404);
  });
});
