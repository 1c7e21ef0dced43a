import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UnknownEventError, apply, decide, emptyDeployment } from '@torcello/contracts';
import type { DeploymentEvent, DeploymentState, Intent } from '@torcello/contracts';

const accepted: DeploymentEvent = {
  type: 'accepted',
  action: 'deploy',
  stages: [
    { name: 'a/db', needs: [], machines: ['m1'], failuresMax: 0 },
    { name: 'a/web', needs: ['a/db'], machines: ['m2', 'm3'], failuresMax: 1 },
  ],
};
const scheduled = (planId: string, machine: string, stage: string): DeploymentEvent => ({
  type: 'planScheduled',
  plan: { planId, machine, stage, digest: '0'.repeat(64) },
});
const stored = (planId: string): DeploymentEvent => ({ type: 'planStored', planId, storedAtMs: 1 });
const ended = (planId: string, outcome: 'succeeded' | 'failed'): DeploymentEvent => ({
  type: 'planEnded',
  planId,
  outcome,
});
const fold = (events: readonly DeploymentEvent[]): DeploymentState => events.reduce(apply, emptyDeployment);
const names = (intents: readonly Intent[]): string[] =>
  intents.map((intent) =>
    intent.do === 'schedule'
      ? `schedule ${intent.machine}`
      : intent.do === 'post'
        ? `post ${intent.plan.planId}`
        : intent.do === 'postCancel'
          ? `cancel ${intent.planId}`
          : intent.result,
  );

describe('a deployment', () => {
  const db = [accepted, scheduled('p1', 'm1', 'a/db')];
  const web = [
    ...db,
    stored('p1'),
    ended('p1', 'succeeded'),
    scheduled('p2', 'm2', 'a/web'),
    stored('p2'),
    scheduled('p3', 'm3', 'a/web'),
    stored('p3'),
  ];
  const table: readonly (readonly [string, readonly DeploymentEvent[], readonly string[]])[] = [
    ['schedules only stages whose needs hold', [accepted], ['schedule m1']],
    ['posts a letter that was written and perhaps never posted', db, ['post p1']],
    ['waits for the world', [...db, stored('p1')], []],
    ['goes on to the next stage', [...db, stored('p1'), ended('p1', 'succeeded')], ['schedule m2', 'schedule m3']],
    ['ends when a need failed', [...db, stored('p1'), ended('p1', 'failed')], ['failed']],
    [
      'bears as many failures as a stage allows',
      [...web, ended('p2', 'failed'), ended('p3', 'succeeded')],
      ['succeeded'],
    ],
    ['fails above that', [...web, ended('p2', 'failed'), ended('p3', 'failed')], ['failed']],
    [
      'lets the first end of a plan stay',
      [...web, ended('p2', 'succeeded'), ended('p2', 'failed'), ended('p3', 'failed')],
      ['succeeded'],
    ],
    ['ends when it was rejected', [accepted, { type: 'rejected', reason: 'no' }], ['failed']],
    ['does nothing after its end', [...db, { type: 'finished', result: 'cancelled' }], []],
    ['of nothing succeeds', [{ type: 'accepted', action: 'destroy', stages: [] }], ['succeeded']],
  ];
  for (const [says, events, expected] of table) {
    it(says, () => assert.deepEqual(names(decide(fold(events))), expected));
  }

  it('is not folded with an event of a newer release', () => {
    assert.throws(() => fold([accepted, { type: 'exploded' } as unknown as DeploymentEvent]), UnknownEventError);
  });
});
