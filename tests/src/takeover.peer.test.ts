import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Running } from '@torcello/test-support';
import { makeLedgerFleet } from './support/ledger-fleet.js';
import type { LedgerFleet } from './support/ledger-fleet.js';
import { startStack } from './support/stack.js';
import type { Stack } from './support/stack.js';
import { root } from './tidy/sources.js';

const crashAt = path.join(root, 'tests/src/support/crash-at.mjs');
const machines = 3;
const steps = 2;

/** Every point between a decision and its outcome, and how often it is reached before the kill. */
const kills: readonly { readonly point: string; readonly nth: number }[] = [
  { point: 'claimed', nth: 1 },
  { point: 'appending', nth: 1 },
  { point: 'appended', nth: 1 },
  { point: 'posting', nth: 1 },
  { point: 'posting', nth: 3 },
  { point: 'posted', nth: 1 },
  { point: 'posted', nth: 2 },
  { point: 'posted', nth: 3 },
  { point: 'stored', nth: 1 },
  { point: 'finishing', nth: 1 },
  { point: 'finished', nth: 1 },
  { point: 'released', nth: 1 },
];

describe('two conductors, one killed with -9 in mid-deployment', () => {
  let stack: Stack;
  let fleet: LedgerFleet;
  before(async () => {
    stack = await startStack({ leaseMs: 1500, sweepMs: 300 });
    fleet = await makeLedgerFleet(stack, { machines, steps });
    await Promise.all(fleet.machines.map(({ name, joinLine }) => stack.agent(name, joinLine)));
  });
  after(() => stack.stop());

  for (const { point, nth } of kills) {
    test(`killed at "${point}" the ${nth}. time: the other goes on, every step runs once, no letter is forgotten`, async () => {
      const marker = path.join(stack.folder, `killed-${point}-${nth}`);
      const crash = { channel: 'torcello:conductor', point, nth, marker };
      const env = { TORCELLO_TEST_CRASH: JSON.stringify(crash) };
      const conductors = await Promise.all([stack.conductor(env, [crashAt]), stack.conductor(env, [crashAt])]);
      const deployment = await fleet.deploy();
      const { signal } = await Promise.race(conductors.map(({ exited }) => exited));
      assert.equal(signal, 'SIGKILL', 'one conductor has been killed at the point');
      const { state, plans } = await fleet.ended(deployment);
      assert.equal(state, 'succeeded');
      assert.deepEqual(
        plans.map((plan) => plan.state),
        Array(machines).fill('succeeded'),
      );
      const runs = [...fleet.ledger()].filter(([name]) => name.startsWith(deployment));
      assert.equal(runs.length, machines * steps, 'every step of every machine ran');
      assert.deepEqual(
        runs.filter(([, times]) => times !== 1),
        [],
        'no step ran twice',
      );
      await stopAll(conductors);
    });
  }
});

async function stopAll(running: readonly Running[]): Promise<void> {
  await Promise.all(running.map((one) => one.stop('SIGTERM')));
}
