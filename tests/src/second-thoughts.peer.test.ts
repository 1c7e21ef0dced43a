import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run, type Running } from '@torcello/test-support';
import { until } from './support/ledger-fleet.js';
import { readLedger } from './support/ledger-package.js';
import { startStack, type Stack } from './support/stack.js';
import { writeTwoStepPackage, type SecondStep } from './support/two-step-package.js';
import { root } from './tidy/sources.js';

/** Second thoughts by hand: the compiled `torcello` against the real programs. Needs a build. */

const bin = path.join(root, 'packages', 'cli', 'bin', 'torcello.js');

interface Told {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface PlanView {
  readonly machine: { readonly name: string };
  readonly state: string;
  readonly step?: string;
  readonly cancel?: string;
  readonly attempt?: number;
}

interface Machine {
  readonly name: string;
  readonly joinLine: string;
}

/** A stack with one conductor, and `torcello` as a user of it. */
class World {
  readonly stack: Stack;
  readonly ledger: string;

  constructor(stack: Stack) {
    this.stack = stack;
    this.ledger = path.join(stack.folder, 'ledger');
    mkdirSync(this.ledger);
  }

  start(args: readonly string[]): Running {
    const { url, token } = this.stack.server();
    return run(process.execPath, [bin, ...args], { env: { TORCELLO_URL: url, TORCELLO_TOKEN: token } });
  }

  async torcello(args: readonly string[]): Promise<Told> {
    const running = this.start(args);
    return { code: (await running.exited).code, ...running.output() };
  }

  /** The JSON of a command that must go well. */
  async answer<Answer>(args: readonly string[]): Promise<Answer> {
    const { code, stdout, stderr } = await this.torcello([...args, '--json']);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as Answer;
  }

  async import(version: string, second: SecondStep): Promise<void> {
    const folder = path.join(this.stack.folder, `package-${version}`);
    writeTwoStepPackage(folder, { version, second });
    await this.answer(['package', 'import', folder]);
  }

  async environment(name: string, version: string, count: number): Promise<readonly Machine[]> {
    const app = ['--app', `test.TwoSteps@${version}`, '--set', `ledger=${this.ledger}`];
    await this.answer(['environment', 'create', name, ...app]);
    const args = ['machine', 'add', name, '--role', 'node', '--count', String(count)];
    return (await this.answer<{ machines: readonly Machine[] }>(args)).machines;
  }

  agent({ name, joinLine }: Machine): Promise<Running> {
    return this.stack.agent(`${name}-${joinLine.slice(-8)}`, joinLine);
  }

  async deploy(name: string, more: readonly string[] = []): Promise<string> {
    return (await this.answer<{ deployment: string }>(['deploy', name, ...more])).deployment;
  }

  plans(deployment: string, isSo: (plans: readonly PlanView[]) => boolean): Promise<readonly PlanView[]> {
    const view = () => this.stack.request<{ plans: readonly PlanView[] }>('GET', `/v1/deployments/${deployment}`);
    return until(
      async () => (await view()).plans,
      (plans) => isSo(plans),
    );
  }

  /** How often each step of the deployment ran: `node-1.first` to a number. */
  ran(deployment: string): Readonly<Record<string, number>> {
    const all = [...readLedger(this.ledger)].filter(([name]) => name.startsWith(`${deployment}.`));
    return Object.fromEntries(all.map(([name, times]) => [name.slice(deployment.length + 1), times]));
  }
}

describe('second thoughts', () => {
  let world: World;
  before(async () => {
    world = new World(await startStack());
    await world.stack.conductor();
  });
  after(() => world.stack.stop());

  test('cancel while half of the machines are off: every machine has its answer, and the last ones settle', async () => {
    await world.import('1.0.0', 'runs on');
    const machines = await world.environment('cancelled', '1.0.0', 5);
    const agents = await Promise.all(machines.slice(0, 4).map((machine) => world.agent(machine)));
    await Promise.all(agents.slice(2).map((agent) => agent.stop()));
    const deployment = await world.deploy('cancelled');
    await world.plans(
      deployment,
      (plans) => plans.filter(({ state, step }) => state === 'running' && step === 'second').length === 2,
    );

    const cancelled = await world.torcello(['cancel', deployment, '--grace', '1s']);
    assert.equal(cancelled.code, 5, cancelled.stderr);
    const line = (name: string): string =>
      cancelled.stdout.split('\n').find((text) => text.startsWith(`${name}:`)) ?? '';
    for (const name of ['node-1', 'node-2']) assert.match(line(name), /: stopped \(in second, SIGTERM, 20\d\d-/);
    for (const name of ['node-3', 'node-4']) assert.match(line(name), /: unknown until it is back/);
    assert.equal(line('node-5'), 'node-5: never started');
    assert.deepEqual(processesOf(deployment), [], 'the whole tree is ended, also what had detached itself');
    const again = await world.torcello(['cancel', deployment]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /\[already_finished\]/);

    const watching = world.start(['deployment', 'show', deployment]);
    assert.equal((await watching.exited).code, 5);
    await Promise.all(machines.slice(2, 4).map((machine) => world.agent(machine)));
    const settled = await world.plans(deployment, (plans) => plans.every(({ cancel }) => cancel !== 'unknown'));
    assert.deepEqual(settled.map(({ machine, cancel }) => `${machine.name} ${cancel ?? ''}`).toSorted(), [
      'node-1 stopped',
      'node-2 stopped',
      'node-3 neverStarted',
      'node-4 neverStarted',
      'node-5 neverStarted',
    ]);
    assert.deepEqual(world.ran(deployment), {
      'node-1.first': 1,
      'node-1.second': 1,
      'node-2.first': 1,
      'node-2.second': 1,
    });
  });

  test('resume runs only what failed, from the failed step, with the corrected package', async () => {
    await world.import('2.0.0', 'fails on node-2');
    await world.import('2.0.1', 'is fine');
    const machines = await world.environment('resumed', '2.0.0', 3);
    await Promise.all(machines.map((machine) => world.agent(machine)));
    const deployed = await world.torcello(['deploy', 'resumed', '--watch']);
    assert.equal(deployed.code, 2, deployed.stderr);
    const [listed] = await world.answer<{ id: string }[]>(['deployment', 'list', 'resumed']);
    const deployment = listed?.id ?? '';

    const resume = ['resume', deployment, '--watch', '--package'];
    const resumed = await world.torcello([...resume, 'test.TwoSteps@2.0.1']);
    assert.equal(resumed.code, 0, resumed.stdout + resumed.stderr);
    assert.deepEqual(world.ran(deployment), {
      'node-1.first': 1,
      'node-1.second': 1,
      'node-2.first': 1,
      'node-2.second': 2,
      'node-3.first': 1,
      'node-3.second': 1,
    });
    const plans = await world.plans(deployment, () => true);
    const attempts = plans.filter(({ machine }) => machine.name === 'node-2').map(({ state }) => state);
    assert.deepEqual(attempts, ['failed', 'succeeded'], 'the earlier attempt stays visible');
    const shown = await world.torcello(['deployment', 'show', deployment]);
    assert.match(shown.stdout, /^node-2 +node \(attempt 2\)/m);
    const again = await world.torcello(['resume', deployment]);
    assert.equal(again.code, 1, again.stdout);
  });

  test('logs --follow shows every line once, live, also over a kill -9 of the API', async () => {
    await world.import('3.0.0', 'writes');
    const machines = await world.environment('followed', '3.0.0', 2);
    await Promise.all(machines.map((machine) => world.agent(machine)));
    const deployment = await world.deploy('followed');
    const following = world.start(['logs', deployment, '--machine', 'node-1', '--follow']);
    await following.line((line) => line.endsWith('línea 5'));
    assert.doesNotMatch(following.output().stdout, /línea 60/, 'it is live');
    await world.stack.killApi();
    await world.stack.restartApi();
    assert.equal((await following.exited).code, 0, following.output().stderr);
    const lines = Array.from({ length: 60 }, (_, index) => `node-1 second | línea ${index + 1}`);
    assert.deepEqual(following.output().stdout.trimEnd().split('\n'), ['node-1 first | first', ...lines]);
    const late = await world.torcello(['logs', deployment, '--machine', 'node-1', '--follow']);
    assert.equal(late.stdout, following.output().stdout, 'whoever comes late sees the same');
  });

  test('what waits for a machine says so, and names the command that changes it', async () => {
    const [machine] = await world.environment('waiting', '3.0.0', 1);
    const deployment = await world.deploy('waiting', ['--deliver-within', '5d', '--supersedes', 'nightly']);
    await world.plans(deployment, (plans) => plans.some(({ state }) => state === 'stored'));
    const why = await world.torcello(['why', deployment]);
    assert.equal(why.code, 0, why.stderr);
    assert.match(
      why.stdout,
      /node-1 has never joined \(for .*; until 20.*\[waiting-machine-never-joined\]\n {2}try: torcello /,
    );
    assert.ok(machine !== undefined);
    const planned = await world.torcello(['deploy', 'waiting', '--plan']);
    assert.equal(planned.code, 0, planned.stderr);
    assert.match(planned.stdout, /^Off now, their plans wait: node-1$/m);
    const newer = await world.deploy('waiting', ['--supersedes', 'nightly']);
    const older = await world.torcello(['deployment', 'show', deployment, '--watch']);
    assert.match(older.stdout, /: superseded/);
    assert.equal(older.code, 5, older.stderr);
    assert.equal((await world.torcello(['cancel', newer])).code, 5);
  });
});

/** Pids of processes that carry the deployment's mark. */
function processesOf(deployment: string): readonly number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TORCELLO_DEPLOYMENT=${deployment}`);
      } catch {
        return false;
      }
    });
}
