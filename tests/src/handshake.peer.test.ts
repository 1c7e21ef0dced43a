import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  protonMissing,
  rabbitMqMissing,
  run,
  startProtonBroker,
  startRabbitMq,
  type ProtonBroker,
  type Running,
} from '@torcello/test-support';
import { makeLedgerFleet, until, type LedgerFleet } from './support/ledger-fleet.js';
import { startStack, type Stack } from './support/stack.js';
import { root } from './tidy/sources.js';

/** The main job where the broker keeps no mailboxes: plans wait in the API's database. Needs a build. */

const noProton = protonMissing('c');
const crashAt = path.join(root, 'tests/src/support/crash-at.mjs');
const [machines, steps] = [2, 3];

interface Plan {
  readonly stored: string;
  readonly agentStarted: string;
  readonly finished: string;
}

async function quickstart(transport: string): Promise<{ readonly plans: readonly Plan[]; readonly told: string }> {
  const env = { TORCELLO_TRANSPORT: transport };
  const running = run(process.execPath, ['scripts/quickstart.mjs', '--once', '--json'], { cwd: root, env });
  const { code } = await running.exited;
  const { stdout, stderr } = running.output();
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const summary = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as { ok: boolean; plans: readonly Plan[] };
  assert.equal(summary.ok, true, stderr);
  assert.equal(summary.plans.length, 3);
  for (const plan of summary.plans) assert.ok(plan.stored < plan.agentStarted && plan.agentStarted < plan.finished);
  return { plans: summary.plans, told: stderr };
}

test('the quickstart runs over Proton and says where the plans wait', { skip: noProton ?? false }, async () => {
  const broker = await startProtonBroker('c');
  try {
    const { told } = await quickstart(broker.url);
    assert.match(told, /web-1 has never joined; the broker keeps no mailboxes, so the plan waits in the database/);
    assert.match(told, /the database of the API has stored all 3 plans; now the agents start/);
  } finally {
    await broker.stop();
  }
});

const noRabbit = rabbitMqMissing();

test("the quickstart runs over RabbitMQ's AMQP 1.0 plugin", { skip: noRabbit ?? false }, async () => {
  const rabbit = await startRabbitMq({ plugins: ['rabbitmq_amqp1_0'] });
  try {
    await quickstart(`amqp1://guest:guest@127.0.0.1:${rabbit.port}`);
  } finally {
    await rabbit.stop();
  }
});

describe('over Proton a program killed with -9 while steps run', { skip: noProton ?? false }, () => {
  let broker: ProtonBroker;
  let stack: Stack;
  let fleet: LedgerFleet;
  let agents: readonly Running[];
  let conductor: Running;
  const startAgents = (): Promise<readonly Running[]> =>
    Promise.all(fleet.machines.map(({ name, joinLine }) => stack.agent(name, joinLine)));
  before(async () => {
    broker = await startProtonBroker('c');
    stack = await startStack({ transport: broker.url });
    fleet = await makeLedgerFleet(stack, { machines, steps, stepMs: 700 });
    conductor = await stack.conductor();
    agents = await startAgents();
  });
  after(async () => {
    await stack.stop();
    await broker.stop();
  });

  const killAgents = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.stop('SIGKILL')));
  };
  const kills: Readonly<Record<string, () => Promise<void>>> = {
    'every agent': async () => {
      await killAgents();
      agents = await startAgents();
    },
    'the broker, with everything in its memory': async () => {
      await broker.kill();
      await broker.restart();
    },
    'broker, API and agents together': async () => {
      await Promise.all([broker.kill(), stack.killApi(), killAgents()]);
      await broker.restart();
      await stack.restartApi();
      agents = await startAgents();
    },
  };
  for (const [what, kill] of Object.entries(kills)) {
    test(`${what}: the deployment ends well and every step ran once`, async () => {
      const deployment = await fleet.deploy();
      await until(
        () => fleet.view(deployment),
        ({ plans }) => plans.length === machines && plans.every((plan) => plan.state === 'running'),
      );
      await kill();
      assert.equal((await fleet.ended(deployment)).state, 'succeeded');
      assertRanOnce(fleet, deployment);
    });
  }

  test('a plan that was stored while nothing but the API ran is not lost with API and broker', async () => {
    await killAgents();
    const deployment = await fleet.deploy();
    const stored = ({ plans }: { readonly plans: readonly { readonly state: string }[] }): boolean =>
      plans.length === machines && plans.every(({ state }) => state === 'stored');
    await until(() => fleet.view(deployment), stored);
    await Promise.all([broker.kill(), stack.killApi()]);
    await broker.restart();
    await stack.restartApi();
    assert.ok(stored(await fleet.view(deployment)));
    agents = await startAgents();
    assert.equal((await fleet.ended(deployment)).state, 'succeeded');
    assertRanOnce(fleet, deployment);
  });

  test('a conductor killed right after a plan was stored: another goes on, and every step runs once', async () => {
    await conductor.stop('SIGTERM');
    const crash = { channel: 'torcello:conductor', point: 'posted', nth: 1, marker: path.join(stack.folder, 'killed') };
    const env = { TORCELLO_TEST_CRASH: JSON.stringify(crash) };
    const conductors = await Promise.all([stack.conductor(env, [crashAt]), stack.conductor(env, [crashAt])]);
    const deployment = await fleet.deploy();
    const { signal } = await Promise.race(conductors.map(({ exited }) => exited));
    assert.equal(signal, 'SIGKILL');
    assert.equal((await fleet.ended(deployment)).state, 'succeeded');
    assertRanOnce(fleet, deployment);
  });
});

function assertRanOnce(fleet: LedgerFleet, deployment: string): void {
  const runs = [...fleet.ledger()].filter(([name]) => name.startsWith(deployment));
  assert.equal(runs.length, machines * steps);
  assert.deepEqual(
    runs.filter(([, times]) => times !== 1),
    [],
    'no step ran twice',
  );
}
