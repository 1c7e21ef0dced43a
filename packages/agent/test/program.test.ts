import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { agentVersion } from '../src/version.js';
import { temporaryFolder } from './support/folder.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const bundle = path.join(root, 'packages/agent/dist/torcello-agent.mjs');
const template = path.join(root, 'packages/agent/assets/install.sh');

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function runToEnd(
  program: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  try {
    const ended = await promisify(execFile)(program, [...words], { env: { ...process.env, ...env } });
    return { code: 0, ...ended };
  } catch (error) {
    const { code, stdout, stderr } = error as Ended;
    return { code, stdout, stderr };
  }
}

before(async () => {
  const { code, stderr } = await runToEnd(process.execPath, [path.join(root, 'scripts/bundle-agent.mjs')]);
  assert.equal(code, 0, stderr);
});

test('the bundle is one file that needs nothing but Node', async () => {
  await using folder = await temporaryFolder();
  const alone = path.join(folder.path, 'agent.mjs');
  const text = await readFile(bundle, 'utf8');
  await writeFile(alone, text);
  const imports = [...text.matchAll(/^import [^\n]*?"([^"]+)";$/gm)].map(([, name]) => name);
  assert.ok(imports.length > 5);
  assert.deepEqual(
    imports.filter((name) => name?.startsWith('node:') !== true),
    [],
  );
  const help = await runToEnd(process.execPath, [alone, '--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^Usage: torcello-agent/);
  const version = await runToEnd(process.execPath, [alone, '--version']);
  assert.equal(version.stdout, `${agentVersion}\n`);
});

test('the version is that of the package', async () => {
  const text = await readFile(path.join(root, 'packages/agent/package.json'), 'utf8');
  assert.equal((JSON.parse(text) as { readonly version: string }).version, agentVersion);
});

test('wrong use is one line on standard error and exit code 1', async () => {
  await using folder = await temporaryFolder();
  await writeFile(path.join(folder.path, 'file'), '');
  for (const words of [
    [],
    ['--what'],
    ['--data', folder.path],
    ['--data', folder.path, '--join', 'x'],
    ['--data', path.join(folder.path, 'file', 'x')],
  ]) {
    const ended = await runToEnd(process.execPath, [bundle, ...words]);
    assert.equal(ended.code, 1, words.join(' '));
    assert.match(ended.stderr, /^torcello-agent: [^\n]+\n$/);
    assert.equal(ended.stdout, '');
  }
});

/** Serves the agent's file as the API does. */
async function serve(body: Buffer): Promise<AsyncDisposable & { readonly url: string }> {
  const server = http.createServer((_request, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close };
}

async function installScript(folder: string, url: string, digest: string): Promise<string> {
  const script = path.join(folder, 'install.sh');
  const text = await readFile(template, 'utf8');
  await writeFile(script, text.replaceAll('@TORCELLO_API@', url).replaceAll('@TORCELLO_AGENT_SHA256@', digest));
  return script;
}

test('the installer checks what it fetched and says how to start', async () => {
  await using folder = await temporaryFolder();
  const body = await readFile(bundle);
  await using server = await serve(body);
  const digest = createHash('sha256').update(body).digest('hex');
  const script = await installScript(folder.path, server.url, digest);
  const prefix = path.join(folder.path, 'prefix');
  const words = [script, '--no-service', '--prefix', prefix, '--data', path.join(folder.path, 'data'), 'tcjoin1.abc'];
  const ended = await runToEnd('/bin/sh', words);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stdout, /TORCELLO_JOIN='tcjoin1\.abc'/);
  assert.deepEqual(await readFile(path.join(prefix, 'torcello-agent.mjs')), body);
});

test('the installer refuses an agent with another digest, an old Node, and itself as a template', async () => {
  await using folder = await temporaryFolder();
  await using server = await serve(Buffer.from('console.log("evil")'));
  const script = await installScript(folder.path, server.url, '0'.repeat(64));
  const prefix = path.join(folder.path, 'prefix');
  const bad = await runToEnd('/bin/sh', [script, '--no-service', '--prefix', prefix]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /SHA-256/);
  await assert.rejects(readFile(path.join(prefix, 'torcello-agent.mjs')));

  const bin = path.join(folder.path, 'bin');
  await mkdir(bin);
  const oldNode = '#!/bin/sh\n[ "$1" = --version ] && echo v18.0.0 && exit 0\nexit 1\n';
  await writeFile(path.join(bin, 'node'), oldNode, { mode: 0o755 });
  const old = await runToEnd('/bin/sh', [script, '--no-service'], { PATH: `${bin}:/usr/bin:/bin` });
  assert.equal(old.code, 1);
  assert.match(old.stderr, /Node 20\.19 or newer is needed and .* is v18/);

  const bare = path.join(folder.path, 'bare');
  await mkdir(bare);
  await symlink('/usr/bin/id', path.join(bare, 'id'));
  const none = await runToEnd('/bin/sh', [script, '--no-service'], { PATH: bare });
  assert.equal(none.code, 1);
  assert.match(none.stderr, /there is none/);

  const raw = await runToEnd('/bin/sh', [template]);
  assert.equal(raw.code, 1);
  assert.match(raw.stderr, /template/);
});
