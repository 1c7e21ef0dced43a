import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Running } from '@torcello/test-support';
import { makeLedgerFleet, until } from './support/ledger-fleet.js';
import type { LedgerFleet } from './support/ledger-fleet.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';

const [machines, steps] = [2, 3];

describe('a program killed with -9 while steps run, and started again', () => {
  let stack: Stack;
  let fleet: LedgerFleet;
  let agents: readonly Running[];
  const startAgents = (): Promise<readonly Running[]> =>
    Promise.all(fleet.machines.map(({ name, joinLine }) => stack.agent(name, joinLine)));
  before(async () => {
    stack = await startStack();
    fleet = await makeLedgerFleet(stack, { machines, steps, stepMs: 1000 });
    await stack.conductor();
    agents = await startAgents();
  });
  after(() => stack.stop());

  const kills: readonly { readonly what: string; readonly kill: () => Promise<void> }[] = [
    {
      what: 'the broker',
      kill: async () => {
        await stack.killBroker();
        await stack.restartBroker();
      },
    },
    {
      what: 'the API',
      kill: async () => {
        await stack.killApi();
        await stack.restartApi();
      },
    },
    {
      what: 'every agent',
      kill: async () => {
        await Promise.all(agents.map((agent) => agent.stop('SIGKILL')));
        agents = await startAgents();
      },
    },
    {
      what: 'broker and API together',
      kill: async () => {
        await Promise.all([stack.killBroker(), stack.killApi()]);
        await stack.restartBroker();
        await stack.restartApi();
      },
    },
  ];
  for (const { what, kill } of kills) {
    test(`${what}: the deployment ends well and every step ran once`, async () => {
      const deployment = await fleet.deploy();
      await until(
        () => fleet.view(deployment),
        ({ plans }) => plans.length === machines && plans.every((plan) => plan.state === 'running'),
      );
      await kill();
      const { state } = await fleet.ended(deployment);
      assert.equal(state, 'succeeded');
      const runs = [...fleet.ledger()].filter(([name]) => name.startsWith(deployment));
      assert.equal(runs.length, machines * steps);
      assert.deepEqual(
        runs.filter(([, times]) => times !== 1),
        [],
        'no step ran twice',
      );
    });
  }

  test('all three programs were away when the agents finished: the results are not lost', async () => {
    const deployment = await fleet.deploy();
    await until(
      () => fleet.view(deployment),
      ({ plans }) => plans.length === machines && plans.every((plan) => plan.state === 'running'),
    );
    await Promise.all([stack.killBroker(), stack.killApi()]);
    await until(
      () => Promise.resolve([...fleet.ledger()].filter(([name]) => name.startsWith(deployment)).length),
      (begun) => begun === machines * steps,
    );
    await stack.restartBroker();
    await stack.restartApi();
    assert.equal((await fleet.ended(deployment)).state, 'succeeded');
  });
});
