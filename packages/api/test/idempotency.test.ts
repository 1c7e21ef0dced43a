import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SimulatedClock } from '@torcello/platform/testing';
import { TestApi, stagedShop } from './support/test-api.js';

describe('Idempotency-Key', () => {
  it('answers the same request again and does it once', async () => {
    const test = await TestApi.open();
    const { environment, session } = await stagedShop(test);
    const url = `/v1/environments/${environment}/sessions/${session}/deploy`;
    const headers = { 'idempotency-key': 'deploy-1' };
    const first = await test.call('POST', url, { headers });
    const second = await test.call('POST', url, { headers });
    assert.deepEqual([first.status, second.status], [200, 200]);
    assert.equal(second.headers['x-torcello-deployment'], first.headers['x-torcello-deployment']);
    assert.equal(second.headers['idempotency-replayed'], 'true');
    assert.equal((await test.call('GET', '/v1/deployments')).body.deployments.length, 1);
    assert.equal((await test.call('POST', url, { headers: { 'idempotency-key': 'deploy-2' } })).status, 403);
    const other = await test.call('POST', url, { headers, body: { deliverWithinMs: 5_000 } });
    assert.equal(other.status, 422, other.text);
    await test.stop();
    const testClock = new SimulatedClock(test.clock.now() + 86_400_001);
    await using later = await TestApi.open({ folder: test.folder, testClock });
    assert.equal((await later.call('POST', url, { headers })).status, 403);
  });
});
