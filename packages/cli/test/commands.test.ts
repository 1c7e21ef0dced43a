import assert from 'node:assert/strict';
import { writeFile, readFile, stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { formatJoinLine } from '@torcello/contracts';
import { parse } from 'yaml';
import { fakeApi, Refusal, sendEvents, temporaryFolder, torcello, type Route } from './support.js';

const environment = {
  id: 'e1',
  name: 'shop',
  status: 'ready',
  version: 0,
  created: '',
  updated: '2026-01-01T00:00:00',
};
const hello = {
  id: 'p1',
  name: 'Hello Web',
  fully_qualified_name: 'io.torcello.HelloWeb',
  version: '1.0.0',
  type: 'Application',
  description: 'A page',
  author: '',
  created: '2026-01-01T00:00:00',
  digest: 'abc',
  size: 2048,
};
const joinLine = formatJoinLine({ api: 'http://127.0.0.1:8082', machine: 'm1', token: 't' });
const machine = {
  id: 'm1',
  name: 'web-1',
  role: 'web',
  index: 0,
  environmentId: 'e1',
  state: 'never joined',
  joinLine,
};

const basics: Readonly<Record<string, Route>> = {
  'GET /v1/environments': () => ({ environments: [environment] }),
  'POST /v1/environments': () => environment,
  'DELETE /v1/environments/e1': () => undefined,
  'POST /v1/environments/e1/configure': () => ({ id: 's1', environment_id: 'e1', state: 'opened', created: '' }),
  'GET /v1/environments/e1/sessions': () => ({ sessions: [] }),
  'POST /v1/environments/e1/services': (request) => JSON.parse(request.body.toString()) as unknown,
  'POST /v1/environments/e1/machines': () => ({ machines: [machine] }),
  'GET /v1/catalog/packages': () => ({ packages: [hello] }),
};

test('a read gives one JSON value with --json and a table without', async () => {
  await using api = await fakeApi(basics);
  const people = await torcello(['environment', 'list'], api);
  assert.equal(
    people.stdout,
    'ENVIRONMENT  STATUS  UPDATED              ID\nshop         ready   2026-01-01T00:00:00  e1\n',
  );
  const machines = await torcello(['environment', 'list', '--json'], api);
  assert.deepEqual(JSON.parse(machines.stdout), [environment]);
  assert.equal(api.seen[0]?.headers['x-auth-token'], 'secret-token');
});

test('environment create stages the application with its settings and adds machines', async () => {
  await using api = await fakeApi(basics);
  const args = [
    '--app',
    'io.torcello.HelloWeb@1.0.0',
    '--set',
    'port=8300',
    '--set',
    'greeting=Ciao',
    '--machines',
    'web=1',
  ];
  const result = await torcello(['environment', 'create', 'shop', ...args], api);
  assert.equal(result.exitCode, 0, result.stderr);
  assert.match(result.stdout, /Staged io\.torcello\.HelloWeb\/1\.0\.0 as Hello Web/);
  assert.match(result.stdout, /web-1 joins with: torcello agent --join tcjoin1\./);
  const service = api.seen.find(({ path: asked }) => asked.endsWith('/services'));
  assert.equal(service?.headers['x-configuration-session'], 's1');
  const sent = JSON.parse(service?.body.toString() ?? '') as Record<string, unknown>;
  assert.equal(sent['port'], 8300);
  assert.equal(sent['greeting'], 'Ciao');
  assert.match(JSON.stringify(sent['?']), /"id":"[0-9a-f]{32}","type":"io\.torcello\.HelloWeb\/1\.0\.0"/);
});

test('environment create reads a file', async () => {
  await using folder = await temporaryFolder();
  await using api = await fakeApi(basics);
  const file = path.join(folder.path, 'env.yaml');
  await writeFile(
    file,
    'applications:\n  - app: io.torcello.HelloWeb\n    properties: { port: 8300 }\nmachines: { web: 2 }\n',
  );
  const result = await torcello(['environment', 'create', 'shop', '--file', 'env.yaml', '--json'], {
    ...api,
    cwd: folder.path,
  });
  assert.equal(result.exitCode, 0, result.stderr);
  const added = api.seen.find(({ path: asked }) => asked.endsWith('/machines'));
  assert.deepEqual(JSON.parse(added?.body.toString() ?? ''), { role: 'web', count: 2 });
});

test('an environment whose application is refused is not left behind', async () => {
  const detail = '/port must be integer';
  const services: Route = () => {
    throw new Refusal(400, {
      type: 'about:blank',
      title: 'Bad',
      status: 400,
      code: 'wrong_property',
      detail,
      cure: '--set port=8200',
    });
  };
  await using api = await fakeApi({ ...basics, 'POST /v1/environments/e1/services': services });
  const result = await torcello(
    ['environment', 'create', 'shop', '--app', 'io.torcello.HelloWeb', '--set', 'port=x'],
    api,
  );
  assert.equal(result.exitCode, 1);
  assert.equal(result.stderr, 'torcello: /port must be integer [wrong_property]\n  try: --set port=8200\n');
  assert.equal(api.calls().at(-1), 'DELETE /v1/environments/e1');
});

test('an unknown package is refused before anything is made', async () => {
  await using api = await fakeApi(basics);
  const result = await torcello(['environment', 'create', 'shop', '--app', 'io.torcello.HelloWeb@9'], api);
  assert.equal(result.exitCode, 1);
  assert.match(result.stderr, /package io\.torcello\.HelloWeb has no version 9; there is 1\.0\.0 \[unknown_package\]/);
  assert.deepEqual(api.calls(), ['GET /v1/catalog/packages']);
});

test('a Murano-shaped refusal is told in one line', async () => {
  const refuse: Route = () => {
    throw new Refusal(409, { error: { message: 'an environment shop exists', code: 409, title: 'Conflict' } });
  };
  await using api = await fakeApi({ ...basics, 'POST /v1/environments': refuse });
  const result = await torcello(['environment', 'create', 'shop'], api);
  assert.equal(result.exitCode, 1);
  assert.equal(result.stderr, 'torcello: an environment shop exists [http_409]\n');
});

test('an API that is not there is exit code 4 with the cure', async () => {
  const api = await fakeApi({});
  await api[Symbol.asyncDispose]();
  const result = await torcello(['agent', 'list'], api);
  assert.equal(result.exitCode, 4);
  assert.match(
    result.stderr,
    /cannot reach the API at .* \(ECONNREFUSED\) \[unreachable\]\n {2}try: start it with "torcello up"/,
  );
});

test('join lines go to the screen, to a private file, or into cloud-init user data', async () => {
  await using folder = await temporaryFolder();
  await using api = await fakeApi(basics);
  const world = { ...api, cwd: folder.path };
  const screen = await torcello(['machine', 'add', 'shop', '--role', 'web'], world);
  assert.match(screen.stdout, /^web-1 tcjoin1\./m);
  const files = ['--join-lines', 'lines.txt', '--cloud-init', 'seed'];
  const quiet = await torcello(['machine', 'add', 'shop', '--role', 'web', ...files], world);
  assert.doesNotMatch(quiet.stdout, /tcjoin1/);
  const lines = path.join(folder.path, 'lines.txt');
  assert.equal(await readFile(lines, 'utf8'), `web-1 ${joinLine}\n`);
  assert.equal((await stat(lines)).mode & 0o777, 0o600);
  const seed = await readFile(path.join(folder.path, 'seed', 'web-1.yaml'), 'utf8');
  assert.match(seed, /^#cloud-config\n/);
  const data = parse(seed) as { write_files: { content: string; permissions: string }[]; runcmd: string[][] };
  assert.deepEqual(
    data.write_files.map(({ content, permissions }) => [content, permissions]),
    [[joinLine, '0600']],
  );
  assert.match(data.runcmd[0]?.at(-1) ?? '', /^curl .* 'http:\/\/127\.0\.0\.1:8082\/install\.sh' -o /);
});

test('machines.yaml is checked item by item', async () => {
  await using folder = await temporaryFolder();
  await using api = await fakeApi(basics);
  const table: readonly (readonly [string, RegExp])[] = [
    ['machines: [{role: web, count: 0}]', /machines\[0\]\.count 0 is no whole number from 1 to 5000/],
    ['machines: [{role: web, count: 1, names: [a]}]', /machines\[0\] has a count and names/],
    ['machines: [{rol: web}]', /machines\[0\] has an unknown field "rol"/],
    ['machines: {}', /machines is no list/],
    ['machines: [', /machines\.yaml:1:\d+: /],
  ];
  for (const [text, flaw] of table) {
    await writeFile(path.join(folder.path, 'machines.yaml'), text);
    const result = await torcello(['machine', 'add', 'shop', '--file', 'machines.yaml'], { ...api, cwd: folder.path });
    assert.equal(result.exitCode, 1);
    assert.match(result.stderr, flaw);
  }
  assert.deepEqual(api.calls(), []);
});

test('wrong usage is exit code 1 and asks nobody', async () => {
  await using api = await fakeApi(basics);
  const table: readonly (readonly string[])[] = [
    ['nonsense'],
    ['environment', 'create'],
    ['environment', 'create', 'shop', '--set', 'a=1'],
    ['environment', 'create', 'shop', '--app', 'X', '--set', 'nothing'],
    ['machine', 'add', 'shop'],
    ['machine', 'add', 'shop', '--role', 'web', '--count', '5001'],
    ['deploy', 'shop', '--watch', '--watch-timeout', 'soon'],
    ['logs', 'd1', '--tail-bytes', '-1'],
    ['package', 'import', 'no-such-folder'],
    ['up', '--api', '0.0.0.0:8082'],
    ['up', '--amqp', '192.0.2.1:5673'],
  ];
  for (const args of table) {
    const result = await torcello(args, api);
    assert.equal(result.exitCode, 1, `${args.join(' ')}: ${result.stderr}`);
    assert.notEqual(result.stderr, '');
  }
  assert.deepEqual(api.calls(), []);
});

const planRow = {
  planId: 'plan1',
  machine: { id: 'm1', name: 'web-1', role: 'web', index: 0 },
  stage: 's/web',
  state: 'running',
  step: 'start',
  since: '2026-01-01T00:00:00.000Z',
};
const deployment = {
  id: 'd1',
  environmentId: 'e1',
  environmentName: 'shop',
  action: 'deploy',
  state: 'running',
  acceptedAt: '2026-01-01T00:00:00.000Z',
  plans: [planRow],
};
const failed = {
  ...deployment,
  state: 'failed',
  finishedAt: '2026-01-01T00:00:09.000Z',
  plans: [
    { ...planRow, state: 'failed', reason: 'exit code 3', steps: [{ name: 'start', state: 'failed', exitCode: 3 }] },
  ],
};

function deployable(events: Route): Readonly<Record<string, Route>> {
  return {
    ...basics,
    'POST /v1/environments/e1/sessions/s1/deploy': (_, response) => {
      response.writeHead(200, { 'x-torcello-deployment': 'd1' }).end();
    },
    'GET /v1/deployments/d1': () => deployment,
    'GET /v1/deployments/d1/events': events,
    'GET /v1/deployments/d1/output': () => ({
      outputs: [
        {
          planId: 'plan1',
          machine: 'web-1',
          stage: 's/web',
          step: 'start',
          text: 'no such port\n',
          fromOffset: 0,
          totalBytes: 13,
          isCut: false,
          outcome: 'failed',
        },
      ],
    }),
  };
}

test('deploy takes the session with staged changes, and opens one only when there is none', async () => {
  const routes = deployable(() => undefined);
  await using staged = await fakeApi({
    ...routes,
    'GET /v1/environments/e1/sessions': () => ({
      sessions: [
        { id: 's0', state: 'opened', hasChanges: false },
        { id: 's1', state: 'opened', hasChanges: true },
      ],
    }),
  });
  const result = await torcello(['deploy', 'shop', '--json'], staged);
  assert.deepEqual(JSON.parse(result.stdout), { deployment: 'd1', environment: 'e1' });
  assert.ok(!staged.calls().includes('POST /v1/environments/e1/configure'));
  await using fresh = await fakeApi(routes);
  assert.equal((await torcello(['deploy', 'shop'], fresh)).exitCode, 0);
  assert.ok(fresh.calls().includes('POST /v1/environments/e1/configure'));
});

test('a watch goes on after a broken stream, from the last event it saw, and shows why a step failed', async () => {
  let streams = 0;
  const lastIds: unknown[] = [];
  const events: Route = (request, response) => {
    streams += 1;
    lastIds.push(request.headers['last-event-id']);
    const first = [{ event: 'plan', id: '4', data: planRow }];
    const second = [
      { event: 'future', data: 1 },
      { event: 'finished', data: failed },
    ];
    sendEvents(response, streams === 1 ? first : second);
  };
  await using api = await fakeApi(deployable(events));
  const result = await torcello(['deploy', 'shop', '--watch'], api);
  assert.equal(result.exitCode, 3, result.stderr);
  assert.deepEqual(lastIds, [undefined, '4']);
  assert.match(result.stdout, /web-1 web start running\n/);
  assert.match(result.stdout, /web-1 web start failed \(exit code 3\)\n/);
  assert.match(result.stdout, /==> web-1 web start failed <==\nno such port\n/);
  assert.match(result.stdout, /Deployment d1 \(deploy of shop\): failed after 9s\n$/);
});

test('with --json a watch prints the final view and nothing else', async () => {
  await using api = await fakeApi(
    deployable((_, response) => sendEvents(response, [{ event: 'finished', data: failed }])),
  );
  const result = await torcello(['deploy', 'shop', '--watch', '--json'], api);
  assert.deepEqual(JSON.parse(result.stdout), failed);
});

const red = '\u001b[31m';

test('on a terminal the table is drawn in place', async () => {
  await using api = await fakeApi(
    deployable((_, response) =>
      sendEvents(response, [
        { event: 'plan', data: planRow },
        { event: 'finished', data: failed },
      ]),
    ),
  );
  const result = await torcello(['deploy', 'shop', '--watch'], { ...api, isTerminal: true });
  assert.match(result.stdout, /MACHINE {2}STAGE {2}STEP {3}STATE/);
  assert.ok(result.stdout.includes(`${red}web-1    web    start  failed`));
  const plain = await torcello(['deploy', 'shop', '--watch'], { ...api, isTerminal: true, env: { NO_COLOR: '1' } });
  assert.ok(!plain.stdout.includes(red));
});

test('a watch that times out is exit code 6, and says that the deployment goes on', async () => {
  await using api = await fakeApi(
    deployable((_, response) => sendEvents(response, [{ event: 'plan', data: planRow }, undefined])),
  );
  const result = await torcello(['deploy', 'shop', '--watch', '--watch-timeout', '200ms'], api);
  assert.equal(result.exitCode, 6, result.stderr);
  assert.match(
    result.stdout,
    /The watch timed out; the deployment goes on\.\nWatch it again: torcello deployment show d1 --watch\n$/,
  );
});

test('an interrupted watch does not stop the work and says so', async () => {
  await using api = await fakeApi(
    deployable((_, response) => sendEvents(response, [{ event: 'plan', data: planRow }, undefined])),
  );
  const result = await torcello(['deploy', 'shop', '--watch'], {
    ...api,
    onWrite: (text, send) => {
      if (text.includes('running')) send('SIGINT');
    },
  });
  assert.equal(result.exitCode, 130, result.stderr);
  assert.match(result.stdout, /The watch was interrupted; the deployment goes on/);
  assert.ok(api.calls().every((call) => !call.startsWith('DELETE')));
});

test('logs ask for the last 64 KiB of every step', async () => {
  await using api = await fakeApi(deployable(() => undefined));
  const result = await torcello(['logs', 'd1'], api);
  assert.equal(result.stdout, '==> web-1 web start failed <==\nno such port\n\n');
  assert.equal(api.seen.at(-1)?.query.get('tailBytes'), '65536');
});

test('deployment show of a failed one shows the last lines of the failed step unasked', async () => {
  await using api = await fakeApi({ ...deployable(() => undefined), 'GET /v1/deployments/d1': () => failed });
  const result = await torcello(['deployment', 'show', 'd1'], api);
  assert.equal(result.exitCode, 3);
  assert.match(result.stdout, /no such port/);
});

test('machines for OpenStack Murano’s own agent get a configuration and no join line', async () => {
  const id = 'a'.repeat(32);
  const text = (content: string) => (_request: unknown, response: ServerResponse) => void response.end(content);
  await using api = await fakeApi({
    ...basics,
    'POST /v1/environments/e1/machines': () => ({ machines: [{ ...machine, id, joinLine: undefined }] }),
    [`GET /v1/machines/${id}/agent-conf`]: text('[rabbitmq]\nhost = h\n'),
    [`GET /v1/machines/${id}/user-data`]: text('#cloud-config\n'),
  });
  const words = ['machine', 'add', 'shop', '--role', 'web', '--kind', 'muranoagent'];
  const added = await torcello(words, api);
  assert.match(
    added.stdout,
    new RegExp(`^web-1 ${id}\nThe configuration of each: torcello machine agent-conf ID`, 'm'),
  );
  assert.equal((await torcello(['machine', 'agent-conf', id], api)).stdout, '[rabbitmq]\nhost = h\n');
  assert.equal((await torcello(['machine', 'agent-conf', id, '--user-data'], api)).stdout, '#cloud-config\n');
  await using folder = await temporaryFolder();
  assert.equal((await torcello([...words, '--cloud-init', 'seed'], { ...api, cwd: folder.path })).exitCode, 0);
  assert.equal(await readFile(path.join(folder.path, 'seed', 'web-1.yaml'), 'utf8'), '#cloud-config\n');
  assert.equal((await torcello([...words, '--join-lines', 'x'], api)).exitCode, 1);
  assert.equal((await torcello([...words.slice(0, -1), 'other'], api)).exitCode, 1);
});
