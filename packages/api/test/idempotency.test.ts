import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
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

  it('keeps no secret: a token is shown to the first request alone, and the next learns which one it was', async () => {
    const test = await TestApi.open();
    const headers = { 'idempotency-key': 'token-1' };
    const make = (body: object) => test.call('POST', '/v1/tokens', { headers, body });
    assert.equal((await make({ tenant: 'mine' })).status, 400);
    headers['idempotency-key'] = 'token-2';
    const first = await make({ tenant: 'mine', user: 'me' });
    assert.equal(first.status, 201);
    const { id, token } = first.body;
    const again = await make({ tenant: 'mine', user: 'me' });
    assert.deepEqual([again.status, again.body.code], [409, 'shown_once']);
    assert.ok(!again.text.includes(token), 'not once more');
    assert.match(again.body.detail, new RegExp(id));
    assert.match(again.body.cure, new RegExp(`torcello token revoke ${id}`));
    assert.equal((await make({ tenant: 'mine', user: 'you' })).status, 422);
    assert.equal((await test.call('GET', '/v1/tokens')).body.tokens.length, 1);
    assert.equal((await test.call('GET', '/v1/environments', { token })).status, 200);
    await test.stop();
    for (const name of readdirSync(test.folder)) {
      const bytes = readFileSync(path.join(test.folder, name));
      assert.ok(!bytes.includes(token), `${name} does not hold it`);
    }
  });
});
