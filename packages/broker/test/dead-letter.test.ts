import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untyped } from '@torcello/amqp091';
import type { FieldTable } from '@torcello/amqp091';
import { isDeathCycle, propertiesAfterDeath } from '../src/dead-letter.js';
import type { Death } from '../src/dead-letter.js';

const death: Death = { queue: 'q', reason: 'expired', exchange: 'x', routingKeys: ['k'], atMs: 1_700_000_000_500 };

function deathsOf(headers: FieldTable | undefined): readonly FieldTable[] {
  return (headers?.['x-death'] ?? []) as readonly FieldTable[];
}

test('the first death makes the history, and takes the expiration away', () => {
  const { headers, expiration } = propertiesAfterDeath({ expiration: '60', headers: { own: 1 } }, death);
  const [first] = deathsOf(headers);
  assert.equal(expiration, undefined);
  assert.equal(headers?.['own'], 1);
  assert.equal(untyped(first?.['count']), 1);
  assert.equal(untyped(first?.['time']), 1_700_000_000);
  assert.equal(first?.['original-expiration'], '60');
  assert.deepEqual(first?.['routing-keys'], ['k']);
  assert.equal(headers?.['x-first-death-queue'], 'q');
});

test('the same death again counts up, another one goes in front', () => {
  const once = propertiesAfterDeath({}, death);
  const twice = propertiesAfterDeath(once, death);
  const other = propertiesAfterDeath(twice, { ...death, queue: 'r', reason: 'rejected' });
  const list = deathsOf(other.headers).map((table) => [table['queue'], table['reason'], untyped(table['count'])]);
  assert.deepEqual(list, [
    ['r', 'rejected', 1],
    ['q', 'expired', 2],
  ]);
  assert.equal(other.headers?.['x-first-death-queue'], 'q');
  assert.equal(other.headers?.['x-last-death-queue'], 'r');
});

test('a circle in which nobody rejects is one, with a rejection it is none', () => {
  const expired = propertiesAfterDeath({}, death);
  assert.equal(isDeathCycle(expired.headers, 'q'), true);
  assert.equal(isDeathCycle(expired.headers, 'r'), false);
  const rejected = propertiesAfterDeath(expired, { ...death, queue: 'r', reason: 'rejected' });
  assert.equal(isDeathCycle(rejected.headers, 'q'), false);
  assert.equal(isDeathCycle(undefined, 'q'), false);
});
