import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before } from 'node:test';
import tls from 'node:tls';
import { parseTransportUrl, isMessagingError, type ErrorCode } from '@torcello/messaging';
import { temporaryFolder, type RabbitMq } from '@torcello/test-support';
import { rabbitTest, startFresh } from './support/rabbit.js';
import { amqp091Driver } from '../src/index.js';
import { open, worldOptions } from './support/world.js';

const folder = temporaryFolder('tls');
const file = (name: string): string => path.join(folder.path, name);
const pem = (name: string): string => readFileSync(file(name), 'utf8');
let rabbit: RabbitMq | undefined;
let server: tls.Server;
let clientNames: (string | undefined)[] = [];
let url: string;

/** A key and a certificate for it, signed by itself: authority and holder in one. */
function makeCertificate(name: string, subject: string): void {
  const names = ['-subj', `/CN=${subject}`, '-addext', `subjectAltName=DNS:${subject}`];
  const output = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...names, ...output],
    {
      stdio: 'pipe',
    },
  );
}

before(async () => {
  makeCertificate('server', 'localhost');
  makeCertificate('client', 'agent7');
  rabbit = (await startFresh())?.rabbit;
  const options = {
    key: pem('server.key'),
    cert: pem('server.pem'),
    ca: pem('client.pem'),
    requestCert: true,
    rejectUnauthorized: false,
  };
  server = tls.createServer(options, (near) => {
    clientNames.push(near.getPeerCertificate().subject?.CN as string | undefined);
    const far = net.connect(rabbit?.port ?? 0, '127.0.0.1');
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  url = `amqps://guest:guest@localhost:${port}/`;
});
after(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rabbit?.stop();
  folder.remove();
});

function isCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isMessagingError(error, code) || assert.fail(`expected ${code}, not ${String(error)}`);
}

rabbitTest('a broker whose certificate is trusted is spoken to, one that nobody vouches for is not', async () => {
  const connection = await open(`${url}?ssl_ca_file=${file('server.pem')}`);
  await connection.close();
  await assert.rejects(open(url), isCode('CONNECT_FAILED'));
  await assert.rejects(open(`${url}?ssl_ca_file=${file('client.pem')}`), isCode('CONNECT_FAILED'));
});

rabbitTest('the certificate has to carry the name that was dialled', async () => {
  const other = url.replace('@localhost', '@127.0.0.1');
  await assert.rejects(open(`${other}?ssl_ca_file=${file('server.pem')}`), isCode('CONNECT_FAILED'));
  const connection = await open(`${other}?ssl_ca_file=${file('server.pem')}&ssl_server_name=localhost`);
  await connection.close();
});

rabbitTest('a client certificate from files, or from the program, is shown', async () => {
  clientNames = [];
  const files = `ssl_ca_file=${file('server.pem')}&ssl_cert_file=${file('client.pem')}&ssl_key_file=${file('client.key')}`;
  await (await open(`${url}?${files}`)).close();
  const driver = amqp091Driver({ tls: { ca: pem('server.pem'), cert: pem('client.pem'), key: pem('client.key') } });
  await (await driver.connect(parseTransportUrl(url), worldOptions)).close();
  assert.deepEqual(clientNames, ['agent7', 'agent7']);
});

rabbitTest('a file that cannot be read is named', async () => {
  await assert.rejects(open(`${url}?ssl_ca_file=${file('none.pem')}`), isCode('INVALID_URL'));
});
