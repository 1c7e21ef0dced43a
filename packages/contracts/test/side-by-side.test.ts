import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  type DeploymentEvent,
  type DeploymentState,
  type Outcome,
  type Stage,
  apply,
  decide,
  emptyDeployment,
  knownEventTypes,
} from '@torcello/contracts';
import * as earlier from './releases/earlier-deployment.js';

/** Two versions of the conductor at work on the same deployments, as in an upgrade: N, and this one, N+1. */

const folder = new URL('histories/', import.meta.url);
const histories = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({ name, ...(JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Recorded) }));

interface Recorded {
  readonly events: readonly DeploymentEvent[];
}

const oldTypes: readonly string[] = earlier.knownEventTypes;
const isOld = (event: DeploymentEvent): event is earlier.DeploymentEvent => oldTypes.includes(event.type);
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('two versions side by side', () => {
  for (const { name, events } of histories) {
    it(`decide the history ${name} alike, or the older one leaves it alone`, () => {
      let newState = emptyDeployment;
      let oldState = earlier.emptyDeployment;
      for (const [place, event] of events.entries()) {
        newState = apply(newState, event);
        if (!isOld(event)) {
          // It is never asked to: a claim names the events that it knows.
          assert.throws(() => earlier.apply(oldState, event as never), { code: 'UNKNOWN_EVENT' });
          assert.ok(!oldTypes.includes(event.type));
          return;
        }
        oldState = earlier.apply(oldState, event);
        assert.deepEqual(plain(earlier.decide(oldState)), plain(decide(newState)), `after event ${place}`);
      }
    });
  }

  it('know each others events: the newer one knows all of the older ones', () => {
    assert.deepEqual(
      oldTypes.filter((type) => !(knownEventTypes as readonly string[]).includes(type)),
      [],
    );
    assert.deepEqual(
      knownEventTypes.filter((type) => !oldTypes.includes(type)),
      ['leftAlone'],
    );
  });

  it('hand a deployment over at any event, and come to the same end: 1,000 of them', () => {
    const ends = new Map<string, number>();
    for (let seed = 1; seed <= 1_000; seed++) {
      const end = runTogether(seed);
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
    assert.deepEqual([...ends.keys()].toSorted(), ['cancelled', 'failed', 'succeeded', 'superseded']);
  });
});

/** A small generator, the same for a seed everywhere. */
function randomOf(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 3_266_489_917) | 0;
    return Math.abs(state) % below;
  };
}

/** Runs a deployment to its end; before each decision it is thrown for which version decides. Both fold everything. */
function runTogether(seed: number): string {
  const random = randomOf(seed);
  const history: earlier.DeploymentEvent[] = [{ type: 'accepted', action: 'deploy', stages: stagesOf(random) }];
  let plans = 0;
  let resumes = 0;
  for (let turn = 0; turn < 400; turn++) {
    const [old, now] = [history.reduce(earlier.apply, earlier.emptyDeployment), history.reduce(apply, emptyDeployment)];
    assert.deepEqual(plain(old), plain(now), `seed ${seed}`);
    assert.deepEqual(plain(earlier.decide(old)), plain(decide(now)), `seed ${seed}`);
    if (now.result !== undefined) {
      const isMendable = now.result === 'failed' || now.result === 'cancelled';
      if (!isMendable || resumes >= 2 || random(3) > 0) return now.result;
      resumes += 1;
      history.push({ type: 'resumed', fixes: [] });
      continue;
    }
    const intents = random(2) === 0 ? earlier.decide(old) : decide(now);
    if (intents.length === 0 || random(8) === 0) history.push(...world(random, now));
    for (const intent of intents.slice(0, 1 + random(intents.length))) {
      if (intent.do === 'finish') history.push({ type: 'finished', result: intent.result });
      else if (intent.do === 'post') history.push({ type: 'planStored', planId: intent.plan.planId, storedAtMs: 0 });
      else if (intent.do === 'postCancel') history.push({ type: 'cancelStored', planId: intent.planId });
      else {
        const { do: _, ...order } = intent;
        history.push({ type: 'planScheduled', plan: { planId: `p${(plans += 1)}`, digest: 'd', ...order } });
      }
      // What the world brought in between changes what is to be done.
      if (intent.do === 'finish' || history.at(-2)?.type === 'cancelRequested') break;
    }
  }
  throw new Error(`seed ${seed} does not end`);
}

function stagesOf(random: (below: number) => number): readonly Stage[] {
  return Array.from({ length: 1 + random(3) }, (_, place) => ({
    name: `s/${place}`,
    needs: place > 0 && random(2) === 0 ? [`s/${place - 1}`] : [],
    machines: Array.from({ length: 1 + random(3) }, (__, machine) => `m${machine}`),
    failuresMax: random(2),
    ...(random(2) === 0 ? { group: 'g' } : {}),
  }));
}

const outcomes: readonly Outcome[] = ['succeeded', 'succeeded', 'succeeded', 'failed', 'expired', 'interrupted'];

/** What agents and users bring. */
function world(random: (below: number) => number, state: DeploymentState): readonly earlier.DeploymentEvent[] {
  const open = state.plans.filter((plan) => plan.outcome === undefined);
  const plan = open[random(Math.max(1, open.length))];
  const chance = random(20);
  if (chance === 0 && state.cancelGraceMs === undefined) return [{ type: 'cancelRequested', graceMs: 0 }];
  if (chance === 1 && state.supersededBy === undefined) return [{ type: 'supersedeRequested', by: 'd2' }];
  if (plan === undefined) return [];
  const outcome = outcomes[random(outcomes.length)] ?? 'succeeded';
  const { planId } = plan;
  return [{ type: 'planEnded', planId, outcome, ...(outcome === 'failed' ? { failedStep: 'start' } : {}) }];
}
