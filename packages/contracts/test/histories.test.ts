import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { type DeploymentEvent, type Intent, apply, decide, emptyDeployment } from '@torcello/contracts';

/** A history that a release once wrote, and what it decided after each of its events. */
interface RecordedHistory {
  readonly release: string;
  readonly events: readonly DeploymentEvent[];
  readonly decisions: readonly (readonly Intent[])[];
}

const folder = new URL('histories/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));

test('there are recorded histories of every kind of end', () => {
  const results = names.flatMap((name) =>
    read(name).events.flatMap((event) => ('result' in event ? event.result : [])),
  );
  assert.deepEqual(new Set(results), new Set(['succeeded', 'failed', 'cancelled', 'superseded']));
});

for (const name of names) {
  test(`the history ${name} is decided as it was`, () => {
    const { events, decisions } = read(name);
    assert.equal(decisions.length, events.length);
    let state = emptyDeployment;
    for (const [place, event] of events.entries()) {
      if (place > 0) assertDecided(event, decide(state), place);
      state = apply(state, event);
      assert.deepEqual(
        JSON.parse(JSON.stringify(decide(state))),
        decisions[place],
        `after event ${place} (${event.type})`,
      );
    }
  });
}

/** What a conductor wrote as a decision, it had decided on exactly what was there before. */
function assertDecided(event: DeploymentEvent, intents: readonly Intent[], place: number): void {
  if (event.type === 'planScheduled') {
    const { machine, stage, fromStep } = event.plan;
    const wanted = { do: 'schedule', machine, stage, ...(fromStep === undefined ? {} : { fromStep }) };
    const isThere = intents.some((intent) => JSON.stringify(intent) === JSON.stringify(wanted));
    assert.ok(isThere, `event ${place}: nobody decided to plan ${machine} in ${stage}`);
  }
  if (event.type === 'finished') assert.deepEqual(intents, [{ do: 'finish', result: event.result }], `event ${place}`);
}

function read(name: string): RecordedHistory {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as RecordedHistory;
}
