import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run, temporaryFolder } from '@torcello/test-support';
import { makeLedgerFleet, until, type LedgerFleet } from './support/ledger-fleet.js';
import { startStack, type Stack } from './support/stack.js';
import { root } from './tidy/sources.js';

/** Backup and restore by hand: the compiled `torcello` against the real programs. Needs a build. */

const bin = path.join(root, 'packages', 'cli', 'bin', 'torcello.js');

interface Quarantined {
  readonly planId: string;
  readonly deploymentId: string;
  readonly machine?: string;
  readonly outcome: string;
}

describe('a restore of an older backup', () => {
  const keep = temporaryFolder('backups');
  let stack: Stack;
  let fleet: LedgerFleet;
  before(async () => {
    stack = await startStack();
    fleet = await makeLedgerFleet(stack, { machines: 3, steps: 2 });
  });
  after(async () => {
    await stack.stop();
    keep.remove();
  });

  async function torcello(
    args: readonly string[],
  ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
    const { url, token } = stack.server();
    const running = run(process.execPath, [bin, ...args], { env: { TORCELLO_URL: url, TORCELLO_TOKEN: token } });
    return { code: (await running.exited).code, ...running.output() };
  }

  async function answer<Answer>(args: readonly string[]): Promise<Answer> {
    const { code, stdout, stderr } = await torcello([...args, '--json']);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as Answer;
  }

  const states = async (deployment: string): Promise<readonly string[]> =>
    (await fleet.view(deployment)).plans.map(({ machine, state }) => `${machine.name} ${state}`);

  test('settles truthfully, and what came after the backup can do no harm', async () => {
    const [first, second, third] = fleet.machines;
    assert.ok(first && second && third);
    const zombie = await stack.conductor();
    await stack.agent(first.name, first.joinLine);
    const away = await stack.agent(second.name, second.joinLine);
    const older = await fleet.deploy();
    await until(
      () => states(older),
      (seen) => seen.join() === 'node-1 succeeded,node-2 succeeded,node-3 stored',
    );

    const file = path.join(keep.path, 'torcello.backup');
    const made = await answer<{ readonly holds: readonly string[] }>(['backup', file, '--data', stack.folder]);
    assert.deepEqual(made.holds, ['admin-token', 'api-secret', 'plan-key.pem', 'plan-key.pem.pub', 'torcello.sqlite']);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match((await torcello(['backup', file])).stderr, /\[file_exists\]/);

    // After the backup: the third machine joins and ends the older deployment; newer ones follow.
    await stack.agent(third.name, third.joinLine);
    assert.equal((await fleet.ended(older)).state, 'succeeded');
    const newer = await fleet.deploy();
    assert.equal((await fleet.ended(newer)).state, 'succeeded');
    await away.stop();
    const newest = await fleet.deploy();
    await until(
      () => states(newest),
      (seen) => seen.join() === 'node-1 succeeded,node-2 stored,node-3 succeeded',
    );

    const refused = await torcello(['restore', file, '--data', stack.folder]);
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, /another process uses/);
    assert.equal((await fleet.view(newest)).plans.length, 3, 'nothing was changed');

    process.kill(zombie.pid, 'SIGSTOP');
    await stack.killApi();
    const restored = await torcello(['restore', file, '--data', stack.folder]);
    assert.equal(restored.code, 0, restored.stderr);
    await stack.restartApi();
    process.kill(zombie.pid, 'SIGCONT');
    await stack.conductor();
    await stack.agent(second.name, second.joinLine);

    // The third machine had answered, and its receipt had come: it is asked again and says the same.
    assert.equal((await fleet.ended(older)).state, 'succeeded');
    assert.deepEqual(await states(older), ['node-1 succeeded', 'node-2 succeeded', 'node-3 succeeded']);
    // The plan that lay in the mailbox of the second one belongs to a deployment that nobody here knows.
    const aside = await until(
      () => answer<readonly Quarantined[]>(['quarantine', 'list']),
      (seen) => seen.length > 0,
    );
    assert.deepEqual(
      aside.map(({ deploymentId, machine, outcome }) => [deploymentId, machine, outcome]),
      [[newest, 'node-2', 'succeeded']],
    );
    for (const lost of [newer, newest]) assert.equal((await torcello(['deployment', 'show', lost])).code, 1);
    assert.match((await torcello(['deployment', 'history', newest])).stderr, /younger than the backup/);
    assert.match((await torcello(['why', newest])).stdout, /kept aside/);
    for (const [step, times] of fleet.ledger()) assert.equal(times, 1, `${step} ran once`);

    const next = await fleet.deploy();
    assert.equal((await fleet.ended(next)).state, 'succeeded');
    assert.ok(readdirSync(stack.folder).some((name) => name.startsWith('before-restore-')));
    const agents = await stack.request<{ agents: readonly { state: string }[] }>('GET', '/v1/agents');
    assert.deepEqual(
      agents.agents.map(({ state }) => state),
      ['online', 'online', 'online'],
    );
  });
});
