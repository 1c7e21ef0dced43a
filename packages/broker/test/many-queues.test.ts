import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBroker } from '../src/index.js';
import { table } from '../src/admin-shown.js';
import type { MessageStore } from '../src/index.js';

/** More than V8 takes as arguments of one call. */
const count = 150_000;

function* declarations(): Iterable<{ readonly key: string; readonly value: string }> {
  for (let number = 1; number <= count; number++) {
    const record = { vhost: '/', name: `queue.${number}`, number, autoDelete: false, arguments: 'AAAAAA==' };
    yield { key: `queue/${number}`, value: JSON.stringify(record) };
  }
}

test(`a broker with ${count} queues starts, and goes on counting them`, async (t) => {
  const store: MessageStore = {
    isDurable: false,
    commit: () => Promise.resolve(),
    read: () => undefined,
    entities: declarations,
    messages: () => [],
    close: () => Promise.resolve(),
  };
  const broker = await startBroker({ store });
  t.after(() => broker.stop());
  const vhost = broker.vhosts.get('/');
  assert.equal(vhost?.queues.size, count);
  assert.equal(vhost?.queues.get(`queue.${count}`)?.definition.number, count);
});

test('as many rows are shown to an operator', () => {
  const rows = Array.from({ length: count }, (_none, at) => ({ name: `queue.${at}` }));
  assert.equal(table(rows, ['name']).split('\n').length, count + 1);
});
