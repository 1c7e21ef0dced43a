import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBroker } from '../src/index.js';
import { MemoryStore } from '../src/index.js';

const user = { name: 'agent', tags: [], permissions: {}, topicPermissions: {} };

test('a password that changes while somebody logs in with the old one is the new one', async (t) => {
  const broker = await startBroker({ store: new MemoryStore() });
  t.after(() => broker.stop());
  const { users } = broker;
  await users.put('agent', { password: 'old', tags: [] });
  await users.put('model', { password: 'new', tags: [] });
  const passwordHash = users.get('model')?.passwordHash ?? '';
  const withOld = users.login('agent', 'old');
  const withNew = users.login('agent', 'new');
  users.restore({ ...user, passwordHash });
  assert.equal(await withOld, undefined);
  assert.equal((await withNew)?.passwordHash, passwordHash);
  assert.equal((await users.login('agent', 'new'))?.passwordHash, passwordHash);
});

test('a user who goes while somebody logs in stays gone', async (t) => {
  const broker = await startBroker({ store: new MemoryStore() });
  t.after(() => broker.stop());
  await broker.users.put('agent', { password: 'secret', tags: [] });
  const login = broker.users.login('agent', 'secret');
  broker.users.delete('agent');
  assert.equal(await login, undefined);
});
