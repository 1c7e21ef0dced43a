import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '@torcello/platform';
import { freePort, run, temporaryFolder, type Running } from '@torcello/test-support';

/** `torcello` by hand, as the README tells it: real programs, the compiled command. Needs a build. */

const root = fileURLToPath(new URL('../../', import.meta.url));
const bin = path.join(root, 'packages', 'cli', 'bin', 'torcello.js');
const { TORCELLO_TRANSPORT: _, TORCELLO_MAILBOX_LIFETIME: __, ...environment } = process.env;

interface UpLine {
  readonly api: string;
  readonly amqp: string;
  readonly token: string;
  readonly join: string;
}

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function torcello(cwd: string, args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Result> {
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], { cwd, env: { ...environment, ...more } }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

/** Runs a command that must go well and reads its JSON. */
async function answerOf<Answer>(cwd: string, args: readonly string[]): Promise<Answer> {
  const result = await torcello(cwd, [...args, '--json']);
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return JSON.parse(result.stdout) as Answer;
}

async function up(
  cwd: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly running: Running; readonly line: UpLine }> {
  const ports = ['--api', '127.0.0.1:0', '--amqp', '127.0.0.1:0'];
  const running = run(process.execPath, [bin, 'up', ...ports, '--json', ...args], { cwd, env });
  return { running, line: JSON.parse(await running.line((text) => text.startsWith('{'))) as UpLine };
}

/** Pids of processes whose command line or environment names the folder, without this one. */
function processesOf(folder: string, program = ''): readonly number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) => {
      const [command, env] = [readText(`/proc/${pid}/cmdline`), readText(`/proc/${pid}/environ`)];
      return command.includes(program) && (command.includes(folder) || env.includes(`=${folder}`));
    })
    .map(Number);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

test('up hands its settings on, and tokens open what they are for until they are revoked', async () => {
  const folder = temporaryFolder('up-settings');
  const lifetimes = async (): Promise<readonly number[]> =>
    (await answerOf<readonly { lifetimeMs: number }[]>(folder.path, ['mailbox', 'list'])).map((box) => box.lifetimeMs);
  let running: Running | undefined;
  try {
    const wrong = await torcello(folder.path, ['up', '--mailbox-lifetime', 'soon']);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /--mailbox-lifetime soon is no duration from 1s to 3650d/);

    ({ running } = await up(folder.path, ['--mailbox-lifetime', '7d']));
    assert.deepEqual(await lifetimes(), [7 * 86_400_000]);
    await running.stop('SIGTERM');
    const again = await up(folder.path, [], { TORCELLO_MAILBOX_LIFETIME: '2d' });
    ({ running } = again);
    assert.deepEqual(await lifetimes(), [2 * 86_400_000]);

    const made = await answerOf<{ readonly id: string; readonly token: string }>(folder.path, [
      ...['token', 'create', '--tenant', 'acme', '--user', 'ann'],
    ]);
    const own = { TORCELLO_URL: again.line.api, TORCELLO_TOKEN: made.token };
    const created = await torcello(folder.path, ['environment', 'create', 'theirs', '--json'], own);
    assert.equal(created.code, 0, created.stderr);
    const seen = await torcello(folder.path, ['environment', 'list', '--json'], own);
    assert.deepEqual(
      (JSON.parse(seen.stdout) as { name: string }[]).map(({ name }) => name),
      ['theirs'],
    );
    assert.match((await torcello(folder.path, ['token', 'list'], own)).stderr, /\[forbidden\]/);
    const listed = await torcello(folder.path, ['token', 'list']);
    assert.match(listed.stdout, new RegExp(`${made.id} +acme +ann +no`));
    assert.ok(!listed.stdout.includes(made.token), 'the list does not show it');
    assert.equal((await torcello(folder.path, ['token', 'revoke', made.id])).code, 0);
    assert.match((await torcello(folder.path, ['environment', 'list'], own)).stderr, /\[unauthorized\]/);
    assert.match((await torcello(folder.path, ['token', 'revoke', made.id])).stderr, /\[not_found\]/);
  } finally {
    await running?.stop('SIGTERM');
    folder.remove();
  }
});

test('a stranger deploys by hand, survives a killed conductor, and leaves nothing behind', async () => {
  const folder = temporaryFolder('up');
  const { running, line } = await up(folder.path);
  const agents: Running[] = [];
  try {
    assert.match(line.api, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.match(line.amqp, /^rabbit:\/\/torcello:[\w-]+@127\.0\.0\.1:\d+\/$/);
    assert.match(line.join, /^tcjoin1\./);
    const data = path.join(folder.path, 'torcello-data');
    assert.equal(readFileSync(path.join(data, 'admin-token'), 'utf8').trim(), line.token);
    for (const secret of ['admin-token', 'plan-key.pem', 'broker-login.json', 'address.json']) {
      assert.equal(statSync(path.join(data, secret)).mode & 0o777, 0o600, secret);
    }

    await answerOf(folder.path, ['package', 'import', path.join(root, 'examples', 'hello-web')]);
    const port = await freePort();
    await answerOf(folder.path, [
      'environment',
      'create',
      'shop',
      '--app',
      'io.torcello.HelloWeb',
      '--set',
      `port=${port}`,
    ]);
    const { machines } = await answerOf<{ machines: { name: string; joinLine: string }[] }>(folder.path, [
      'machine',
      'add',
      'shop',
      '--role',
      'web',
    ]);
    const watching = run(process.execPath, [bin, 'deploy', 'shop', '--watch'], { cwd: folder.path });
    await watching.line((text) => / stored(?:: |$)/.test(text));
    const [conductor] = processesOf(data, 'torcello-conductor.js');
    assert.ok(conductor !== undefined);
    process.kill(conductor, 'SIGKILL');
    for (const { joinLine } of machines) {
      const agent = run(process.execPath, [bin, 'agent', '--join', joinLine], { cwd: folder.path });
      agents.push(agent);
      await agent.line((text) => text.includes('"ready":true'));
    }
    assert.equal(
      (await watching.exited).code,
      0,
      watching.output().stdout + watching.output().stderr + running.output().stderr,
    );
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);

    const [listed] = await answerOf<{ state: string }[]>(folder.path, ['agent', 'list']);
    assert.ok(listed !== undefined);
    const deployments = await answerOf<{ id: string }[]>(folder.path, ['deployment', 'list', 'shop']);
    const outputs = await answerOf<{ step: string }[]>(folder.path, ['logs', deployments[0]?.id ?? '']);
    assert.ok(
      outputs.some(({ step }) => step === 'health'),
      JSON.stringify(outputs),
    );
    const events = await answerOf<{ event: { type: string } }[]>(folder.path, [
      'deployment',
      'events',
      deployments[0]?.id ?? '',
    ]);
    assert.equal(events.at(-1)?.event.type, 'finished');
    const gone = await torcello(folder.path, ['environment', 'delete', 'shop', '--watch']);
    assert.equal(gone.code, 0, gone.stdout + gone.stderr);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
  } finally {
    for (const agent of agents) await agent.stop();
    await running.stop();
  }
  assert.deepEqual(await running.exited, { code: 0, signal: null }, running.output().stderr);
  assert.deepEqual(processesOf(folder.path), []);
  assert.equal((await torcello(folder.path, ['agent', 'list'])).code, 4);
  folder.remove();
});

test('up starts again on the same data, with the same token and what was imported', async () => {
  const folder = temporaryFolder('up');
  const first = await up(folder.path);
  await answerOf(folder.path, ['package', 'import', path.join(root, 'examples', 'hello-web')]);
  await first.running.stop();
  const second = await up(folder.path);
  assert.equal(second.line.token, first.line.token);
  const packages = await answerOf<{ fully_qualified_name: string }[]>(folder.path, ['package', 'list']);
  assert.deepEqual(
    packages.map((item) => item.fully_qualified_name),
    ['io.torcello.HelloWeb'],
  );
  const machines = await answerOf<unknown[]>(folder.path, ['machine', 'list', 'default']);
  assert.equal(machines.length, 1, 'the spare machine that nobody joined is offered again');
  await second.running.stop('SIGINT');
  assert.equal((await second.running.exited).code, 0);
  assert.deepEqual(processesOf(folder.path), []);
  folder.remove();
});

test('a port that is taken is named with the flag that chooses another, and nothing is left half-done', async () => {
  const folder = temporaryFolder('up');
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  for (const flag of ['--api', '--amqp']) {
    const other = flag === '--api' ? '--amqp' : '--api';
    const result = await torcello(folder.path, ['up', flag, `127.0.0.1:${port}`, other, '127.0.0.1:0']);
    assert.equal(result.code, 1);
    assert.match(
      result.stderr,
      new RegExp(`port ${port} of 127\\.0\\.0\\.1 is in use .*\\n  try: .*${flag} 127\\.0\\.0\\.1:`),
    );
  }
  assert.deepEqual(readdirSync(folder.path), []);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  folder.remove();
});

test('a second up on the same data is refused in one line', async () => {
  const folder = temporaryFolder('up');
  const { running } = await up(folder.path);
  const result = await torcello(folder.path, ['up', '--api', '127.0.0.1:0', '--amqp', '127.0.0.1:0']);
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stderr, /is in use by process \d+ \[data_in_use\]/);
  assert.ok((await answerOf<unknown[]>(folder.path, ['environment', 'list'])).length > 0, 'the first one goes on');
  await running.stop();
  folder.remove();
});

test('what up started ends by itself when up is killed with -9, and the data can be used again', async () => {
  const folder = temporaryFolder('up');
  const first = await up(folder.path);
  const started = processesOf(folder.path).length;
  await first.running.stop('SIGKILL');
  assert.ok(started >= 3, 'broker, API and conductor');
  // They are nobody's children any more: only the system knows when they are gone.
  const deadlineMs = performance.now() + 15_000;
  while (processesOf(folder.path).length > 0 && performance.now() < deadlineMs) await sleep(systemClock, 100);
  assert.deepEqual(processesOf(folder.path), []);
  const second = await up(folder.path);
  assert.equal(second.line.token, first.line.token);
  await second.running.stop();
  folder.remove();
});
