import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnknownEventError, apply, decide, emptyDeployment } from '@torcello/contracts';
import type { DeploymentEvent, DeploymentState, Intent, Outcome, Stage } from '@torcello/contracts';

const db: Stage = { name: 'app/db', needs: [], machines: ['d1'], failuresMax: 0 };
const web: Stage = { name: 'app/web', needs: ['app/db'], machines: ['w1', 'w2'], failuresMax: 1 };
const accepted: DeploymentEvent = { type: 'accepted', action: 'deploy', stages: [db, web] };

const scheduled = (machine: string, stage: Stage): DeploymentEvent => ({
  type: 'planScheduled',
  plan: { planId: `plan-${machine}`, machine, stage: stage.name, digest: 'd' },
});
const stored = (machine: string): DeploymentEvent => ({ type: 'planStored', planId: `plan-${machine}`, storedAtMs: 1 });
const ended = (machine: string, outcome: Outcome = 'succeeded'): DeploymentEvent => ({
  type: 'planEnded',
  planId: `plan-${machine}`,
  outcome,
});
const after = (...events: readonly DeploymentEvent[]): DeploymentState => events.reduce(apply, emptyDeployment);
const brief = (intents: readonly Intent[]): readonly string[] => intents.map(briefOne);
function briefOne(intent: Intent): string {
  if (intent.do === 'schedule')
    return `schedule ${intent.machine}${intent.fromStep === undefined ? '' : ` from ${intent.fromStep}`}`;
  if (intent.do === 'post') return `post ${intent.plan.machine}`;
  return intent.do === 'postCancel' ? `cancel ${intent.machine} within ${intent.graceMs}` : intent.result;
}

const dbDone = [accepted, scheduled('d1', db), stored('d1'), ended('d1')];
const webScheduled = [...dbDone, scheduled('w1', web), scheduled('w2', web)];

const cases: readonly {
  readonly says: string;
  readonly events: readonly DeploymentEvent[];
  readonly decides: readonly string[];
}[] = [
  { says: 'a stage without needs starts at once, one with needs waits', events: [accepted], decides: ['schedule d1'] },
  {
    says: 'a scheduled plan that is not stored is posted',
    events: [accepted, scheduled('d1', db)],
    decides: ['post d1'],
  },
  { says: 'a stored plan leaves nothing to do', events: [accepted, scheduled('d1', db), stored('d1')], decides: [] },
  { says: 'a stage that holds lets the next one start', events: dbDone, decides: ['schedule w1', 'schedule w2'] },
  {
    says: 'a failed need stops what comes after it',
    events: [...dbDone.slice(0, 3), ended('d1', 'failed')],
    decides: ['failed'],
  },
  {
    says: 'a plan that ended before it was stored is not posted again',
    events: [...webScheduled, ended('w1')],
    decides: ['post w2'],
  },
  {
    says: 'one failure of a stage that allows one does not fail the deployment',
    events: [...webScheduled, stored('w1'), stored('w2'), ended('w1', 'failed'), ended('w2')],
    decides: ['succeeded'],
  },
  {
    says: 'two failures of a stage that allows one do',
    events: [...webScheduled, stored('w1'), stored('w2'), ended('w1', 'failed'), ended('w2', 'expired')],
    decides: ['failed'],
  },
  {
    says: 'a rejected deployment schedules nothing and fails',
    events: [accepted, { type: 'rejected', reason: 'r' }],
    decides: ['failed'],
  },
  {
    says: 'a rejected deployment waits for the plans that run',
    events: [accepted, scheduled('d1', db), stored('d1'), { type: 'rejected', reason: 'r' }],
    decides: [],
  },
  {
    says: 'a finished deployment decides nothing',
    events: [...dbDone, { type: 'finished', result: 'failed' }],
    decides: [],
  },
  {
    says: 'a cancel goes to every open plan, stored or not, and the deployment is cancelled at once',
    events: [...webScheduled, stored('w1'), { type: 'cancelRequested', graceMs: 5 }],
    decides: ['cancel w1 within 5', 'cancel w2 within 5', 'cancelled'],
  },
  {
    says: 'a cancel letter is not posted again',
    events: [...webScheduled, { type: 'cancelRequested', graceMs: 5 }, { type: 'cancelStored', planId: 'plan-w1' }],
    decides: ['cancel w2 within 5', 'cancelled'],
  },
  {
    says: 'a superseded deployment schedules nothing more and is over',
    events: [...dbDone, { type: 'supersedeRequested', by: 'newer' }],
    decides: ['superseded'],
  },
  {
    says: 'a resume tries the failed machine again from its failed step, and only that one',
    events: [
      ...webScheduled,
      stored('w1'),
      stored('w2'),
      ended('w1'),
      { type: 'planEnded', planId: 'plan-w2', outcome: 'failed', failedStep: 'start' },
      { type: 'finished', result: 'failed' },
      { type: 'resumed', fixes: [] },
    ],
    decides: ['schedule w2 from start'],
  },
  {
    says: 'a resume after a cancel schedules what never started, from the beginning',
    events: [
      ...dbDone,
      scheduled('w1', web),
      { type: 'cancelRequested', graceMs: 5 },
      { type: 'finished', result: 'cancelled' },
      ended('w1', 'cancelled'),
      { type: 'resumed', fixes: [] },
    ],
    decides: ['schedule w1', 'schedule w2'],
  },
  {
    says: 'a deployment without stages has succeeded',
    events: [{ type: 'accepted', action: 'destroy', stages: [] }],
    decides: ['succeeded'],
  },
];
for (const { says, events, decides } of cases) {
  test(says, () => assert.deepEqual(brief(decide(after(...events))), decides));
}

const batches: readonly Stage[] = [
  { name: 'app/web#1', needs: [], machines: ['w1'], failuresMax: 1, group: 'app/web' },
  { name: 'app/web#2', needs: ['app/web#1'], machines: ['w2'], failuresMax: 1, group: 'app/web' },
  { name: 'app/web#3', needs: ['app/web#2'], machines: ['w3'], failuresMax: 1, group: 'app/web' },
];
const rollOut: DeploymentEvent = { type: 'accepted', action: 'deploy', stages: batches };
const batch = (number: number, outcome: Outcome): readonly DeploymentEvent[] => {
  const stage = batches[number - 1] ?? web;
  return [scheduled(`w${number}`, stage), stored(`w${number}`), ended(`w${number}`, outcome)];
};

test('a batch starts when the one before has ended within the limit of its group', () => {
  assert.deepEqual(brief(decide(after(rollOut))), ['schedule w1']);
  assert.deepEqual(brief(decide(after(rollOut, ...batch(1, 'failed')))), ['schedule w2']);
});

test('failures of earlier batches count: over the limit the roll-out stops and the rest is not started', () => {
  assert.deepEqual(brief(decide(after(rollOut, ...batch(1, 'failed'), ...batch(2, 'failed')))), ['failed']);
  assert.deepEqual(brief(decide(after(rollOut, ...batch(1, 'failed'), ...batch(2, 'succeeded')))), ['schedule w3']);
});

test('a machine that fails in its batch and in the gate after it counts once', () => {
  const gate: Stage = {
    name: 'app/web#1~gate',
    needs: ['app/web#1'],
    machines: ['w1'],
    failuresMax: 1,
    group: 'app/web',
  };
  const second: Stage = { name: 'app/web#2', needs: [gate.name], machines: ['w2'], failuresMax: 1, group: 'app/web' };
  const first: Stage = { name: 'app/web#1', needs: [], machines: ['w1'], failuresMax: 1, group: 'app/web' };
  const begin: DeploymentEvent = { type: 'accepted', action: 'deploy', stages: [first, gate, second] };
  const gated = { type: 'planScheduled', plan: { planId: 'g', machine: 'w1', stage: gate.name, digest: 'd' } } as const;
  const failedTwice = [scheduled('w1', first), ended('w1', 'failed'), gated] as const;
  assert.deepEqual(brief(decide(after(begin, ...failedTwice, { type: 'planEnded', planId: 'g', outcome: 'failed' }))), [
    'schedule w2',
  ]);
});

test('the first end of a plan stays', () => {
  const state = after(...webScheduled, ended('w1', 'expired'), ended('w1', 'succeeded'));
  assert.equal(state.plans.find((plan) => plan.machine === 'w1')?.outcome, 'expired');
});

test('an event of a newer release is refused by its name', () => {
  const event = { type: 'paused' } as unknown as DeploymentEvent;
  assert.throws(
    () => apply(emptyDeployment, event),
    (error) => error instanceof UnknownEventError && error.eventType === 'paused',
  );
});
