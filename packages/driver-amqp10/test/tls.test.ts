import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { isMessagingError, parseTransportUrl, type ErrorCode } from '@torcello/messaging';
import { temporaryFolder } from '@torcello/test-support';
import { amqp10Driver } from '../src/index.js';
import { ScriptedPeer } from './support/scripted-peer.js';
import { message, open, worldOptions } from './support/world.js';

const folder = temporaryFolder('tls10');
const file = (name: string): string => path.join(folder.path, name);
const pem = (name: string): string => readFileSync(file(name), 'utf8');
const withCode = (code: ErrorCode) => (error: unknown) => isMessagingError(error, code);
let peer: ScriptedPeer;
let url: string;

/** A key and a certificate for it, signed by itself: authority and holder in one. */
function makeCertificate(name: string, subject: string): void {
  const names = ['-subj', `/CN=${subject}`, '-addext', `subjectAltName=DNS:${subject}`];
  const output = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...key, ...names, ...output], { stdio: 'pipe' });
}

before(async () => {
  makeCertificate('server', 'localhost');
  makeCertificate('client', 'agent7');
  peer = await ScriptedPeer.start({
    // So that nobody comes in without a certificate.
    login: { username: 'nobody', password: 'nothing' },
    tls: {
      key: pem('server.key'),
      cert: pem('server.pem'),
      ca: pem('client.pem'),
      requestCert: true,
      rejectUnauthorized: false,
    },
  });
  url = `amqp1s://localhost:${peer.port}`;
});
after(async () => {
  await peer.stop();
  folder.remove();
});

test('EXTERNAL logs in by the client certificate', async () => {
  const files = `ssl_ca_file=${file('server.pem')}&ssl_cert_file=${file('client.pem')}&ssl_key_file=${file('client.key')}`;
  const connection = await open(`${url}/?${files}&sasl_mechanism=EXTERNAL`);
  await connection.publish({ exchange: '', routingKey: 'q' }, message('by certificate'));
  await connection.close();
});

test('without a certificate EXTERNAL is LOGIN_REFUSED', async () => {
  const login = open(`${url}/?ssl_ca_file=${file('server.pem')}&sasl_mechanism=EXTERNAL`);
  await assert.rejects(login, withCode('LOGIN_REFUSED'));
});

test('a certificate that nobody vouches for, or of another name, is CONNECT_FAILED', async () => {
  await assert.rejects(open(url), withCode('CONNECT_FAILED'));
  const otherName = `${url}/?ssl_ca_file=${file('server.pem')}&ssl_server_name=example.org`;
  await assert.rejects(open(otherName), withCode('CONNECT_FAILED'));
});

test('trust may come from the program instead of the URL', async () => {
  const driver = amqp10Driver({ tls: { ca: pem('server.pem') } });
  const parsed = parseTransportUrl(url.replace('//', '//nobody:nothing@'));
  await (await driver.connect(parsed, worldOptions)).close();
});

test('a certificate file that cannot be read is INVALID_URL and named', async () => {
  const missing = open(`${url}/?ssl_ca_file=${file('absent.pem')}`);
  await assert.rejects(missing, (error) => withCode('INVALID_URL')(error) && String(error).includes('absent.pem'));
});
