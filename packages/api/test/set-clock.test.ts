import assert from 'node:assert/strict';
import { it } from 'node:test';
import { TestApi, deployShop } from './support/test-api.js';

const dayMs = 86_400_000;

it('the newest deployment of an environment is the one that was accepted last, also after the clock was set back', async () => {
  await using test = await TestApi.open();
  test.clock.set(dayMs);
  const { deployment: first, environment } = await deployShop(test);
  await test.call('POST', `/v1/deployments/${first}/cancel`);
  test.clock.set(-dayMs);
  const session = await test.call('POST', `/v1/environments/${environment}/configure`);
  const deployed = await test.call('POST', `/v1/environments/${environment}/sessions/${session.body.id}/deploy`);
  const second = String(deployed.headers['x-torcello-deployment']);
  await test.call('POST', `/v1/deployments/${second}/cancel`);
  const { body } = await test.call('GET', `/v1/environments/${environment}/deployments`);
  assert.deepEqual(
    body.deployments.map(({ id }: { id: string }) => id),
    [second, first],
  );
  const old = await test.call('POST', `/v1/deployments/${first}/resume`);
  assert.deepEqual([old.status, old.body.code], [409, 'not_resumable']);
  const resumed = await test.call('POST', `/v1/deployments/${second}/resume`);
  assert.deepEqual([resumed.status, resumed.body.state], [200, 'queued'], resumed.text);
});
