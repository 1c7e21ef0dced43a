import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sql } from 'kysely';
import { temporaryFolder } from '@torcello/test-support';
import { openStore } from '../src/database/store.js';
import type { Store } from '../src/database/store.js';
import { apiLimits } from '../src/limits.js';
import { TestApi, stagedShop } from './support/test-api.js';

/** A limit of what may pile up, and how a test makes that much of it. */
interface Pile {
  readonly limit: 'outboxRowsMax' | 'deploymentsUnclaimedMax';
  readonly add: (store: Store, count: number) => Promise<unknown>;
  readonly clear: (store: Store) => Promise<unknown>;
  readonly says: RegExp;
}

const numbers = (count: number) =>
  sql`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})`;

const piles: readonly Pile[] = [
  {
    limit: 'outboxRowsMax',
    add: (store, count) =>
      sql`${sql.raw('insert into outbox (mailbox, message_id, subject, headers, body, created_at)')}
        ${numbers(count)} select 'm', 'filler-' || i, 's', '{}', '{}', 0 from n`.execute(store.db),
    clear: (store) => sql`delete from outbox`.execute(store.db),
    says: /letters wait for the broker \(outboxRowsMax\)/,
  },
  {
    limit: 'deploymentsUnclaimedMax',
    add: (store, count) =>
      sql`insert into deployments
        (id, environment_id, environment_name, action, model, state, epoch, length, is_parked, accepted_at)
        ${numbers(count)} select 'filler-' || i, 'e', 'e', 'deploy', '{}', 'queued', 0, 1, 0, 0 from n`.execute(
        store.db,
      ),
    clear: (store) => sql`delete from deployments`.execute(store.db),
    says: /deployments wait for a conductor \(deploymentsUnclaimedMax\)/,
  },
];

describe('back-pressure', () => {
  for (const { limit, add, clear, says } of piles) {
    it(`${limit}: one less is accepted, as many or more are refused until it is less again`, async () => {
      const home = temporaryFolder('overload');
      const store = await openStore(home.path);
      {
        await using test = await TestApi.open({ folder: home.path, store });
        const { environment, session } = await stagedShop(test);
        const deploy = () => test.call('POST', `/v1/environments/${environment}/sessions/${session}/deploy`);
        const max = apiLimits[limit].value;
        for (const more of [1, 0]) {
          await clear(store);
          await add(store, max + more);
          const refused = await deploy();
          assert.equal(refused.status, 503, refused.text);
          assert.match(String(refused.headers['retry-after']), /^[1-9]\d*$/);
          assert.match(refused.body.error.message, says);
          assert.equal(refused.body.error.code, 'overloaded');
        }
        await clear(store);
        await add(store, max - 1);
        const accepted = await deploy();
        assert.equal(accepted.status, 200, accepted.text);
        const deployment = String(accepted.headers['x-torcello-deployment']);
        // What ends work is never refused; what brings more is.
        const cancelled = await test.call('POST', `/v1/deployments/${deployment}/cancel`);
        assert.equal(cancelled.status, 200, cancelled.text);
        await clear(store);
        await add(store, max);
        const resumed = await test.call('POST', `/v1/deployments/${deployment}/resume`);
        assert.ok(resumed.status === 503 || limit === 'deploymentsUnclaimedMax', resumed.text);
      }
      home.remove();
    });
  }

  it('a broker that is away is none: the deployment is accepted and says so', async () => {
    await using test = await TestApi.open();
    const { environment, session } = await stagedShop(test);
    await test.clock.advance(600_000);
    const accepted = await test.call('POST', `/v1/environments/${environment}/sessions/${session}/deploy`);
    assert.equal(accepted.status, 200);
    await test.clock.advance(600_000);
    const view = await test.view(String(accepted.headers['x-torcello-deployment']));
    assert.deepEqual([view.state, view.why.code], ['queued', 'queued-broker-unreachable']);
  });
});
