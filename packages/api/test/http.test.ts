import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TestApi, deployShop, packageZip, stagedShop } from './support/test-api.js';

interface OpenApiOperation {
  readonly summary?: string;
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
}

describe('the API over HTTP, without a broker', () => {
  it('takes environment, session, service and deployment, and keeps the deployment queued', async () => {
    await using test = await TestApi.open();
    const { deployment, environment } = await deployShop(test, { machines: 2 });
    const { body } = await test.call('GET', `/v1/deployments/${deployment}`);
    assert.equal(body.state, 'queued');
    assert.equal(body.waitsFor, 'the return of the broker');
    assert.equal((await test.call('GET', `/v1/environments/${environment}`)).body.status, 'deploying');
    assert.equal((await test.call('GET', '/healthz', { token: null })).body.broker, 'away');
    const events = (await test.call('GET', `/v1/deployments/${deployment}/events`)).body.events;
    assert.deepEqual(
      events.map((entry: { event: { type: string; stages: unknown[] } }) => entry.event.type),
      ['accepted'],
    );
    assert.equal(events[0].event.stages[0].name, 'web/web');
    assert.equal(events[0].event.stages[0].machines.length, 2);
  });

  it('answers versions with 300 and refuses every closed route without a token', async () => {
    await using test = await TestApi.open();
    assert.equal((await test.call('GET', '/', { token: null })).status, 300);
    const open = new Set(['GET /', 'GET /healthz', 'GET /agent.mjs', 'GET /install.sh', 'POST /v1/join']);
    const { body: description } = await test.call('GET', '/v1/openapi.json');
    let closed = 0;
    for (const [url, methods] of Object.entries(description.paths as Record<string, Record<string, unknown>>)) {
      for (const method of Object.keys(methods)) {
        const path = url.replaceAll(/\{[^}]+\}/g, '0'.repeat(32));
        const name = `${method.toUpperCase()} ${url}`;
        const { status } = await test.call(method.toUpperCase() as 'GET', path, { token: null });
        const wrong = await test.call(method.toUpperCase() as 'GET', path, { token: 'tcadmin1_wrong' });
        if (open.has(name)) continue;
        closed += 1;
        assert.equal(status, 401, `${name} without a token`);
        assert.equal(wrong.status, 401, `${name} with a wrong token`);
      }
    }
    assert.ok(closed >= 30, `${closed} closed routes`);
  });

  it('refuses a wrong property with its path', async () => {
    await using test = await TestApi.open();
    const shop = await stagedShop(test);
    const put = await test.call('PUT', `/v1/environments/${shop.environment}/services`, {
      body: [{ '?': { type: 'io.torcello.Web', id: 'web' }, port: 80, colour: 'red' }],
      headers: { 'x-configuration-session': shop.session },
    });
    assert.equal(put.status, 400);
    assert.match(put.body.error.message, /\/port must be >= 1024/);
    assert.match(put.body.error.message, /additional properties \(colour\)/);
    assert.equal(put.body.error.code, 'invalid_property');
    const slash = await test.call('PUT', `/v1/environments/${shop.environment}/services/`, {
      body: [{ '?': { type: 'io.torcello.Web', id: 'web', status: 'pending' }, port: 8080 }],
      headers: { 'x-configuration-session': shop.session },
    });
    assert.equal(slash.status, 200, slash.text);
    const port = await test.call('GET', `/v1/environments/${shop.environment}/services/web/port`, {
      headers: { 'x-configuration-session': shop.session },
    });
    assert.equal(port.body, 8080);
  });

  it('serves an OpenAPI description of every route', async () => {
    await using test = await TestApi.open();
    const { body } = await test.call('GET', '/v1/openapi.json');
    assert.equal(body.openapi, '3.1.0');
    assert.ok(body.paths['/v1/deployments/{d}/events']);
    assert.ok(body.paths['/v1/environments/{e}/sessions/{s}/deploy']);
    for (const [url, methods] of Object.entries(body.paths as Record<string, Record<string, OpenApiOperation>>)) {
      for (const [method, operation] of Object.entries(methods)) {
        const wanted = [...url.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
        const named = (operation.parameters ?? []).filter((one) => one.in === 'path').map((one) => one.name);
        assert.deepEqual(new Set(named), new Set(wanted), `${method} ${url}`);
        assert.ok(Object.keys(operation.responses).length > 0, `${method} ${url}`);
        assert.ok(operation.summary, `${method} ${url}`);
      }
    }
  });
});

describe('packages', () => {
  it('are stored as they came, once', async () => {
    await using test = await TestApi.open();
    const first = await test.call('POST', '/v1/catalog/packages', { body: packageZip() });
    const again = await test.call('POST', '/v1/catalog/packages', { body: packageZip() });
    assert.equal(first.status, 200);
    assert.equal(again.body.id, first.body.id);
    const other = await test.call('POST', '/v1/catalog/packages', {
      body: packageZip({ 'scripts/start.sh': 'other' }),
    });
    assert.equal(other.status, 409);
    assert.equal(other.body.error.code, 'package_exists');
    assert.equal((await test.call('GET', '/v1/catalog/packages')).body.packages.length, 1);
  });
});
