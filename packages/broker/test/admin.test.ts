import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'amqplib';
import { temporaryFolder } from '@torcello/test-support';
import { runAdmin } from '../src/admin.js';
import type { AdminQuestion, AdminVerb } from '../src/admin.js';
import { runBroker, startBrokerProcess } from './support/broker-process.js';

/** What a person may do wrong, and what is said to it in one line. */
const refusals: readonly [verb: AdminVerb, words: readonly string[], why: RegExp][] = [
  ['import', [], /usage: .* import FILE$/m],
  ['import', ['/missing'], /\/missing cannot be read/],
  ['import', ['/dev/null'], /\/dev\/null is no JSON/],
  ['status', ['now'], /usage: .* status$/m],
  ['clear-policy', ['short'], /there is no policy 'short'$/m],
  ['set-policy', ['p', '(a+)+', '{"max-length":1}'], /no regular expressions/],
  ['set-policy', ['p', 'a', 'max-length'], /DEFINITION is no JSON/],
];

/** What is said to a question, asked within this process. */
async function said(folder: string, verb: AdminVerb, more: Partial<AdminQuestion> = {}): Promise<string> {
  const plain = { words: [], isJson: false, isOperator: false, vhost: '/', applyTo: 'all', priority: 0 };
  const lines: string[] = [];
  const isWell = await runAdmin(verb, { folder, ...plain, ...more }, (text) => lines.push(text));
  assert.equal(isWell, !lines.some((line) => line.startsWith('wrong')), 'what is wrong makes it end with 1');
  return lines.join('\n');
}

test('the owner asks a running broker, and moves its definitions', async (t) => {
  const folder = temporaryFolder('admin');
  t.after(() => folder.remove());
  const ask = async (...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
    const running = runBroker(['--data', folder.path, ...args]);
    const { code } = await running.exited;
    return { code, ...running.output() };
  };
  const before = await ask('status');
  assert.equal(before.code, 1);
  assert.match(before.stderr, /no broker runs from/);
  const broker = await startBrokerProcess(t, folder.path);
  const connection = await connect(broker.amqp, { clientProperties: { connection_name: 'a\u001b[2Jclient' } });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('unread', { durable: true });
  channel.sendToQueue('unread', Buffer.from('1'), { persistent: true });
  await channel.waitForConfirms();
  const status = (await ask('status')).stdout;
  assert.match(status, /^publishes +taken$/m);
  assert.match(status, /^messages +1 ready, 0 unacknowledged$/m);
  assert.match(status, /^amqp +127\.0\.0\.1:\d+$/m);
  assert.match((await ask('status', '--json')).stdout, /"messages_ready": 1/);
  assert.match((await ask('queues')).stdout, /^\/ +unread +classic +1 +0 +0$/m);
  assert.match((await ask('connections')).stdout, /^a\?\[2Jclient +guest/m);
  assert.match((await ask('users')).stdout, /^guest +administrator$/m);
  assert.match((await ask('doctor')).stdout, /^ok .*\nnote .*unread: 1 messages and no reader$/m);
  const definitions = (await ask('export')).stdout;
  const file = join(folder.path, 'definitions.json');
  writeFileSync(file, definitions.replaceAll('"unread"', '"another"'));
  assert.equal((await ask('import', file)).code, 0);
  await channel.checkQueue('another');
  assert.equal((await ask('unknown')).code, 1);
  const say = (verb: AdminVerb, words: readonly string[] = [], more: Partial<AdminQuestion> = {}): Promise<string> =>
    said(folder.path, verb, { words, ...more });
  assert.equal(await say('set-policy', ['short', '^another$', '{"max-length":1}'], { priority: 2 }), 'set');
  assert.match(await say('policies'), /^\/ +short +\^another\$ +all +2 +\{"max-length":1\}$/m);
  assert.match(await say('queues'), /^\/ +another +classic +short +0 +0 +0$/m);
  await say('set-policy', ['most', '', '{"max-length":9}'], { isOperator: true });
  assert.match(await say('policies', [], { isOperator: true }), /most/);
  assert.equal(await say('clear-policy', ['short']), 'cleared');
  for (const [verb, words, why] of refusals) await assert.rejects(say(verb, words), why);
  await connection.close();
  await broker.stop();
  assert.equal(existsSync(join(folder.path, 'running.json')), false);
});

test('what people ask is told the truth when the password was changed, the disk is full, or the broker was killed', async (t) => {
  const folder = temporaryFolder('admin-truth');
  t.after(() => folder.remove());
  const login = { TORCELLO_BROKER_USER: 'guest', TORCELLO_BROKER_PASSWORD: 'guest' };
  const full = ['--limit', 'diskFreeBytesMin=999999999999999'];
  const broker = runBroker(['--data', folder.path, '--port', '0', ...full], login);
  t.after(() => broker.stop('SIGKILL'));
  const { management } = JSON.parse(await broker.line((line) => line.includes('"ready":true'))) as {
    management: string;
  };
  const ask = (verb: AdminVerb): Promise<string> => said(folder.path, verb);
  assert.match(await ask('status'), /^publishes +refused: low on disk$/m);
  assert.match(await ask('doctor'), /^wrong publishes wait: low on disk; make room .* are free/m);
  const body = JSON.stringify({ password: 'other', tags: 'administrator' });
  const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` };
  await fetch(`${management}/api/users/guest`, { method: 'PUT', headers, body });
  await assert.rejects(ask('status'), /refuses the login: the password of 'guest'/);
  await broker.stop('SIGKILL');
  await assert.rejects(ask('status'), /is gone, and ended without its last words/);
});
