import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { AgentError } from '../src/errors.js';
import { readAgentConf } from '../src/murano/agent-conf.js';
import { pythonJson } from '../src/murano/answers.js';
import { inputQueue, MuranoFixture } from './support/murano.js';

const shell = (body: string) => ({ Name: 'run.sh', BodyType: 'Text', Body: `#!/bin/sh\n${body}\n` });
const application = { Type: 'Application', EntryPoint: 'f', Files: [], Options: {} };

async function serve(
  answer: (request: http.IncomingMessage, response: http.ServerResponse) => void,
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = http.createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close };
}

test('an invalid plan without Stamp is answered once and holds up nothing', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent();
  await fixture.send({ body: '{"ID": "bad", "Body": "return 1", "Scripts": {}}', id: 'bad' });
  await fixture.sendPlan({ ID: 'good', Body: 'return 2' });
  assert.equal((await fixture.answer('good')).Body, 2);
  const texts = fixture.answers.map(({ text }) => (JSON.parse(text) as { SourceID: string }).SourceID);
  assert.deepEqual(texts, ['bad', 'good']);
});

test('without python3 each plan gets one clear error', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent({ python: '/nonexistent/python3' });
  await fixture.sendPlan({ ID: 'p', Body: 'return 1' });
  const { ErrorCode, Body } = await fixture.answer('p');
  assert.equal(ErrorCode, 1);
  assert.match((Body as { Message: string }).Message, /needs Python/);
});

test('a plan ends at its time limit, with everything that it started', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent({ planSeconds: 1 });
  const mark = path.join(fixture.folder, 'mark');
  const Files = { f: shell(`sleep 3; touch ${mark}`) };
  await fixture.sendPlan({ ID: 'p', Body: 'return s()', Files, Scripts: { s: application } });
  const { Body } = await fixture.answer('p');
  assert.match((Body as { Message: string }).Message, /more than 1 seconds/);
  await fixture.sendPlan({ ID: 'q', Body: 'import time; time.sleep(0.5)\nreturn 1' });
  await fixture.answer('q');
  await assert.rejects(readFile(mark));
});

test('Body that leaves the interpreter is an error and not the end of the agent', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent();
  await fixture.sendPlan({ ID: 'p', Body: 'raise SystemExit(3)' });
  assert.deepEqual(await fixture.answer('p').then(({ ErrorCode, Body }) => [ErrorCode, Body]), [
    1,
    { Message: '3', AdditionalInfo: null },
  ]);
  await fixture.sendPlan({ ID: 'q', Body: 'import os; os._exit(0)' });
  assert.match(((await fixture.answer('q')).Body as { Message: string }).Message, /interrupted/);
});

test('a file cannot be laid outside of the folder of its plan', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent();
  const Files = { f: { Name: '../../../../out.sh', BodyType: 'Text', Body: 'x' } };
  await fixture.sendPlan({ ID: '../p', Body: 'return s()', Files, Scripts: { s: application } });
  assert.match(((await fixture.answer('../p')).Body as { Message: string }).Message, /leads out of the folder/);
});

test('ReplyTo is the key of the answer where the file says so, the body before the property', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.listen('mine');
  await fixture.listen('other');
  await fixture.startAgent({ usesReplyTo: true });
  await fixture.sendPlan({ ID: 'a', Body: 'return {"ReplyTo": "no"}', ReplyTo: 'mine' });
  const plan = { FormatVersion: '2.0.0', Files: {}, Scripts: {}, ID: 'b', Body: 'return 1' };
  await fixture.send({ body: JSON.stringify(plan), replyTo: 'other' });
  await fixture.send({ body: JSON.stringify({ ...plan, ID: 'c' }) });
  const answers = await fixture.until(3);
  assert.deepEqual(
    answers.map(({ delivery }) => delivery.destination.routingKey),
    ['mine', 'other', '-execution-results-test'],
  );
  assert.ok(answers.slice(0, 2).every(({ text }) => !Object.hasOwn(JSON.parse(text) as object, 'ReplyTo')));
});

test('an answer waits for its queue', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent({ resultRoutingKey: 'later' });
  await fixture.sendPlan({ ID: 'p', Body: 'return 1' });
  await fixture.listen('later');
  assert.equal((await fixture.answer('p')).Body, 1);
});

test('a plan goes on while its agent is away; the next one answers it', async () => {
  await using fixture = await MuranoFixture.make();
  const first = await fixture.startAgent();
  const [started, release] = ['started', 'release'].map((name) => path.join(fixture.folder, name));
  const Files = { f: shell(`echo run >> ${started}; while [ ! -e ${release} ]; do sleep 0.05; done; echo done`) };
  const Scripts = { s: application };
  await fixture.sendPlan({ ID: 'p', Stamp: 5, Body: 'return s().stdout', Files, Scripts });
  await fixture.untilThere(started ?? '');
  await first.stop();
  await writeFile(release ?? '', '');
  await fixture.startAgent();
  assert.equal((await fixture.answer('p')).Body, 'done');
  assert.equal(await readFile(started ?? '', 'utf8'), 'run\n');
});

for (const { Stamp, message } of [
  { Stamp: 5, message: /interrupted/ },
  { Stamp: undefined, message: undefined },
]) {
  test(`a runner that is gone: ${Stamp === undefined ? 'run again without Stamp' : 'told with a Stamp'}`, async () => {
    await using fixture = await MuranoFixture.make();
    const key = path.join(fixture.folder, 'murano', 'plans', '17953547411352');
    await mkdir(key, { recursive: true });
    const plan = { ID: 'p', FormatVersion: '2.0.0', Files: {}, Scripts: {}, Body: 'return 7', Stamp };
    const Data = Buffer.from(JSON.stringify(plan)).toString('base64');
    await writeFile(path.join(key, 'plan.json'), JSON.stringify({ Data, Signature: '', ID: 'p', ReplyTo: null }));
    await writeFile(path.join(key, 'run.json'), JSON.stringify({ attempts: 1, bootId: 'of an earlier boot' }));
    await fixture.startAgent();
    const { ErrorCode, Body } = await fixture.answer('p');
    if (message === undefined) assert.equal(Body, 7);
    else assert.match((Body as { Message: string }).Message, message);
    assert.equal(ErrorCode, message === undefined ? 0 : 1);
  });
}

test('goes on with the folder of a real agent, an empty plan.json in it as well', async () => {
  await using fixture = await MuranoFixture.make();
  const plans = path.join(fixture.folder, 'murano', 'plans');
  await mkdir(path.join(plans, '17953547411351'), { recursive: true });
  await writeFile(path.join(plans, '17953547411351', 'plan.json'), '');
  await writeFile(path.join(plans, 'stamp'), '100');
  await fixture.startAgent();
  await fixture.sendPlan({ ID: 'old', Stamp: 100, Body: 'return 1' });
  await fixture.sendPlan({ ID: 'new', Stamp: 101, Body: 'return 2' });
  assert.equal((await fixture.answer('new')).Body, 2);
  assert.equal(fixture.answers.length, 1);
  await fixture.untilIdle();
  assert.equal(await readFile(path.join(plans, 'stamp'), 'utf8'), '101');
});

const downloadPlan = (id: string, URL: string) => ({
  ID: id,
  FormatVersion: '2.1.0',
  Body: 'return s().stdout',
  Files: { f: shell('ls d | tr "\\n" " "; cat d/*'), d: { Name: 'd', Type: 'Downloadable', URL } },
  Scripts: { s: { ...application, Files: ['d'] } },
});

test('downloads keep to their limit, and a page of an error is no file', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent({ downloadBytesMax: 1_000 });
  await using server = await serve(({ url }, response) => {
    response.statusCode = url === '/lost' ? 404 : 200;
    response.end(url === '/large' ? 'x'.repeat(5_000) : 'small');
  });
  for (const name of ['small', 'large', 'lost']) await fixture.sendPlan(downloadPlan(name, `${server.url}/${name}`));
  await fixture.sendPlan(downloadPlan('file', 'file:///etc/hostname'));
  assert.equal((await fixture.answer('small')).Body, 'small small');
  const told = async (id: string): Promise<string> => ((await fixture.answer(id)).Body as { Message: string }).Message;
  assert.match(await told('large'), /more than 1000 bytes/);
  assert.match(await told('lost'), /404/);
  assert.match(await told('file'), /only http, https and git/);
});

test('clones a git repository into the folder', async () => {
  await using fixture = await MuranoFixture.make();
  const [work, bare] = ['work', 'some.git'].map((name) => path.join(fixture.folder, name));
  const git = (...words: string[]) => promisify(execFile)('git', words, { cwd: fixture.folder });
  await git('init', '-q', work ?? '');
  await writeFile(path.join(work ?? '', 'a.txt'), 'cloned');
  await git('-C', work ?? '', 'add', 'a.txt');
  await git('-C', work ?? '', '-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '-qm', 'one');
  await git('clone', '-q', '--bare', work ?? '', bare ?? '');
  await fixture.startAgent();
  await fixture.sendPlan(downloadPlan('p', `file://${bare}`));
  assert.equal((await fixture.answer('p')).Body, 'a.txt cloned');
  await fixture.sendPlan(downloadPlan('q', `file://${fixture.folder}/lost.git`));
  assert.match(((await fixture.answer('q')).Body as { Message: string }).Message, /Error to clone the git repository/);
});

test('a script that leaves a daemon behind does not hold up its plan', async () => {
  await using fixture = await MuranoFixture.make();
  await fixture.startAgent();
  const Files = { f: shell('echo up; sleep 60 & echo $!') };
  await fixture.sendPlan({ ID: 'p', Body: 'return s().stdout', Files, Scripts: { s: application } });
  const said = String((await fixture.answer('p')).Body);
  assert.match(said, /^up\n\d+$/);
  process.kill(Number(said.split('\n')[1]));
});

test('reads the real agent.conf', () => {
  const settings = readAgentConf(`[DEFAULT]
debug=True
storage = /var/lib/murano
# a comment
engine_key = -----BEGIN RSA PUBLIC KEY-----
    AAAA
    -----END RSA PUBLIC KEY-----
enable_dynamic_result_queue = true

[rabbitmq]
host = 10.0.0.1
port = 5673
login = murano
password = p@ss/word
virtual_host = fleet/one
input_queue = ${inputQueue}
result_routing_key = -execution-results--x
result_exchange =
ssl = True
ca_certs = /etc/ssl/ca.pem
`);
  assert.equal(settings.engineKey, '-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----');
  assert.equal(settings.usesReplyTo, true);
  assert.equal(
    settings.transportUrl,
    'amqps://murano:p%40ss%2Fword@10.0.0.1:5673/fleet%2Fone?ssl_ca_file=%2Fetc%2Fssl%2Fca.pem',
  );
  for (const text of ['', 'nonsense', '[rabbitmq]\ninput_queue=x\nssl=1\ninsecure=1\n']) {
    assert.throws(() => readAgentConf(text), AgentError);
  }
});

test('writes JSON as Python does', () => {
  assert.equal(
    pythonJson({ a: [1, null, true], b: 'é"\u007f\u{1f600}' }),
    '{"a": [1, null, true], "b": "\\u00e9\\"\u007f\\ud83d\\ude00"}',
  );
});
