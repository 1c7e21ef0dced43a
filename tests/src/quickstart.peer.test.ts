import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '@torcello/platform';
import { rabbitMqMissing, run, startRabbitMq, type Running } from '@torcello/test-support';

/** Runs the quickstart as a newcomer does, apart from the install. Needs a build. */

const root = fileURLToPath(new URL('../../', import.meta.url));
const runs = path.join(root, '.torcello-quickstart');
const before = new Set(existsSync(runs) ? readdirSync(runs) : []);

after(() => {
  const fresh = existsSync(runs) ? readdirSync(runs).filter((name) => !before.has(name)) : [];
  for (const name of fresh) rmSync(path.join(runs, name), { recursive: true, force: true });
});

interface Summary {
  readonly ok: boolean;
  readonly broker: string;
  readonly plans: readonly {
    readonly machine: string;
    readonly stored: string;
    readonly agentStarted: string;
    readonly delivered: string;
    readonly started: string;
    readonly finished: string;
  }[];
  readonly error?: string;
}

function quickstart(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  return run(process.execPath, ['scripts/quickstart.mjs', ...args], { cwd: root, env });
}

/** Waits for the end and reads the summary from the last line of stdout. */
async function summaryOf(running: Running): Promise<Summary> {
  const { code } = await running.exited;
  const { stdout, stderr } = running.output();
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Summary;
}

/** Every plan was stored before its agent's process began, and the rest followed in order. */
function assertLateAgents(summary: Summary): void {
  assert.equal(summary.ok, true, summary.error);
  assert.deepEqual(summary.plans.map(({ machine }) => machine).toSorted(), ['web-1', 'web-2', 'web-3']);
  for (const plan of summary.plans) {
    const times = [plan.stored, plan.agentStarted, plan.delivered, plan.started, plan.finished];
    assert.ok(
      times.every((time) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time)),
      JSON.stringify(plan),
    );
    assert.deepEqual(times, times.toSorted(), JSON.stringify(plan));
    assert.ok(plan.stored < plan.agentStarted, JSON.stringify(plan));
  }
}

/** The data folder of a run, from what it said. */
function dataFolder(running: Running): string {
  const { stdout, stderr } = running.output();
  const said = /npx torcello up --data (\S+)/.exec(stdout + stderr)?.[1];
  assert.ok(said !== undefined, stdout + stderr);
  return path.resolve(root, said);
}

/** Processes that name the folder in their command line or carry it in their environment. */
function processesOf(folder: string): readonly string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map((pid) => readText(`/proc/${pid}/cmdline`) + readText(`/proc/${pid}/environ`))
    .filter((text) => text.includes(folder));
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Pid of a program of the run, once it is there. The quickstart writes what it starts into its log folder only. */
function pidOf(program: string, parent: number): number | undefined {
  const found = readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    const parentPid = /\) \S (\d+) /.exec(readText(`/proc/${entry}/stat`))?.[1];
    return parentPid === String(parent) && readText(`/proc/${entry}/cmdline`).includes(`torcello-${program}.js`);
  });
  return found[0] === undefined ? undefined : Number(found[0]);
}

test('the quickstart deploys to machines whose agents start after their plans were stored, and leaves nothing behind', async () => {
  const running = quickstart(['--once', '--json']);
  assertLateAgents(await summaryOf(running));
  const folder = dataFolder(running);
  assert.deepEqual(processesOf(folder), []);
  assert.equal(statSync(path.join(folder, 'admin-token')).mode & 0o777, 0o600);
});

for (const program of ['conductor', 'broker'] as const) {
  test(`the quickstart survives a kill -9 of the ${program} right after the plans were stored`, async () => {
    const running = quickstart(['--once', '--json']);
    const stored = await saidOnStderr(running, 'The broker has stored all 3 plans');
    assert.ok(stored, running.output().stderr);
    const pid = pidOf(program, running.pid);
    assert.ok(pid !== undefined, 'the program runs');
    process.kill(pid, 'SIGKILL');
    assertLateAgents(await summaryOf(running));
    assert.match(running.output().stderr, new RegExp(`${program} died \\(SIGKILL\\)`));
    assert.deepEqual(processesOf(dataFolder(running)), []);
  });
}

test('Ctrl-C ends every process that the quickstart started, the deployed services too', async () => {
  const running = quickstart([]);
  await running.line((line) => line.includes('until you press Ctrl-C'));
  await running.line((line) => line.includes('npx torcello agent list'));
  const urls = [...running.output().stdout.matchAll(/answers at (http:\S+):/g)].map(([, url]) => url ?? '');
  assert.equal(urls.length, 3);
  for (const url of urls) assert.equal((await fetch(url)).status, 200);
  running.child.kill('SIGINT');
  const { code } = await running.exited;
  assert.equal(code, 0, running.output().stderr);
  assert.deepEqual(processesOf(dataFolder(running)), []);
  for (const url of urls) await assert.rejects(fetch(url));
});

test('a quickstart that is killed with -9 leaves no process behind, of its own or deployed', async () => {
  const running = quickstart([]);
  await running.line((line) => line.includes('npx torcello agent list'));
  const folder = path.resolve(root, /--data (\S+)/.exec(running.output().stdout)?.[1] ?? '');
  assert.ok(processesOf(folder).length >= 6, 'broker, API, conductor and three agents');
  await running.stop('SIGKILL');
  const deadlineMs = performance.now() + 15_000;
  while (processesOf(folder).length > 0 && performance.now() < deadlineMs) await sleep(systemClock, 100);
  assert.deepEqual(processesOf(folder), []);
});

test('the quickstart runs on RabbitMQ as well', { skip: rabbitMqMissing() ?? false }, async () => {
  const rabbit = await startRabbitMq();
  try {
    const vhost = await rabbit.freshVhost();
    const running = quickstart(['--once', '--json'], { TORCELLO_TRANSPORT: rabbit.url(vhost) });
    const summary = await summaryOf(running);
    assertLateAgents(summary);
    assert.match(summary.broker, /^amqp:\/\/127\.0\.0\.1:\d+\//);
    assert.match(running.output().stderr, /the agents get its login \(--allow-shared-agent-login/);
    assert.deepEqual(processesOf(dataFolder(running)), []);
  } finally {
    await rabbit.stop();
  }
});

function saidOnStderr(running: Running, text: string): Promise<boolean> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!running.output().stderr.includes(text)) return;
      running.child.stderr?.off('data', look);
      resolve(true);
    };
    running.child.stderr?.on('data', look);
    void running.exited.then(() => resolve(false));
    look();
  });
}
