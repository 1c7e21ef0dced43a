import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readOptions } from '../src/options.js';
import { openStore } from '../src/database/store.js';
import { sql } from 'kysely';
import { TestApi, stagedShop } from './support/test-api.js';

describe('a wrong order', () => {
  it('for an unknown package names it and the cure', async () => {
    await using test = await TestApi.open();
    const shop = await stagedShop(test);
    const headers = { 'x-configuration-session': shop.session };
    const post = (type: string) =>
      test.call('POST', `/v1/environments/${shop.environment}/services`, { body: { '?': { type } }, headers });
    const unknown = await post('io.torcello.Nothing');
    assert.deepEqual([unknown.status, unknown.body.error.code], [400, 'unknown_package']);
    assert.match(unknown.body.error.message, /no package io\.torcello\.Nothing \(torcello package import/);
    assert.match((await post('io.torcello.Web@9.9.9')).body.error.message, /of io\.torcello\.Web there is 1\.0\.0/);
    for (const type of ['io.torcello.Web', 'io.torcello.Web/1.0.0', 'io.torcello.Web@1.0'])
      assert.equal((await post(type)).status, 200, type);
  });

  it('without enough machines names the command that cures it, and leaves nothing behind', async () => {
    await using test = await TestApi.open();
    const shop = await stagedShop(test);
    await test.call('DELETE', `/v1/machines/${shop.machines[0]?.id}`);
    const { status, body } = await test.call(
      'POST',
      `/v1/environments/${shop.environment}/sessions/${shop.session}/deploy`,
    );
    assert.deepEqual([status, body.error.code], [409, 'machines_unfit']);
    assert.match(
      body.error.message,
      /needs 1 machine of the role web, shop has 0 \(torcello machine add shop --role web --count 1\)/,
    );
    assert.deepEqual((await test.call('GET', '/v1/deployments')).body.deployments, []);
    assert.equal((await test.call('GET', '/healthz')).body.lettersWaiting, 0);
  });

  it('with a session that is stale or missing is refused', async () => {
    await using test = await TestApi.open();
    const shop = await stagedShop(test);
    const deploy = `/v1/environments/${shop.environment}/sessions/${shop.session}/deploy`;
    const missing = await test.call('POST', `/v1/environments/${shop.environment}/services`, {
      body: { '?': { type: 'io.torcello.Web' } },
    });
    assert.deepEqual([missing.status, missing.body.error.code], [400, 'session_missing']);
    assert.equal((await test.call('POST', deploy)).status, 200);
    assert.equal((await test.call('POST', deploy)).status, 403);
    assert.equal((await test.call('POST', `/v1/environments/${shop.environment}/configure`)).status, 403);
    assert.equal((await test.call('DELETE', `/v1/environments/${shop.environment}`)).status, 409);
    await test.call('DELETE', `/v1/environments/${shop.environment}?abandon=True`);
    assert.equal((await test.call('GET', `/v1/environments/${shop.environment}`)).status, 404);
  });

  const names: readonly (readonly [unknown, number])[] = [
    ['ok-1', 200],
    ['', 400],
    [undefined, 400],
    [5, 400],
    ['../x', 400],
    ['a b', 400],
    ['x'.repeat(128), 200],
    ['x'.repeat(129), 400],
    ['0123456789abcdef0123456789abcdef', 400],
  ];
  it('for an environment with a name that cannot be is refused', async () => {
    await using test = await TestApi.open();
    for (const [name, status] of names)
      assert.equal((await test.call('POST', '/v1/environments', { body: { name } })).status, status, String(name));
    assert.equal((await test.call('POST', '/v1/environments', { body: { name: 'ok-1' } })).status, 409);
  });

  const machines: readonly (readonly [unknown, number])[] = [
    [{ role: 'web', count: 2 }, 201],
    [{ role: 'web', names: ['web-1'] }, 409],
    [{ role: 'web', names: ['a', 'a'] }, 400],
    [{ role: 'web', names: ['../a'] }, 400],
    [{ role: 'web', names: ['a', 'b'], count: 3 }, 400],
    [{ role: 'Web!' }, 400],
    [{ role: 'web', count: 0 }, 400],
    [{ role: 'web', count: 5_001 }, 413],
    [{ role: 'web', cuont: 1 }, 400],
    [{}, 400],
  ];
  it('for machines that cannot be is refused', async () => {
    await using test = await TestApi.open();
    await test.call('POST', '/v1/environments', { body: { name: 'lab' } });
    for (const [body, status] of machines) {
      const answer = await test.call('POST', '/v1/environments/lab/machines', { body });
      assert.equal(answer.status, status, JSON.stringify(body));
      if (status >= 400) assert.equal(answer.body.status, status);
    }
    const { body } = await test.call('POST', '/v1/environments/lab/machines', { body: { role: 'web' } });
    assert.deepEqual([body.machines[0].name, body.machines[0].index], ['web-3', 2]);
    assert.equal((await test.call('GET', '/v1/environments/lab/machines')).body.machines.length, 3);
  });

  it('that is no JSON, or no known type, or at no known address, is refused in the right shape', async () => {
    await using test = await TestApi.open();
    const broken = await test.api.server.inject({
      method: 'POST',
      url: '/v1/environments',
      payload: '{"name":',
      headers: { 'content-type': 'application/json', 'x-auth-token': test.api.secrets.adminToken },
    });
    assert.equal(broken.statusCode, 400);
    assert.equal((broken.json() as { error: { code: string } }).error.code, 'invalid_request');
    const typed = await test.api.server.inject({
      method: 'POST',
      url: '/v1/environments',
      payload: 'name',
      headers: { 'content-type': 'text/plain', 'x-auth-token': test.api.secrets.adminToken },
    });
    assert.equal(typed.statusCode, 415);
    const nowhere = await test.call('GET', '/v1/nothing');
    assert.deepEqual([nowhere.status, nowhere.body.code], [404, 'not_found']);
  });
});

describe('the command line', () => {
  const good = ['--data', 'd', '--listen', '127.0.0.1:0', '--transport', 'amqp://h/'];
  const table: readonly (readonly [readonly string[], string | undefined])[] = [
    [good, undefined],
    [good.slice(2), 'USAGE'],
    [good.slice(0, 4), 'USAGE'],
    [[...good.slice(0, 2), '--listen', '0.0.0.0:1', '--transport', 'x'], 'ADDRESS_REFUSED'],
    [[...good.slice(0, 2), '--listen', '192.0.2.1:80', '--transport', 'x'], 'ADDRESS_REFUSED'],
    [[...good.slice(0, 2), '--listen', '[::1]:0', '--transport', 'x'], undefined],
    [[...good.slice(0, 2), '--listen', '127.0.0.1', '--transport', 'x'], 'USAGE'],
    [[...good.slice(0, 2), '--listen', '127.0.0.1:70000', '--transport', 'x'], 'USAGE'],
    [[...good, '--colour'], 'USAGE'],
    [[...good, 'more'], 'USAGE'],
    [[...good, '--lease-ms', '1'], 'USAGE'],
    [[...good, '--unknown-after-missed', '3', '--lost-after-missed', '4'], undefined],
    [[...good, '--unknown-after-missed', '0'], 'USAGE'],
    [[...good, '--unknown-after-missed', '10'], 'USAGE'],
    [[...good, '--lost-after-missed', '2'], 'USAGE'],
    [[...good, '--lost-after-missed', 'never'], 'USAGE'],
    [[...good, '--keep-output', '7d', '--keep-history', '90d'], undefined],
    [[...good, '--keep-output', '1s'], 'USAGE'],
    [[...good, '--keep-history', 'forever'], 'USAGE'],
  ];
  it('is checked', () => {
    for (const [args, code] of table) {
      if (code === undefined) assert.ok(readOptions(args, {}));
      else assert.throws(() => readOptions(args, {}), { code }, args.join(' '));
    }
    assert.equal(readOptions(good.slice(0, 4), { TORCELLO_TRANSPORT: 'amqp://env/' })?.transport, 'amqp://env/');
    assert.equal(readOptions(['--help'], {}), undefined);
  });

  const run = (args: readonly string[]): Promise<{ code: number | null; stderr: string; stdout: string }> =>
    new Promise((resolve) => {
      const program =
        'const { main } = await import("@torcello/api"); process.exitCode = await main(process.argv.slice(1), process.env);';
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', '--conditions=source', '--input-type=module', '-e', program, '--', ...args],
        { cwd: import.meta.dirname },
      );
      const read = { stderr: '', stdout: '' };
      child.stderr.on('data', (part: Buffer) => (read.stderr += part.toString()));
      child.stdout.on('data', (part: Buffer) => (read.stdout += part.toString()));
      child.on('close', (code) => resolve({ code, ...read }));
    });

  it('gives one clear line and exit code 1 when the program cannot start', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'torcello-start-'));
    const taken = net.createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as net.AddressInfo;
    const base = ['--transport', 'amqp://127.0.0.1:1/', '--listen'];
    const inUse = await run([...base, `127.0.0.1:${port}`, '--data', path.join(folder, 'a')]);
    assert.deepEqual([inUse.code, inUse.stdout], [1, '']);
    assert.equal(
      inUse.stderr,
      `torcello-api: 127.0.0.1:${port} is taken; stop what listens there, or take another port with --listen\n`,
    );
    taken.close();
    fs.writeFileSync(path.join(folder, 'file'), '');
    const unusable = await run([...base, '127.0.0.1:0', '--data', path.join(folder, 'file')]);
    assert.equal(unusable.code, 1);
    assert.match(
      unusable.stderr,
      /^torcello-api: the data folder .* cannot be made or written; take another one with --data\n$/,
    );
    fs.mkdirSync(path.join(folder, 'newer'));
    const store = await openStore(path.join(folder, 'newer'));
    await sql`insert into kysely_migration values ('9999_future', '2030-01-01')`.execute(store.db);
    await store.close();
    const newer = await run([...base, '127.0.0.1:0', '--data', path.join(folder, 'newer')]);
    assert.equal(newer.code, 1);
    assert.match(
      newer.stderr,
      /^torcello-api: .* was written by a newer release \(9999_future\); start that release, or take another --data folder\n$/,
    );
    fs.rmSync(folder, { recursive: true, force: true });
  });
});
