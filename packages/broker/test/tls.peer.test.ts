import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { temporaryFolder } from '@torcello/test-support';
import { connect, credentials } from 'amqplib';
import { RawClient } from './support/raw-client.js';
import { testBroker } from './support/test-broker.js';

const missing = spawnSync('openssl', ['version']).status === 0 ? false : 'SKIPPED LOUDLY: openssl is not installed';

/** An authority, and certificates that it, or a stranger, has signed. */
function authority(folder: string, name: string): (subject: string) => { readonly cert: Buffer; readonly key: Buffer } {
  const file = (what: string): string => join(folder, what);
  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  };
  const made = ['-newkey', 'rsa:2048', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...made,
    '-keyout',
    file(`${name}.key`),
    '-out',
    file(`${name}.crt`),
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
  );
  return (subject) => {
    const [key, request, cert, extra] = [`${subject}.key`, `${subject}.csr`, `${subject}.crt`, `${subject}.ext`].map(
      (one) => file(`${name}-${one}`),
    );
    assert.ok(key !== undefined && request !== undefined && cert !== undefined && extra !== undefined);
    writeFileSync(extra, 'subjectAltName=DNS:localhost,IP:127.0.0.1');
    openssl('req', ...made, '-keyout', key, '-out', request, '-subj', `/CN=${subject}`);
    openssl(
      'x509',
      '-req',
      '-in',
      request,
      '-CA',
      file(`${name}.crt`),
      '-CAkey',
      file(`${name}.key`),
      '-CAcreateserial',
      '-out',
      cert,
      '-days',
      '2',
      '-extfile',
      extra,
    );
    return { cert: readFileSync(cert), key: readFileSync(key) };
  };
}

async function world(t: TestContext) {
  const folder = temporaryFolder('broker-tls');
  t.after(() => folder.remove());
  const [ours, strangers] = [authority(folder.path, 'ours'), authority(folder.path, 'strangers')];
  const server = ours('localhost');
  const { broker } = await testBroker(t);
  const ca = readFileSync(join(folder.path, 'ours.crt'));
  const at = { host: '127.0.0.1', port: 0 };
  const { port } = await broker.listen(at, { certificate: server.cert, key: server.key, clientAuthorities: ca });
  const url = `amqps://guest:guest@localhost:${port}`;
  return { broker, url, ca, ours, strangers };
}

test('over TLS a client logs in with a password, or with nothing but its certificate', { skip: missing }, async (t) => {
  const { broker, url, ca, ours } = await world(t);
  const plain = await connect(url, { ca: [ca] });
  await (await plain.createChannel()).assertQueue('q');
  await plain.close();
  const { cert, key } = ours('web-1');
  const external = { ca: [ca], cert, key, credentials: credentials.external() };
  await assert.rejects(connect(url, external), /ACCESS.REFUSED|403/, 'nobody has that name yet');
  await broker.users.put('web-1', { tags: [] });
  const user = broker.users.get('web-1');
  assert.ok(user !== undefined);
  broker.users.setPermissions(user, '/', { configure: [], write: [], read: ['q'] });
  const agent = await connect(url, external);
  const channel = await agent.createChannel();
  assert.equal(await channel.get('q'), false);
  assert.deepEqual(
    broker.connections().map(({ user: name }) => name),
    ['web-1'],
  );
  await agent.close();
});

test('a certificate of strangers is dropped, and without one EXTERNAL is refused', { skip: missing }, async (t) => {
  const { broker, url, ca, strangers } = await world(t);
  await broker.users.put('web-1', { tags: [] });
  await assert.rejects(connect(url, { ca: [ca], ...strangers('web-1'), credentials: credentials.external() }));
  await assert.rejects(connect(url, { ca: [ca], credentials: credentials.external() }));
  assert.ok(
    broker.connections().every(({ user }) => user === undefined),
    'nobody is logged in',
  );
});

test('guest comes from this machine only', async (t) => {
  const { broker } = await testBroker(t);
  await new RawClient(broker, '127.0.0.1').open();
  await assert.rejects(new RawClient(broker, '192.0.2.7').open(), /ended|ACCESS_REFUSED/);
});
