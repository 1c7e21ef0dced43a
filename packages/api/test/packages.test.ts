import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { limits } from '@torcello/contracts';
import { zipSync } from 'fflate';
import { compareVersions, normalizeVersion } from '../src/packages/versions.js';
import { TestApi, deployShop, packageZip, webApplication } from './support/test-api.js';

const manifest = 'Format: Torcello/1.0\nType: Application\nFullName: io.torcello.Web\nName: Web\n';

/** A zip with one entry whose attributes say that it is a symbolic link. */
function zipWithLink(): Uint8Array {
  return zipSync({ 'manifest.yaml': [Buffer.from(manifest), { os: 3, attrs: (0o120777 << 16) >>> 0 }] });
}

function zipWithName(name: string): Uint8Array {
  return zipSync({ [name]: Buffer.from('x'), 'manifest.yaml': Buffer.from(manifest) });
}

const wrong: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ['bytes that are no archive', Buffer.from('hello'), /no usable zip archive/],
  ['an archive that ends too early', packageZip().subarray(0, 200), /no usable zip archive/],
  ['no manifest', packageZip({ 'manifest.yaml': null }), /no manifest\.yaml/],
  ['no application', packageZip({ 'application.yaml': null }), /no application\.yaml/],
  ['a manifest that is no YAML', packageZip({ 'manifest.yaml': 'a: [' }), /manifest\.yaml is no YAML/],
  [
    'a manifest without its name',
    packageZip({ 'manifest.yaml': 'Format: Torcello/1.0\nType: Application\nName: x\n' }),
    /FullName/,
  ],
  [
    'a name that is no class name',
    packageZip({ 'manifest.yaml': manifest.replace('io.torcello.Web', '../etc') }),
    /\/FullName/,
  ],
  [
    'a format of the future',
    packageZip({ 'manifest.yaml': manifest.replace('Torcello/1.0', 'Torcello/2.0') }),
    /knows the format Torcello\/1\.0/,
  ],
  ['a script that is missing', packageZip({ 'scripts/start.sh': null }), /scripts\/start\.sh/],
  [
    'properties that are no schema',
    packageZip({ 'application.yaml': webApplication.replace('type: object', 'type: objekt') }),
    /no JSON Schema/,
  ],
  ['an unknown role', packageZip({ 'application.yaml': webApplication.replace('role: web', 'role: db') }), /role "db"/],
  [
    'YAML that unfolds without end',
    packageZip({
      'application.yaml': `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n`,
    }),
    /application\.yaml/,
  ],
  ['a path that leaves the archive', zipWithName('../evil'), /no usable zip archive/],
  ['an absolute path', zipWithName('/etc/evil'), /no usable zip archive/],
  ['a link', zipWithLink(), /neither file nor folder/],
  [
    'too many files',
    zipSync(
      Object.fromEntries(
        Array.from({ length: limits.packageEntriesMax.value + 1 }, (_, n) => [`f${n}`, new Uint8Array(0)]),
      ),
      { level: 0 },
    ),
    /more than 10000 files/,
  ],
  [
    'too much when unpacked',
    zipSync(Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`f${n}`, new Uint8Array(10_000_000)]))),
    /more than 52428800 bytes/,
  ],
];

describe('a package', () => {
  for (const [says, archive, message] of wrong) {
    it(`with ${says} is refused in one line, and nothing is stored`, async () => {
      await using test = await TestApi.open();
      const { status, body } = await test.call('POST', '/v1/catalog/packages', { body: archive });
      assert.ok(status === 400 || status === 413, `${status}`);
      assert.match(body.error.message, message);
      assert.ok(!body.error.message.includes('\n'));
      assert.deepEqual((await test.call('GET', '/v1/catalog/packages')).body.packages, []);
    });
  }

  it('over its limit is refused before it is read', async () => {
    await using test = await TestApi.open();
    const { status, body } = await test.call('POST', '/v1/catalog/packages', {
      body: new Uint8Array(limits.packageBytesMax.value + 1),
    });
    assert.deepEqual([status, body.error.code], [413, 'too_large']);
  });

  it('comes as a form, as the murano client sends it', async () => {
    await using test = await TestApi.open();
    const boundary = 'b0undary';
    const part = (head: string, body: Uint8Array): Buffer =>
      Buffer.concat([Buffer.from(`--${boundary}\r\n${head}\r\n\r\n`), body, Buffer.from('\r\n')]);
    const payload = Buffer.concat([
      part('Content-Disposition: form-data; name="__metadata__"', Buffer.from('{"is_public": false}')),
      part('Content-Disposition: form-data; name="io.torcello.Web"; filename="io.torcello.Web"', packageZip()),
      Buffer.from(`--${boundary}--\r\n`),
    ]);
    const response = await test.api.server.inject({
      method: 'POST',
      url: '/v1/catalog/packages',
      payload,
      headers: {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        'x-auth-token': test.api.secrets.adminToken,
      },
    });
    assert.equal(response.statusCode, 200, response.body);
    assert.equal((response.json() as { fully_qualified_name: string }).fully_qualified_name, 'io.torcello.Web');
  });

  it('of MuranoPL is stored and listed, and its deployment refused', async () => {
    await using test = await TestApi.open();
    const archive = packageZip({
      'manifest.yaml':
        'Format: 1.0\nType: Application\nFullName: io.murano.Old\nName: Old\nClasses: {io.murano.Old: Old.yaml}\n',
      'application.yaml': null,
    });
    const { body } = await test.call('POST', '/v1/catalog/packages', { body: archive });
    assert.deepEqual(body.class_definitions, ['io.murano.Old']);
    const { body: environment } = await test.call('POST', '/v1/environments', { body: { name: 'old' } });
    const { body: session } = await test.call('POST', `/v1/environments/${environment.id}/configure`);
    const added = await test.call('POST', `/v1/environments/${environment.id}/services`, {
      body: { '?': { type: 'io.murano.Old' } },
      headers: { 'x-configuration-session': session.id },
    });
    assert.deepEqual([added.status, added.body.error.code], [400, 'package_not_runnable']);
  });

  it('can be fetched with the token of a deployment that uses it, and with no other', async () => {
    await using test = await TestApi.open();
    const { deployment } = await deployShop(test);
    const [used] = (await test.call('GET', '/v1/catalog/packages')).body.packages;
    const { body: other } = await test.call('POST', '/v1/catalog/packages', {
      body: packageZip({ 'manifest.yaml': manifest.replace('Web', 'Other') }),
    });
    const token = test.api.secrets.filesToken(deployment);
    const fetched = await test.call('GET', `/v1/catalog/packages/${used.id}/download`, { token });
    assert.equal(fetched.status, 200);
    assert.equal((await test.call('GET', `/v1/catalog/packages/${other.id}/download`, { token })).status, 401);
    assert.equal((await test.call('GET', `/v1/catalog/packages/${used.id}`, { token })).status, 401);
    assert.equal(
      (await test.call('GET', `/v1/catalog/packages/${used.id}/download`, { token: `${token.slice(0, -2)}xx` })).status,
      401,
    );
  });

  it('in use is not deleted', async () => {
    await using test = await TestApi.open();
    await deployShop(test);
    const [used] = (await test.call('GET', '/v1/catalog/packages')).body.packages;
    const { status, body } = await test.call('DELETE', `/v1/catalog/packages/${used.id}`);
    assert.deepEqual([status, body.error.code], [409, 'package_in_use']);
  });
});

describe('versions', () => {
  it('are compared by value', () => {
    const sorted = ['0.9', '1', '1.0.1-rc.2', '1.0.1-rc.10', '1.0.1', '1.0.10', '2'];
    assert.deepEqual(sorted.toReversed().toSorted(compareVersions), sorted);
    assert.equal(compareVersions('1', '1.0.0'), 0);
    assert.deepEqual(['1', '1.2', '1.2.3', '1-rc'].map(normalizeVersion), ['1.0.0', '1.2.0', '1.2.3', '1.0.0-rc']);
  });
});
