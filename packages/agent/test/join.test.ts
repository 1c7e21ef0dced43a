import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { formatJoinLine, type JoinAnswer, type JoinRequest } from '@torcello/contracts/agent';
import { AgentError, type AgentErrorCode } from '../src/errors.js';
import { lockData } from '../src/data-lock.js';
import { joinOrLoad } from '../src/join.js';
import type { StoredIdentity } from '../src/identity.js';
import { PlanKeys, machineId, mailbox } from './support/control.js';
import { temporaryFolder } from './support/folder.js';

const answer: JoinAnswer = {
  machineId,
  machineName: 'web-1',
  enrolment: 1,
  mailbox,
  transportUrl: 'memory:',
  planKey: new PlanKeys().publicPem,
  heartbeatMs: 10_000,
};

/** An API that knows one route and answers as told. */
class JoinApi implements AsyncDisposable {
  readonly requests: JoinRequest[] = [];
  status = 200;
  body: unknown = answer;
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
  }

  static async listen(): Promise<JoinApi> {
    const server = http.createServer();
    const api = new JoinApi(server);
    server.on('request', (request, response) => {
      void (async () => {
        const text = await request.setEncoding('utf8').reduce((all: string, part: string) => all + part, '');
        assert.equal(`${request.method} ${request.url}`, 'POST /v1/join');
        api.requests.push(JSON.parse(text) as JoinRequest);
        response.writeHead(api.status, { 'content-type': 'application/json' });
        response.end(typeof api.body === 'string' ? api.body : JSON.stringify(api.body));
      })();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  line(token: string = 'secret', machine: string = machineId): string {
    return formatJoinLine({ api: this.url, machine, token });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const joinIn = (dataFolder: string, line?: string): Promise<StoredIdentity> =>
  joinOrLoad(line, { dataFolder, agentVersion: '1', hostname: 'host' });

async function refused(code: AgentErrorCode, exitCode: number, work: Promise<unknown>): Promise<AgentError> {
  const error: unknown = await work.then(
    () => assert.fail(`it was not refused with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AgentError, String(error));
  assert.equal(error.code, code);
  assert.equal(error.exitCode, exitCode);
  assert.doesNotMatch(error.message, /\n|secret/);
  return error;
}

test('a join keeps login and key in files that only the owner reads', async () => {
  await using api = await JoinApi.listen();
  await using folder = await temporaryFolder();
  const identity = await joinIn(folder.path, api.line());
  assert.equal(identity.mailbox, mailbox);
  for (const name of ['agent.json', 'agent.key']) {
    assert.equal((await stat(path.join(folder.path, name))).mode & 0o777, 0o600, name);
  }
  assert.doesNotMatch(await readFile(path.join(folder.path, 'agent.json'), 'utf8'), /secret/);
  assert.match(api.requests[0]?.publicKey ?? '', /BEGIN PUBLIC KEY/);
  assert.deepEqual(await joinIn(folder.path), identity);
});

test('the same line again asks nobody, a new line for the machine asks with the same key', async () => {
  await using api = await JoinApi.listen();
  await using folder = await temporaryFolder();
  await joinIn(folder.path, api.line());
  await joinIn(folder.path, api.line());
  assert.equal(api.requests.length, 1);
  await joinIn(folder.path, api.line('another'));
  assert.equal(api.requests.length, 2);
  assert.equal(api.requests[0]?.publicKey, api.requests[1]?.publicKey);
});

test('a renewal asks with the same line and key again, for the broker may be another one', async () => {
  await using api = await JoinApi.listen();
  await using folder = await temporaryFolder();
  await joinIn(folder.path, api.line());
  const facts = { dataFolder: folder.path, agentVersion: '1', hostname: 'host' };
  await joinOrLoad(api.line(), { ...facts, renewsLogin: true });
  assert.equal(api.requests.length, 2);
  assert.deepEqual(api.requests[0], api.requests[1]);
});

test('an answer that got lost is asked for again with the same key', async () => {
  await using api = await JoinApi.listen();
  await using folder = await temporaryFolder();
  api.body = 'cut off';
  await refused('JOIN_REFUSED', 4, joinIn(folder.path, api.line()));
  api.body = answer;
  await joinIn(folder.path, api.line());
  assert.equal(api.requests[0]?.publicKey, api.requests[1]?.publicKey);
});

const answers: readonly (readonly [number, unknown, AgentErrorCode])[] = [
  [401, {}, 'TOKEN_UNKNOWN'],
  [409, {}, 'TOKEN_USED'],
  [404, {}, 'JOIN_REFUSED'],
  [403, { detail: 'no \u001b[31m way' }, 'JOIN_REFUSED'],
  [503, { detail: 'later' }, 'API_UNREACHABLE'],
  [200, { ...answer, mailbox: 7 }, 'JOIN_REFUSED'],
  [200, { ...answer, planKey: 'no key' }, 'JOIN_REFUSED'],
  [200, 'x'.repeat(100_000), 'API_UNREACHABLE'],
];
for (const [status, body, code] of answers) {
  test(`the API answers ${status}: ${code}, and nothing is kept`, async () => {
    await using api = await JoinApi.listen();
    await using folder = await temporaryFolder();
    api.status = status;
    api.body = body;
    const error = await refused(code, 4, joinIn(folder.path, api.line()));
    assert.ok(!error.message.includes('\u001b'), 'no control characters');
    await refused('NOT_JOINED', 1, joinIn(folder.path));
  });
}

test('lines that are none, or lead to where they may not, are refused', async () => {
  await using folder = await temporaryFolder();
  await refused('USAGE', 1, joinIn(folder.path, 'hello'));
  await refused('USAGE', 1, joinIn(folder.path, formatJoinLine({ api: 'ftp://x', machine: 'm', token: 't' })));
  const remote = formatJoinLine({ api: 'http://192.0.2.1:8082', machine: 'm', token: 't' });
  await refused('INSECURE_ADDRESS', 1, joinIn(folder.path, remote));
  const nobody = formatJoinLine({ api: 'http://127.0.0.1:1', machine: 'm', token: 't' });
  await refused('API_UNREACHABLE', 4, joinIn(folder.path, nobody));
});

test('a folder belongs to one machine, and a file that was damaged is named', async () => {
  await using api = await JoinApi.listen();
  await using folder = await temporaryFolder();
  await joinIn(folder.path, api.line());
  await refused('JOINED_ELSEWHERE', 1, joinIn(folder.path, api.line('other', 'another machine')));
  await writeFile(path.join(folder.path, 'agent.json'), '{"machineId":1}');
  assert.match((await refused('DATA_UNREADABLE', 1, joinIn(folder.path))).message, /agent\.json/);
});

test('two agents never work in one folder, and a lock of the dead is no lock', async () => {
  await using folder = await temporaryFolder();
  const lock = await lockData(folder.path);
  await refused('DATA_IN_USE', 1, lockData(folder.path));
  await lock.release();
  await writeFile(path.join(folder.path, 'agent.lock'), `${process.pid} 1\n`);
  const next = await lockData(folder.path);
  await next.release();
});
