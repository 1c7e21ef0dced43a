import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { DeploymentModel, DeploymentService } from '@torcello/contracts';
import { unpackArchive } from '../src/packages/archive.js';
import { type Download, httpDownload } from '../src/packages/download.js';
import { PackageStore } from '../src/packages/package-store.js';
import { makeGate } from './support/gate.js';
import { zip } from './support/zip.js';

const never = new AbortController().signal;
const bounds = { entriesMax: 3, unpackedBytesMax: 100 };

test('an archive is unpacked by path, folders left out', async () => {
  const files = await unpackArchive(zip({ 'a/': '', 'a/b.txt': 'hello', 'c.txt': '' }));
  assert.deepEqual([...files.keys()], ['a/b.txt', 'c.txt']);
  assert.equal(Buffer.from(files.get('a/b.txt') ?? []).toString(), 'hello');
});

const hostile: readonly (readonly [string, Uint8Array])[] = [
  ['no zip', new TextEncoder().encode('hello')],
  ['an empty file', new Uint8Array()],
  ['a name that climbs', zip({ '../x': 'x' })],
  ['an absolute name', zip({ '/etc/x': 'x' })],
  ['a backslash', zip({ 'a\\b': 'x' })],
  ['a symbolic link', zip({ a: '/etc/passwd' }, { mode: 0o120_777 })],
  ['too many entries', zip({ a: '', b: '', c: '', d: '' })],
  ['too many bytes', zip({ a: 'x'.repeat(60), b: 'x'.repeat(60) })],
  ['a claim that is too small', zip({ a: 'x'.repeat(5_000_000) }, { claimedBytes: 10 })],
  ['a claim that is too large', zip({ a: 'x' }, { claimedBytes: 50 })],
  ['damaged data', damaged(zip({ a: 'x'.repeat(80) }))],
];

for (const [name, archive] of hostile) {
  test(`an archive with ${name} is refused`, async () => {
    await assert.rejects(unpackArchive(archive, bounds), { code: 'PACKAGE_UNREADABLE' });
  });
}

test('an archive is refused when it names a file twice', async () => {
  const twice = Buffer.from(zip({ aa: '1', ab: '2' }));
  for (let at = twice.indexOf('ab'); at >= 0; at = twice.indexOf('ab')) twice.write('aa', at);
  await assert.rejects(unpackArchive(twice), { code: 'PACKAGE_UNREADABLE' });
});

test('a package is fetched once, also when two ask at the same time, and kept', async () => {
  const gate = makeGate();
  let downloads = 0;
  const archive = packageOf('x');
  const store = new PackageStore(async () => {
    downloads += 1;
    await gate.opened;
    return archive;
  }, 1_000_000);
  const { model, service } = orderOf(archive);
  const both = [store.get(model, service, never), store.get(model, service, never)];
  gate.open();
  const [one, other] = await Promise.all(both);
  assert.equal(one, other);
  assert.equal(await store.get(model, service, never), one);
  assert.equal(downloads, 1);
});

test('the package that was not used for longest is forgotten first', async () => {
  const archives = ['x', 'y', 'z'].map(packageOf);
  const downloads: string[] = [];
  const byPath = new Map(archives.map((archive) => [`/${digestOf(archive)}`, archive]));
  const download: Download = async ({ url }) => {
    downloads.push(url);
    return byPath.get(new URL(url).pathname) ?? new Uint8Array();
  };
  const orders = archives.map(orderOf);
  const sizeBytes = (await new PackageStore(download, 0).get(...argumentsOf(orders, 0))).sizeBytes;
  downloads.length = 0;
  const store = new PackageStore(download, 2 * sizeBytes);
  for (const place of [0, 1, 0, 2, 0, 1]) await store.get(...argumentsOf(orders, place));
  assert.deepEqual(
    downloads.map((url) => archives.findIndex((archive) => url.endsWith(digestOf(archive)))),
    [0, 1, 2, 1],
  );
});

test('somebody else who gives up does not take the package away from those who still wait', async () => {
  const archive = packageOf('x');
  const { model, service } = orderOf(archive);
  const leaving = new AbortController();
  let downloads = 0;
  const store = new PackageStore(({ signal }) => {
    downloads += 1;
    if (downloads > 1) return Promise.resolve(archive);
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('gone'))));
  }, 1_000_000);
  const first = store.get(model, service, leaving.signal);
  const second = store.get(model, service, never);
  leaving.abort();
  await assert.rejects(first, /gone/);
  await second;
  assert.equal(downloads, 2);
});

test('another digest than the one in the model is refused', async () => {
  const { model, service } = orderOf(packageOf('x'));
  const store = new PackageStore(async () => packageOf('y'), 1_000_000);
  await assert.rejects(store.get(model, service, never), { code: 'PACKAGE_UNREADABLE', message: /digest/ });
});

test('the download sends the token, stops at the limit, and knows which answers are final', async () => {
  let authorization: string | undefined;
  const server = createServer((request, response) => {
    authorization = request.headers.authorization;
    const status = Number(request.url?.slice(1));
    response.writeHead(status, status === 302 ? { location: '/200' } : {});
    response.end('x'.repeat(1000));
  });
  const base = await listen(server);
  try {
    const get = (path: string, bytesMax: number = 1000): Promise<Uint8Array> =>
      httpDownload({ url: `${base}/${path}`, token: 'secret', bytesMax, signal: never });
    assert.equal((await get('200')).length, 1000);
    assert.equal(authorization, 'Bearer secret');
    await assert.rejects(get('200', 999), { code: 'PACKAGE_UNREADABLE', message: /packageBytesMax/ });
    for (const final of ['401', '403', '404', '410']) await assert.rejects(get(final), { code: 'PACKAGE_NOT_FOUND' });
    for (const passing of ['302', '500', '503']) {
      await assert.rejects(get(passing), (error) => (error as { code?: unknown }).code !== 'PACKAGE_NOT_FOUND');
    }
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  await assert.rejects(httpDownload({ url: `${base}/200`, token: 't', bytesMax: 1, signal: never }), /fetch failed/);
});

function packageOf(text: string): Uint8Array {
  const yaml = 'machines: { web: {} }\ndeploy: [{ role: web, steps: [{ name: a, command: [x] }] }]\n';
  return zip({ 'application.yaml': yaml, 'files/a': text });
}

function orderOf(archive: Uint8Array): { readonly model: DeploymentModel; readonly service: DeploymentService } {
  const digest = digestOf(archive);
  const service: DeploymentService = {
    id: 's',
    type: 't',
    properties: {},
    package: { id: 'p', digest, path: `/${digest}` },
    definition: { machines: {}, deploy: [] },
  };
  const model: DeploymentModel = {
    deploymentId: 'd',
    action: 'deploy',
    environment: { id: 'e', name: 'trial' },
    services: [service],
    machines: [],
    filesUrl: 'http://127.0.0.1:1/',
    filesToken: 'token',
  };
  return { model, service };
}

function argumentsOf(
  orders: readonly ReturnType<typeof orderOf>[],
  place: number,
): [DeploymentModel, DeploymentService, AbortSignal] {
  const order = orders[place];
  assert.ok(order !== undefined);
  return [order.model, order.service, never];
}

function digestOf(archive: Uint8Array): string {
  return createHash('sha256').update(archive).digest('hex');
}

function damaged(archive: Uint8Array): Uint8Array {
  const copy = Buffer.from(archive);
  copy.fill(0xff, 33, 36);
  return copy;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
