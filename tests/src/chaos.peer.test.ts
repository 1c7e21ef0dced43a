import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCampaign } from './chaos/campaign.js';

test('half a minute of faults: nothing is lost, doubled, stuck or cut', async () => {
  const seed = 20261122;
  const said: string[] = [];
  const result = await runCampaign({ seed, minutes: 0.5, say: (line) => said.push(line) });
  assert.ok(result.deployments >= 3 && result.faults >= 5, `it did something: ${JSON.stringify(result)}`);
  const { lost, doubled, overlappingLeases, stuck, outputGaps } = result;
  assert.deepEqual(
    { lost, doubled, overlappingLeases, stuck, outputGaps },
    { lost: [], doubled: [], overlappingLeases: [], stuck: [], outputGaps: [] },
    `npm run chaos -- --seed ${seed} --minutes 0.5\n${said.join('\n')}`,
  );
});
